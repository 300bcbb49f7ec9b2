"""Online RL, which learns by acting: what an agent could reach that may try whatever it likes, as others measure it."""

from py_agent.online.registry import ONLINE

__all__ = ["ONLINE"]
