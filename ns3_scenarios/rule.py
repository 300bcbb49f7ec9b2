"""The integral rule of a scenario, against which all policies are measured."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.contract import Contract


class Rule(Contract):
    """Gains of the rule that moves offsets with the difference of the loads, tuned to a scenario by `mlb tune`.

    For each neighbour pair (i, j), with the loads l of the last interval:
    integral_ij <- leak * integral_ij + gain_db * (l_i - l_j), and CIO_ij = integral_ij + proportional_db * (l_i - l_j),
    both clipped to handover.cio_range_db. Where reports are late, newer offsets have not shown in the loads yet:
    l_i - l_j then counts less discount_per_db * (CIO_ij in force - CIO_ij in the interval reported), as in a Smith
    predictor (O. J. M. Smith, Chemical Engineering Progress 53, 1957) whose plant is a gain and the delay.
    """

    gain_db: float = Field(8.0, ge=0, le=1000)
    """Integral gain, in dB an interval for a load difference of 1."""
    leak: float = Field(1.0, ge=0, le=1)
    """Share of the integral that is kept in each interval."""
    proportional_db: float = Field(0.0, ge=0, le=1000)
    """Proportional gain, in dB for a load difference of 1."""
    discount_per_db: float = Field(0.0, ge=0, le=1)
    """Load difference that 1 dB of CIO takes away, in 1/dB; 0 acts as if late reports showed everything."""

    def follow(self, difference: Floats, integral_db: Floats, limit_db: float) -> tuple[Floats, Floats]:
        """Returns the integral (..., E) of this interval and the CIO (..., E), not yet clipped, that the rule wants.

        Args:
            difference: (..., E) load of the serving cell of each pair less that of its neighbour.
            integral_db: (..., E) of the interval before.
            limit_db: The greatest integral, handover.cio_range_db.
        """
        integral_db = np.clip(self.leak * integral_db + self.gain_db * difference, -limit_db, limit_db)
        return integral_db, integral_db + self.proportional_db * difference
