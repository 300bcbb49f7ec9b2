"""The code in the README and on the pages of docs/ runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import made_episodes as made
import pytest
from mktestdocs import check_md_file, grab_code_blocks

from cf_augment.dataset import write_dataset
from cf_augment.physics.tables import lte_tables

ROOT = Path(__file__).parents[2]


@pytest.mark.sumo
@pytest.mark.ns3
def test_readme_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory with a run whose first episode is static."""
    place = made.scenario()
    write_dataset(tmp_path / "runs/mine/logged.h5", place, [made.episode(place, k, reach=k) for k in range(2)])
    monkeypatch.chdir(tmp_path)
    check_md_file(ROOT / "README.md", lang="python", memory=True)


def test_the_limits_of_the_cqi_are_those_of_the_tables() -> None:
    page = (ROOT / "docs" / "physics.md").read_text(encoding="utf-8")
    for name, values in (
        ("dB", [f"{row.sinr_db:.2f}" for row in lte_tables(25).cqi]),
        ("MCS", [str(row.mcs) for row in lte_tables(25).cqi]),
    ):
        assert f"| {name} | {' | '.join(values)} |" in page


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own-preset.md", "extend.md"])
def test_a_page_of_commands_can_be_followed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ROOT / "docs" / name
    shims = tmp_path / "bin"
    shims.mkdir()
    (shims / "mlb").write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}:$PYTHONPATH" exec "{sys.executable}" -m py_agent.cli "$@"\n'
    )
    (shims / "mlb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{shims}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    commands = "\n".join(grab_code_blocks(page.read_text(encoding="utf-8"), lang="bash"))
    done = subprocess.run(["bash", "-euc", commands], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    check_md_file(page, lang="python", memory=True)
