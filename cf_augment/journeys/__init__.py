"""Journeys: the causal model of UEs that go from place to place, and its filter for late and sparse reports."""

from cf_augment.journeys.filter import ContextFilter
from cf_augment.journeys.forecast import forecast
from cf_augment.journeys.model import JourneyModel

__all__ = ["ContextFilter", "JourneyModel", "forecast"]
