"""The code in the README and on the pages of docs/ runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import made_episodes as made
import pytest
from mktestdocs import check_md_file, grab_code_blocks

from cf_augment.dataset import write_dataset
from cf_augment.physics.tables import lte_tables

ROOT = Path(__file__).parents[2]


SNIPPETS = ["README.md", "docs/mobility.md", "docs/network.md", "docs/backends.md", "docs/datasets.md", "docs/model.md"]
COMMANDS = ["docs/own-preset.md", "docs/extend.md", "docs/measurements.md", "docs/slow.md"]


@pytest.mark.sumo
@pytest.mark.ns3
@pytest.mark.parametrize("name", SNIPPETS)
def test_the_snippets_of_a_page_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory with a run whose first episode is static."""
    place = made.scenario()
    write_dataset(tmp_path / "runs/mine/logged.h5", place, [made.episode(place, k, reach=k) for k in range(2)])
    monkeypatch.chdir(tmp_path)
    check_md_file(ROOT / name, lang="python", memory=True)


def test_no_page_with_python_is_left_out() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    with_python = {page.relative_to(ROOT).as_posix() for page in pages if grab_code_blocks(page.read_text("utf-8"))}
    assert with_python <= {*SNIPPETS, *COMMANDS}


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
    environ = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    for page in (tmp_path / "site").glob("**/*.html"):
        assert not re.search(r"(src|href)=\"(https?:)?//[^\"]+\.(js|css|woff2?)", page.read_text("utf-8")), page


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_from_outside_the_site_lead_to_something(name: str) -> None:
    """Those between its pages are checked when it is built."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#([^)]*))?\)", (ROOT / name).read_text("utf-8"))
    assert links
    for path, section in links:
        assert (ROOT / path).is_file(), path
        if section:
            titles = re.findall(r"^#+ (.*)", (ROOT / path).read_text("utf-8"), re.M)
            anchors = [re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert section in anchors, f"{path}#{section}"


def test_the_limits_of_the_cqi_are_those_of_the_tables() -> None:
    page = (ROOT / "docs" / "physics.md").read_text(encoding="utf-8")
    for name, values in (
        ("dB", [f"{row.sinr_db:.2f}" for row in lte_tables(25).cqi]),
        ("MCS", [str(row.mcs) for row in lte_tables(25).cqi]),
    ):
        assert f"| {name} | {' | '.join(values)} |" in page


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_of_commands_can_be_followed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ROOT / name
    shims = tmp_path / "bin"
    shims.mkdir()
    (shims / "mlb").write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}:$PYTHONPATH" exec "{sys.executable}" -m py_agent.cli "$@"\n'
    )
    (shims / "mlb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{shims}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "docs").symlink_to(ROOT / "docs")  # for what a page takes from there
    monkeypatch.chdir(tmp_path / "here")
    commands = "\n".join(grab_code_blocks(page.read_text(encoding="utf-8"), lang="bash"))
    done = subprocess.run(["bash", "-euc", commands], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    check_md_file(page, lang="python", memory=True)
