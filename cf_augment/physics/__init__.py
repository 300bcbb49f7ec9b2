"""The analytic engine: ns-3's LTE downlink in closed form, batched, so that every "what if" has an answer."""

from cf_augment.physics.backend import EngineBackend
from cf_augment.physics.engine import Engine
from cf_augment.physics.what_if import WhatIf

__all__ = ["Engine", "EngineBackend", "WhatIf"]
