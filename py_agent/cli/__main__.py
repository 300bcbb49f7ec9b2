"""`python -m py_agent.cli` is `mlb`."""

from py_agent.cli import main

main()
