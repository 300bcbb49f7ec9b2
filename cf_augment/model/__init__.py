"""The causal model of mobility: UEs go from place to place, and the context says to which."""

from cf_augment.model.abduction import Abduction
from cf_augment.model.filter import ContextFilter
from cf_augment.model.forecast import forecast
from cf_augment.model.model import CausalMobilityModel

__all__ = ["Abduction", "CausalMobilityModel", "ContextFilter", "forecast"]
