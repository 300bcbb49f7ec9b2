"""Differences between ns-3 and the standards that it implements; one profile follows ns-3, one the standards."""

from __future__ import annotations

from ns3_scenarios.scenario import ProfileName
from sumo_mobility.base.contract import Contract


class Profile(Contract):
    """The choices in which ns-3's code departs from the standards that it implements."""

    cost231_height_factor: float
    """Factor of log10(f / MHz) in a(h), COST 231 eq. 4.4.3."""
    cost231_extra_db: float
    """Added to COST 231 eq. 4.4.3."""
    large_city_db: float
    """Subtracted from a(h) of large cities above 1500 MHz; Hata, IEEE Trans. Veh. Technol. 29(3), 1980."""
    grants_last_rbg: bool
    """Whether the last RBG is granted where the bandwidth is no multiple of the others' size."""
    assesses_frames: bool
    """Whether the quality of the radio link is assessed in each radio frame, over periods that slide."""


PROFILES: dict[ProfileName, Profile] = {
    "ns3": Profile(
        cost231_height_factor=1.11,  # Cost231PropagationLossModel::GetLoss
        cost231_extra_db=10.0,  # Cost231PropagationLossModel::Shadowing
        large_city_db=0.0,  # OkumuraHataPropagationLossModel::GetLoss
        grants_last_rbg=False,  # PfFfMacScheduler: bandwidth / size of an RBG, in whole numbers
        assesses_frames=False,  # LteUePhy::RlfDetection: over periods that follow each other
    ),
    "3gpp": Profile(
        cost231_height_factor=1.1,  # COST 231 final report, eq. 4.4.3
        cost231_extra_db=0.0,  # shadowing is the map's, radio.shadowing
        large_city_db=4.97,  # Hata 1980, a(h) of large cities from 300 MHz
        grants_last_rbg=True,  # TS 36.213 7.1.6.1: the last RBG has what is left over
        assesses_frames=True,  # TS 36.213 4.2.1, TS 36.133 7.6
    ),
}
PROFILES["paper"] = PROFILES["3gpp"]
"""`ns3` mirrors ns-3, quirks included; `3gpp` has the standards' own values. What a standard leaves to the implementer,
such as layer 1 filtering, scheduling and the choice of the MCS, is ns-3's in both. `paper` has the path loss
and antennas of `3gpp`; its association and load are those of `paper.py`."""
