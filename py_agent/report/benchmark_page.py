"""The leaderboard: a page in Markdown and its pictures, from the files of results alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from py_agent.benchmark.results import Results
from py_agent.benchmark.scores import Entry, Scores
from py_agent.benchmark.study import ENGINE
from py_agent.report.audit_charts import plane_chart
from py_agent.report.charts import interval_chart, lines_chart
from py_agent.report.scene import PALETTE, line_styles
from py_agent.report.templating import standalone
from py_agent.statistics import Estimate
from sumo_mobility.base.files import write_text

OURS = "ours"
"""The group of the methods that the others are compared with."""
_LINES = 8
_HEAD = """# Benchmark

Every method in every context, judged on the same fresh traces. S is the scale of a suite: the tuned rule has 0, the
planner named beside it has 1. Intervals are of 95 %, by a bootstrap of seeds and traces within each context. P is how
often ours is better on the same trace. `mlb benchmark report` made this page of the files of results alone.
"""


def write_benchmark_page(page: Path, every: Sequence[Results]) -> None:
    """Writes the page, and the pictures into a folder beside it that has its name.

    Args:
        page: A Markdown file.
        every: The results of each suite.

    Raises:
        DataError: results lack what makes their scale.
        StorageError: a file cannot be written.
    """
    text = [_HEAD]
    for results in every:
        text += _suite(results, page.with_suffix(""))
    write_text(page, "\n".join(text).rstrip() + "\n")


def _suite(results: Results, folder: Path) -> Iterator[str]:
    record, scores = results.record, Scores(results)
    yield f"## {record.suite}\n"
    quick = " It is the quick form, too small to rank anything." if record.quick else ""
    yield f"{record.title}. `{record.command}`, {len(scores.contexts)} contexts; {_effort(record.effort)}.{quick}"
    yield f"S of the mean {_named(record.metric)}: {record.floor} has 0, {record.ceiling} has 1.\n"
    yield from _scores(scores)
    yield from _pictures(scores, folder)
    yield from _details(scores)
    yield from _published(scores)
    yield from _back_ends(results)
    yield from _gates(results)


def _scores(scores: Scores) -> Iterator[str]:
    """S of each method, a column for each amount of data."""
    amounts = list(dict.fromkeys(entry.data for entry in scores.entries.values()))
    named = [amount or "nothing logged" for amount in amounts]
    rows = []
    for method in dict.fromkeys(entry.method for entry in scores.entries.values()):
        found = [scores.entries.get((method, amount)) for amount in amounts]
        kind = next(entry.group for entry in found if entry)
        rows.append([method, kind, *("" if entry is None else _estimate(scores.score(entry)[0]) for entry in found)])
    yield from _table(["method", "kind", *named], rows)


def _details(scores: Scores) -> Iterator[str]:
    """What S does not say, with the main amount of data."""
    ours = _ours(scores)
    yield f"With {scores.results.record.main_data}, and what needs nothing:\n"
    rows = []
    for entry in _main(scores):
        won = "" if ours is None or entry == ours else _estimate(scores.wins(ours, entry))
        handovers = scores.values(entry.method, entry.data, "handovers_per_ue_minute")
        back = scores.values(entry.method, entry.data, "ping_pong_share") * handovers
        of_entry = scores.rows[(scores.rows["method"] == entry.method) & (scores.rows["data"] == entry.data)]
        rows.append(
            [
                entry.method, _estimate(scores.robust_score(entry)), _number(float(scores.score(entry)[1].min())), won,
                f"{_number(float(scores.improvement_percent(entry).mean()), 1)} %", _number(float(handovers.mean())),
                f"{_number(100 * float(back.sum() / max(handovers.sum(), 1e-9)), 1)} %",
                _number(1e-3 * float(scores.values(entry.method, entry.data, "p5_throughput_bps").mean()), 1),
                _number(float(of_entry["cpu_s"].mean()), 0) if of_entry["cpu_s"].max() else "",
                str(int(of_entry["tried"].max()) or ""),
            ]
        )  # fmt: skip
    yield from _table(
        [
            "method", "S, interquartile mean", "S, least context", f"P({ours.method if ours else 'ours'} is better)",
            "load std below static", "handovers per UE-minute", "ping-pongs", "p5 throughput, kbit/s",
            "CPU-seconds a seed", "candidates tried",
        ],
        rows,
    )  # fmt: skip


def _published(scores: Scores) -> Iterator[str]:
    """What others published of the same contexts, beside what was measured."""
    published = scores.results.record.published
    if not published:
        return
    yield "Improvement of the mean load standard deviation over static in %; in italics what was published of it:\n"
    names = list(next(iter(published.values())))
    rows = [
        [f"*{name}*", *(_number(of.get(name, np.nan), 1) for of in (published.get(c, {}) for c in scores.contexts))]
        for name in names
    ]
    for entry in _main(scores):
        percent = scores.improvement_percent(entry)
        rows.append([entry.method, *(_number(float(value), 1) for value in percent)])
    yield from _table(["method", *scores.contexts], rows)


def _back_ends(results: Results) -> Iterator[str]:
    """How far other back ends put the entries in the same order."""
    for backend in dict.fromkeys(results.rows["backend"]):
        if backend != ENGINE:
            kept, pairs = Scores(results).same_order(Scores(results, str(backend)))
            share = f"{100 * kept / pairs:.0f} %" if pairs else "–"
            yield f"{backend} has {share} of {pairs} pairs of methods in the engine's order.\n"


def _gates(results: Results) -> Iterator[str]:
    """What failed, and what the study must admit."""
    rows = results.rows
    failed = rows[rows["error"] != ""]
    for _, row in failed.iterrows():
        yield f"* **{row['method']}** failed in {row['scenario']} {row['data']}: {row['error']}"
    edges = rows[rows["at_edge"] != ""].drop_duplicates(["method", "scenario"])
    for _, row in edges.iterrows():
        yield f"* {row['method']}, {row['scenario']}: the best {row['at_edge']} lies at the end of what was tried"
    scores = Scores(results)
    is_scale = np.isfinite(scores.scale[1][:, 0])
    without = [context for context, known in zip(scores.contexts, is_scale, strict=True) if not known]
    for context in without:
        yield f"* {context}: {results.record.ceiling} is not better than {results.record.floor}, so there is no S"
    if len(failed) or len(edges) or without:
        yield ""


def _pictures(scores: Scores, folder: Path) -> Iterator[str]:
    suite = scores.results.record.suite
    drawings = {
        "scores": _intervals(scores), "data": _efficiency(scores), "profiles": _profiles(scores),
        "learning": _learning(scores), "states": _states(scores),
    }  # fmt: skip
    for name, drawn in drawings.items():
        if drawn is not None:
            title, chart = drawn
            path = folder / f"{suite}-{name}.svg"
            write_text(path, standalone(chart) + "\n")
            yield f"![{title}]({folder.name}/{path.name})\n"


def _intervals(scores: Scores) -> tuple[str, str]:
    """S of each entry: a ring for each context."""
    entries = sorted(_main(scores), key=lambda entry: -scores.score(entry)[0].value)
    found = [scores.score(entry) for entry in entries]
    value, low, high = np.array([estimate for estimate, _ in found]).T
    points = np.clip(np.array([of_contexts for _, of_contexts in found]), -2, None)  # what is far below ranks nothing
    value, low, high = (np.clip(each, -2, None) for each in (value, low, high))
    best = next((index for index, entry in enumerate(entries) if entry.group == OURS), -1)
    title = f"S with {scores.results.record.main_data}, a ring for each context; what is below -2 is drawn there"
    labels = [entry.method for entry in entries]
    return title, interval_chart(title, labels, points, value, low, high, best, zero=True)


def _efficiency(scores: Scores) -> tuple[str, str] | None:
    """S over the number of logged traces, of what learns from traces of other contexts alone."""
    rows = scores.rows
    others = {str(name) for name in rows[(rows["test_traces"] == 0) & (rows["train_traces"] > 0)]["data"].unique()}
    lines: dict[str, list[Entry]] = {}
    for entry in scores.entries.values():
        if entry.data in others:
            lines.setdefault(entry.method, []).append(entry)
    drawn = {}
    for method, entries in lines.items():
        entries.sort(key=lambda entry: entry.traces)
        if len(entries) > 1:
            value = np.array([scores.score(entry)[0].value for entry in entries])
            drawn[method] = np.array([float(entry.traces) for entry in entries]), np.clip(value, -2, None)
    best = sorted(drawn, key=lambda method: -float(drawn[method][1].mean()))[:_LINES]
    if not best:
        return None
    title = "S over the number of logged traces, the best methods; what is below -2 is drawn there"
    chart = lines_chart(title, {name: drawn[name] for name in best}, line_styles(best), "logged traces", named=True)
    return title, chart


def _learning(scores: Scores) -> tuple[str, str] | None:
    """S over gradient steps."""
    curves = {entry.method: scores.curve(entry) for entry in _main(scores)}
    found = {name: curve for name, curve in curves.items() if curve}
    best = sorted(found, key=lambda name: -[*found[name].values()][-1])[:_LINES]
    if not best:
        return None
    lines = {name: (np.array([*found[name]], float), np.clip([*found[name].values()], -2, None)) for name in best}
    title = "S over gradient steps, the best methods; what is below -2 is drawn there"
    return title, lines_chart(title, lines, line_styles(best), "gradient steps", named=True)


def _states(scores: Scores) -> tuple[str, str] | None:
    """Which states the data of our methods reach."""
    found = scores.results.record.coverage
    if found is None:
        return None
    inks = dict(zip(found.points, (PALETTE[1], PALETTE[0], PALETTE[4]), strict=True))
    points = {kind: np.array(places) for kind, places in found.points.items()}
    title = "States of the network in the first context, by principal components: counterfactual, logged and test"
    return title, plane_chart(title, points, inks, np.array(found.explained), named=True)


def _profiles(scores: Scores) -> tuple[str, str]:
    """The share of runs whose S is greater than a threshold."""
    entries = sorted(_main(scores), key=lambda entry: -scores.score(entry)[0].value)[:_LINES]
    threshold = np.linspace(-1, 1.5, 101)
    lines = {entry.method: (threshold, (scores.runs(entry).ravel() > threshold[:, None]).mean(1)) for entry in entries}
    title = "Performance profiles: share of runs (contexts and seeds) with a greater S"
    return title, lines_chart(title, lines, line_styles(list(lines)), "S", share=True, named=True)


def _main(scores: Scores) -> list[Entry]:
    """The entries with the main amount of data, or that need none."""
    return [entry for entry in scores.entries.values() if entry.data in ("", scores.results.record.main_data)]


def _ours(scores: Scores) -> Entry | None:
    return next((entry for entry in _main(scores) if entry.group == OURS), None)


def _effort(effort: dict[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in effort.items())


def _named(metric: str) -> str:
    return {"load_std": "load standard deviation", "reward": "reward a step"}.get(metric, metric)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _estimate(estimate: Estimate) -> str:
    return f"{_number(estimate.value)} ({_number(estimate.low)} to {_number(estimate.high)})"


def _number(value: float, decimals: int = 2) -> str:
    if not np.isfinite(value):
        return ""
    return f"{round(value, decimals) or 0.0:.{decimals}f}".replace("-", "−")
