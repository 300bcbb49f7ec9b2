"""The Gymnasium environment over the ns-3 program and the analytic engine."""

from py_agent.backends import open_backend
from py_agent.env.env import MlbEnv
from py_agent.env.make import make_env

__all__ = ["MlbEnv", "make_env", "open_backend"]
