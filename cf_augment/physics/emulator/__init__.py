"""Tier 1 of the physics: ns-3's LTE downlink TTI by TTI, compiled; packets, schedulers, HARQ, event A3."""

from cf_augment.physics.emulator.backend import EmulatorBackend

__all__ = ["EmulatorBackend"]
