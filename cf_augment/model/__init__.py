"""The causal generative model of mobility."""

from cf_augment.model.causal import CausalMobilityModel, ModelConfig
from cf_augment.model.prediction import Abduction

__all__ = ["Abduction", "CausalMobilityModel", "ModelConfig"]
