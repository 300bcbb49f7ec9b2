"""Hostile JSON where the contracts read it: scenarios, sidecars of traces, maps, records of stages and trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import made_network
import pytest
from harness import hostile, survives, survives_file
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cf_augment.dataset.records import EpisodeMetadata
from ns3_scenarios.scenario import Scenario
from py_agent.rundir import StageRecord
from py_agent.train import TrainConfig, TrainRecord
from sumo_mobility.base.contract import Contract
from sumo_mobility.maps import MapSource
from sumo_mobility.trace import TraceMetadata

RECORDS: list[Contract] = [
    made_network.scenario(),
    made_network.trace().metadata,
    StageRecord(stage="collect", config={"policies": ["static"], "seed": 0, "map": None}, versions={"numpy": "2"}),
    TrainRecord(
        config=TrainConfig.of("sac")().model_dump(), scenario_id="two-cells-v0", logged_transitions=3,
        counterfactual_transitions=0, data_sha256="0", versions={},
    ),
    MapSource(name="a", title="A", file=Path("a.osm"), sha256="0", source="s", bounding_box_deg=(24, 60, 25, 61)),
    EpisodeMetadata.parse(
        {"scenario_id": "a", "trace_name": "t", "policy": "p", "seed": 1, "backend": "ns3",
         "provenance": {"kind": "logged", "action_source": "random"}}, "made",
    ),
]  # fmt: skip
SEEDS = [record.model_dump_json().encode() for record in RECORDS]
CLASSES = [type(record) for record in RECORDS]
TOKENS = (b'{"a":1,"a":2}', b"NaN", b"-Infinity", b'"\\ud800"', b"1e400", b"[[[[[[", b'{"":', b"\\u0000", b"1.0", b"-0")
FIXTURES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def read_all(path: Path) -> None:
    """Reads a file as each record, then writes and reads what was understood: the same."""
    for kind in CLASSES:

        def read(kind: type[Contract] = kind) -> None:
            record = kind.read_json(path)
            record.write_json(path.with_suffix(".again"))
            assert kind.read_json(path.with_suffix(".again")) == record

        survives(read)


@FIXTURES
@given(hostile(SEEDS, TOKENS))
@example(b"[" * 100_000)
@example(b'{"a":' * 5000)
@example(b"9" * 5000)
@example(b'"\\ud800"')
@example(SEEDS[0][:-1] + b',"id":"other"}')
@example(b"\xff\xfe")
def test_damaged_records(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    survives_file(read_all, tmp_path_factory.getbasetemp() / "damaged.json", content)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def odd_records(draw: st.DrawFn) -> bytes:
    """A record one of whose fields, at any depth, holds something else."""
    data = json.loads(draw(st.sampled_from(SEEDS)))
    here, key = data, draw(st.sampled_from(sorted(data)))
    while isinstance(here[key], dict | list) and here[key] and draw(st.booleans()):
        here = here[key]
        key = draw(st.sampled_from(sorted(here))) if isinstance(here, dict) else draw(st.integers(0, len(here) - 1))
    here[key] = draw(JSON)
    return json.dumps(data).encode()


@FIXTURES
@given(odd_records())
def test_records_with_odd_values(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    survives_file(read_all, tmp_path_factory.getbasetemp() / "odd.json", content)


def test_records_written_before_are_read() -> None:
    """As 0.1.0 wrote them: ids with a version, whole numbers where floats are meant, places filled in."""
    scenario = json.loads(SEEDS[0])
    assert Scenario.parse(scenario, "x") == RECORDS[0]
    scenario["episode"]["warmup_s"] = 2
    assert Scenario.parse(scenario, "x") == RECORDS[0]
    trace = json.loads(SEEDS[1]) | {"provenance": {"shift_m": 3, "like": "a", "share": 0.5}}
    assert TraceMetadata.parse(trace, "x").provenance == {"shift_m": 3, "like": "a", "share": 0.5}
