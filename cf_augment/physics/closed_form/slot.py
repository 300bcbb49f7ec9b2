"""A slot of a control interval, from an L1 measurement to the next: what it is given, and what it goes on from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cf_augment.physics.closed_form.coupling import Coupling, new_coupling
from cf_augment.physics.closed_form.load import Pace, new_pace
from cf_augment.physics.radio.vector_math import compiled
from sumo_mobility.base.arrays import Floats, Ints, Singles


class Slot(NamedTuple):
    """What the UEs of one environment receive in a slot, in which no UE changes its cell."""

    duration_s: float
    serving: Ints
    """(U,) serving cells."""
    backlog: Floats
    """(U,) packets queued; those left at the end, after the slot."""
    received_mw: Singles
    """(C, U) power of a resource element, taken as that of the whole slot."""
    begin_db: Singles
    """(U,) SINR of the control region at the beginning; it goes evenly to that at the end."""
    end_db: Singles


class Downlink(NamedTuple):
    """What is filled in slot by slot, and goes from one to the next."""

    pace: Pace
    coupling: Coupling
    """Used with CQI from the data region alone."""
    sinr_db: Singles
    """(U,) what UEs measure in the data region, on average over the TTIs of a slot."""


@compiled
def new_downlink(cells: int, ues: int) -> Downlink:
    """Returns the Downlink of cells of which nothing is known."""
    return Downlink(new_pace(ues), new_coupling(cells, ues), np.empty(ues, np.float32))
