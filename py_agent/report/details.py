"""Details behind the result table: loads, offsets, handovers, distributions and learning curves."""

from __future__ import annotations

import numpy as np

from cf_augment.dataset import Episode
from ns3_scenarios import mdp
from ns3_scenarios.kpis import EventKind
from py_agent.report.charts import lines_chart, load_chart, matrix_chart, offsets_chart
from py_agent.report.data import ReportData
from py_agent.report.results import Chart
from py_agent.report.scene import cell_colors, line_styles
from sumo_mobility.base.arrays import Floats

_QUANTILES = np.linspace(0, 1, 201)


def load_charts(data: ReportData) -> list[Chart]:
    """The load of each cell over time, in the typical episode of each policy."""
    charts = []
    for policy in data.policies:
        kpis = data.episode(policy).kpis
        note = f"mean load std {np.mean(mdp.load_std(kpis)[1:]):.3f}"
        svg = load_chart(f"Load of each cell, {policy}", kpis.time_s, kpis.prb_utilization, cell_colors(data.scenario))
        charts.append(Chart(policy, note, svg))
    return charts


def offset_charts(data: ReportData) -> list[Chart]:
    """The CIO of each pair over time, in the typical episode of each policy that set any."""
    scenario = data.scenario
    labels = [f"{serving}→{neighbor}" for serving, neighbor in scenario.neighbor_pairs]
    charts = []
    for policy in data.policies:
        episode = data.episode(policy)
        cio_db = mdp.cio_from_action(scenario, episode.actions)
        if np.abs(cio_db).max() < 1e-6:
            continue
        note = f"mean |CIO| {np.abs(cio_db).mean():.1f} dB"
        name = f"CIO of each neighbour pair, {policy}"
        svg = offsets_chart(name, episode.kpis.time_s, cio_db, labels, scenario.handover.cio_range_db, "CIO (dB)")
        charts.append(Chart(policy, note, svg))
    return charts


def handover_charts(data: ReportData) -> list[Chart]:
    """Completed handovers from cell to cell, as a mean over the episodes of each policy."""
    cells = len(data.scenario.cells)
    counts = {
        policy: np.mean([_handovers(episode, cells) for episode in data.episodes[policy]], axis=0)
        for policy in data.policies
    }
    greatest = max(float(count.max()) for count in counts.values())
    charts = []
    for policy, count in counts.items():
        note = f"{count.sum():.3g} an episode, {count.max():.3g} at most"
        charts.append(Chart(policy, note, matrix_chart(f"Handovers by cell, {policy}", count, greatest)))
    return charts


def distribution_charts(data: ReportData) -> list[Chart]:
    """Cumulative distributions over all episodes: throughput and SINR of the UEs, PRB utilisation of the cells."""
    styles = line_styles(data.policies)
    charts = []
    for title, note, unit, values in (
        ("Throughput", "mean of each UE over its episode", "kbit/s", _throughput_kbps),
        ("SINR", "of each UE in each interval while it is connected", "dB", _sinr_db),
        ("PRB utilisation", "of each cell in each interval", "%", _load_percent),
    ):
        lines = {}
        for policy in data.policies:
            found = np.concatenate([values(episode) for episode in data.episodes[policy]])
            if found.size:
                lines[policy] = (np.quantile(found, _QUANTILES), _QUANTILES)
        name = f"{title}, cumulative distribution ({note})"
        charts.append(Chart(title, note, lines_chart(name, lines, styles, f"{title} ({unit})", share=True)))
    return charts


def learning_charts(data: ReportData) -> list[Chart]:
    """Returns charts of what each training logged over its gradient steps, one for each quantity."""
    styles = line_styles(list(data.trainings))
    quantities = dict.fromkeys(str(name) for frame in data.trainings.values() for name in frame if name != "step")
    charts = []
    for quantity in quantities:
        lines = {
            name: (frame["step"].to_numpy(np.float64), frame[quantity].to_numpy(np.float64))
            for name, frame in data.trainings.items()
            if quantity in frame
        }
        log = quantity.endswith("loss") and all((values > 0).all() for _, values in lines.values())
        title = quantity.replace("_", " ")
        title = title[0].upper() + title[1:]
        svg = lines_chart(f"{title} over gradient steps", lines, styles, "gradient step", log=log)
        charts.append(Chart(title, "logarithmic" if log else "", svg))
    return charts


def _handovers(episode: Episode, cells: int) -> Floats:
    """Completed handovers (C, C) of one episode, the warm-up left out."""
    events = episode.kpis.events[episode.event_start[1] :]
    done = events[events["kind"] == EventKind.HANDOVER_OK]
    count = np.zeros((cells, cells))
    np.add.at(count, (done["source_cell"], done["target_cell"]), 1)
    return count


def _throughput_kbps(episode: Episode) -> Floats:
    return episode.kpis.ue_throughput_bps[1:].mean(axis=0) / 1e3


def _load_percent(episode: Episode) -> Floats:
    return 100 * episode.kpis.prb_utilization[1:].ravel()


def _sinr_db(episode: Episode) -> Floats:
    sinr_db = episode.kpis.ue_sinr_db[1:][episode.kpis.ue_serving_cell[1:] >= 0]
    return sinr_db[np.isfinite(sinr_db)]
