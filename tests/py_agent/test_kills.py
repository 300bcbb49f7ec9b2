"""Kills at random moments: the bench's suite, with a few of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from py_agent.bench import kills


def test_files_that_differ_are_counted(tmp_path: Path) -> None:
    for run, texts in {"one": {"a": "1", "b": "22", "train.log": "x"}, "other": {"a": "1", "b": "23", "c": ""}}.items():
        (tmp_path / run).mkdir()
        for name, text in texts.items():
            (tmp_path / run / name).write_text(text)
    assert kills._differing(tmp_path / "one", tmp_path / "other") == 2
    assert kills._differing(tmp_path / "one", tmp_path / "one") == 0


@pytest.mark.sumo
@pytest.mark.ns3
@pytest.mark.slow
def test_a_few_kills_leave_nothing_and_change_nothing() -> None:
    few = {"collect in ns-3": 3, "collect": 3}
    found = list(kills.disturb(7, few))
    assert len(found) == 5 * len(few)
    assert [one.metric for one in found if not one.ok] == []
