"""ns-3's LTE downlink without ns-3: the engine in closed form, batched; and the emulator, TTI by TTI."""

from cf_augment.physics.closed_form.backend import EngineBackend
from cf_augment.physics.closed_form.engine import Engine
from cf_augment.physics.closed_form.soft import RadioStates, SoftWhatIf
from cf_augment.physics.closed_form.what_if import WhatIf
from cf_augment.physics.emulator import EmulatorBackend

__all__ = ["EmulatorBackend", "Engine", "EngineBackend", "RadioStates", "SoftWhatIf", "WhatIf"]
