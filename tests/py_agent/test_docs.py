"""The code in the README runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from mktestdocs import check_md_file


@pytest.mark.sumo
@pytest.mark.ns3
def test_readme_snippets_run() -> None:
    check_md_file(Path(__file__).parents[2] / "README.md", lang="python", memory=True)
