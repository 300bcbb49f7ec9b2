"""ns-3's LTE downlink without ns-3: the engine in closed form, batched; and the emulator, TTI by TTI."""

from cf_augment.physics.backend import EngineBackend
from cf_augment.physics.emulator import EmulatorBackend
from cf_augment.physics.engine import Engine
from cf_augment.physics.soft import SoftWhatIf
from cf_augment.physics.what_if import WhatIf

__all__ = ["EmulatorBackend", "Engine", "EngineBackend", "SoftWhatIf", "WhatIf"]
