"""The registry of back ends; apart from their contract, so that names can be listed without loading what that needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sumo_mobility.base.registry import Lazy, Registry

if TYPE_CHECKING:
    from ns3_scenarios.backend import Backend

BACKENDS: Registry[Lazy[Backend]] = Registry("back end")
"""All back ends by name."""
