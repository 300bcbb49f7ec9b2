"""The Gymnasium environment over the ns-3 program and the analytic engine."""

from py_agent.env.backends import BackendName, open_backend
from py_agent.env.env import MlbEnv

__all__ = ["BackendName", "MlbEnv", "open_backend"]
