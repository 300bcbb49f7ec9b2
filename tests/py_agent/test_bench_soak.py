"""The long run pairs the start of each handover with its end, and knows the SINR at which its command was sent."""

import numpy as np
import pytest

from ns3_scenarios.hexagon import crossing_trace, hexagonal_scenario
from ns3_scenarios.kpis import EVENT_DTYPE, EventKind
from py_agent.bench.soak import Attempt, _by_sinr, attempts_of, run

_SCENARIO = hexagonal_scenario(sites=3, ues=4, steps=5)
_TRACE = crossing_trace(_SCENARIO, seed=0)


def attempts(*events: tuple[float, int, int, int, EventKind]) -> list[Attempt]:
    return list(attempts_of(_SCENARIO, _TRACE, np.array(list(events), EVENT_DTYPE)))


def sinr_db(time_s: float, ue: int, cell: int) -> float:
    """Computes the SINR of the control region in plain numpy, in float64, from the defaults of a preset."""
    radio, antenna = _SCENARIO.radio, _SCENARIO.radio.antenna
    k = int(time_s)
    x_m, y_m = _TRACE.position_m[k, ue] + (time_s - k) * (_TRACE.position_m[k + 1, ue] - _TRACE.position_m[k, ue])
    received_mw = []
    for site in _SCENARIO.cells:
        east, north, up = x_m - site.x_m, y_m - site.y_m, radio.ue_height_m - site.height_m
        loss_db = radio.path_loss.reference_loss_db + 10 * radio.path_loss.exponent * np.log10(
            np.sqrt(east**2 + north**2 + up**2)
        )
        aside_deg = (np.degrees(np.arctan2(east, north)) - site.azimuth_deg + 180) % 360 - 180
        below_deg = -np.degrees(np.arctan2(up, np.hypot(east, north)))
        horizontal_db = min(12 * (aside_deg / antenna.horizontal_beamwidth_deg) ** 2, antenna.max_attenuation_db)
        vertical_db = min(
            12 * ((below_deg - site.tilt_deg) / antenna.vertical_beamwidth_deg) ** 2, antenna.side_lobe_limit_db
        )
        gain_db = antenna.gain_dbi - min(horizontal_db + vertical_db, antenna.max_attenuation_db)
        per_re_dbm = site.tx_power_dbm - 10 * np.log10(12 * radio.dl_bandwidth_rb)
        received_mw.append(10 ** ((per_re_dbm - loss_db + gain_db) / 10))
    noise_mw = 10 ** ((-174 + radio.ue_noise_figure_db + 10 * np.log10(15e3)) / 10)
    return float(10 * np.log10(received_mw[cell] / (sum(received_mw) - received_mw[cell] + noise_mw)))


def test_the_sinr_is_that_of_the_source_where_the_ue_was_when_the_command_was_sent() -> None:
    [attempt] = attempts((2.25, 1, 3, 5, EventKind.HANDOVER_START), (2.75, 1, 3, 5, EventKind.HANDOVER_OK))
    assert attempt.sinr_db == pytest.approx(sinr_db(2.25, ue=1, cell=3), abs=0.01)


def test_a_handover_ends_with_the_next_success_or_loss_of_its_own_ue() -> None:
    ended = attempts(
        (0.5, 0, 0, 1, EventKind.HANDOVER_START),
        (0.6, 1, 2, 3, EventKind.HANDOVER_START),
        (0.7, 1, 2, -1, EventKind.RADIO_LINK_FAILURE),
        (0.8, 0, 0, 1, EventKind.HANDOVER_OK),
        (0.9, 1, 2, 3, EventKind.CONNECTION_REESTABLISHED),
        (1.0, 2, 4, 5, EventKind.HANDOVER_START),
        (1.5, 2, 4, 5, EventKind.HANDOVER_FAILED_JOINING),
    )
    assert [attempt.succeeded for attempt in ended] == [False, True, False]


def test_what_has_not_begun_or_not_ended_is_no_attempt() -> None:
    assert not attempts(
        (0.5, 0, 0, -1, EventKind.RADIO_LINK_FAILURE),
        (0.6, 1, 2, 3, EventKind.HANDOVER_OK),
        (0.7, 2, 4, 5, EventKind.HANDOVER_FAILED_NO_PREAMBLE),
        (0.8, 3, 4, 5, EventKind.HANDOVER_START),
    )


def test_classes_by_sinr_hold_their_lower_edge_and_tell_their_size() -> None:
    figures = list(
        _by_sinr([Attempt(-5, True), Attempt(3, False), Attempt(-5.001, True), Attempt(-9, False), Attempt(-20, False)])
    )
    assert [(figure.metric, figure.value) for figure in figures] == [
        ("of those commanded at the SINR of Qout, -5 dB, or above", 50),
        ("of the 1 from -7 to -5 dB", 100),
        ("of the 1 from -9 to -7 dB", 0),
        ("of the 1 below -11 dB", 0),
    ]
    assert [figure.ok for figure in figures] == [False, True, True, True]


@pytest.mark.slow
def test_every_success_of_ns3_is_an_attempt_that_succeeded() -> None:
    done = run(seed=0, steps=4, rrc="real", advance=lambda: None)
    assert not done.error
    assert sum(attempt.succeeded for attempt in done.attempts) == done.events[EventKind.HANDOVER_OK] > 10
