"""The report: one self-contained HTML file and the replay as a GIF, drawn from an evaluation's data."""

from py_agent.report.data import ReportData
from py_agent.report.gif import write_gif
from py_agent.report.page import write_report

__all__ = ["ReportData", "write_gif", "write_report"]
