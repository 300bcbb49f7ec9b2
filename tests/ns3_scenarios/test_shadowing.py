"""The shadowing map: its statistics, its file, and what the ns-3 program says of a damaged one."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import three_cells

from ns3_scenarios.build import program
from ns3_scenarios.scenario import Scenario
from ns3_scenarios.shadowing import ShadowingMap, shadowing_map, sites_of
from sumo_mobility.base.errors import ConfigError

WIDE: three_cells.Sites = [(0.0, 0.0), (700.0, 0.0), (350.0, 606.0), (1050.0, 606.0)]


def shadowed(sites_m: three_cells.Sites = three_cells.SITES_M, sectors: int = 1, **shadowing: Any) -> Scenario:
    radio = {"shadowing": shadowing, "antenna": {"pattern": "sector" if sectors == 3 else "omni"}}
    return three_cells.scenario(steps=2, ues=2, sites_m=sites_m, radio=radio, sites={"sectors": sectors})


def map_of(scenario: Scenario) -> ShadowingMap:
    made = shadowing_map(scenario)
    assert made is not None
    return made


@pytest.fixture(scope="module")
def fields() -> np.ndarray:
    """(sites, rows, columns) of 5 km, about 50 decorrelation distances each way."""
    return map_of(shadowed(WIDE, std_db=6, decorrelation_m=50, site_correlation=0.5, margin_m=2000)).loss_db


def test_std_and_mean_are_as_asked(fields: np.ndarray) -> None:
    # Some 1000 independent patches of 2 pi 50^2 m^2 a site: 3 % of std, 0.2 dB of mean.
    assert fields.std() == pytest.approx(6, rel=0.06)
    assert abs(fields.mean()) < 0.6


@pytest.mark.parametrize("lag_m", [10, 50, 100])
def test_autocorrelation_is_exponential_in_all_directions(fields: np.ndarray, lag_m: int) -> None:
    step = lag_m // 10
    one = fields / fields.std()
    for shifted, same in (
        (one[:, :, step:], one[:, :, :-step]),
        (one[:, step:], one[:, :-step]),
    ):
        assert (shifted * same).mean() == pytest.approx(math.exp(-lag_m / 50), abs=0.06)
    diagonal = (one[:, step:, step:] * one[:, :-step, :-step]).mean()
    assert diagonal == pytest.approx(math.exp(-math.sqrt(2) * lag_m / 50), abs=0.06)


def test_sites_correlate_as_asked_and_sectors_of_a_site_wholly(fields: np.ndarray) -> None:
    between = np.corrcoef(fields.reshape(len(fields), -1))[np.triu_indices(len(fields), 1)]
    assert between == pytest.approx(0.5, abs=0.1)
    assert sites_of(shadowed(sectors=3)) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert len(map_of(shadowed(sectors=3)).loss_db) == 3


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    from ns3_scenarios import shadowing

    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        map_of(shadowed(seed=seed)).write(tmp_path / name)
        shadowing._make.cache_clear()
    one, same, other = ((tmp_path / name).read_bytes() for name in ("one", "same", "other"))
    assert one == same
    assert one != other
    header, _, values = one.partition(b"\n")
    # 700 x 606 m and 500 m around.
    assert header == b"mlb-shadowing 1 3 162 171 -500.0 -500.0 10.0"
    assert len(values) == 4 * 3 * 162 * 171


def test_a_map_too_large_or_too_coarse_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"radio\.shadowing: 3 sites with .* points are more than .*\n.*raise radio"):
        shadowing_map(shadowed(grid_m=1, margin_m=9000))
    with pytest.raises(ConfigError, match=r"grid_m 60 must not exceed decorrelation_m 50"):
        shadowed(grid_m=60)


def refusal(folder: Path, scenario: Scenario, *arguments: str) -> str:
    (folder / "scenario.json").write_text(scenario.model_dump_json())
    three_cells.trace(scenario).write_waypoints(folder / "waypoints.csv")
    files = [f"--scenario={folder}/scenario.json", f"--waypoints={folder}/waypoints.csv", "--endpoint=ipc:///none"]
    command = [program(), *files, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2, done.stderr
    return done.stderr


@pytest.mark.ns3
def test_the_program_wants_the_map_of_its_scenario_whole(tmp_path: Path) -> None:
    scenario, file = shadowed(), tmp_path / "map"
    made = map_of(scenario)
    made.write(file)
    whole = file.read_bytes()
    assert "--shadowing: missing; cure: " in refusal(tmp_path, scenario)
    assert "the scenario has no shadowing" in refusal(tmp_path, three_cells.scenario(2, 2), f"--shadowing={file}")
    for damaged, said in (
        (whole[:-4], "has not the size"),
        (whole[:-4] + np.float32("nan").tobytes(), "holds values that are no loss in dB"),
        (b"PK" + whole, "is not a shadowing map"),
    ):
        file.write_bytes(damaged)
        assert f"--shadowing: '{file}' {said}" in refusal(tmp_path, scenario, f"--shadowing={file}")
    map_of(shadowed(WIDE)).write(file)
    assert "is of 4 sites, but the scenario has 3" in refusal(tmp_path, scenario, f"--shadowing={file}")
