"""The Gymnasium environment over the ns-3 program and the analytic engine.

To import this package registers every shipped preset with Gymnasium, as "mlb/" and its id; what `gymnasium.make` is
given beside goes to `make_env`. Gymnasium has no plug-ins since 1.0: it wants this import, or an id that names it:
`gymnasium.make("py_agent.env:mlb/helsinki-event-v0", backend="engine")`.
"""

import gymnasium

from ns3_scenarios.scenario import preset_ids
from py_agent.backends import open_backend
from py_agent.env.env import MlbEnv
from py_agent.env.make import make_env

__all__ = ["MlbEnv", "make_env", "open_backend"]

for _preset in preset_ids():
    gymnasium.register(f"mlb/{_preset}", "py_agent.env:make_env", kwargs={"preset": _preset})
