"""Measurements of a network, from its counters or a drive test, as episodes of a dataset.

`schema` says which tables are read and what their columns mean, `tables` reads and checks them, `intervals` and
`reports` turn them into KPIs, and `uses` says what the result is good for. KPIs that nobody measured are NaN.
"""

from cf_augment.measurements.episodes import Measurements
from cf_augment.measurements.schema import CellRow, OffsetRow, ReportRow
from cf_augment.measurements.uses import missing

__all__ = ["CellRow", "Measurements", "OffsetRow", "ReportRow", "missing"]
