"""`mlb`: one command, one job."""

from __future__ import annotations

import os
import sys

# Two processes of one thread beat one of two; set before numpy or torch is imported anywhere.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def main() -> None:
    """Runs one command; prints an error of the project's family as one message, without a traceback."""
    from py_agent.cli.command import show
    from py_agent.cli.commands import parse
    from sumo_mobility.base.errors import MlbError

    command = None
    try:
        command = parse(sys.argv[1:])
        result = command.execute()
    except MlbError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        how = " with --resume" if hasattr(command, "resume") else ""
        print(f"interrupted; run the same command again{how} to go on", file=sys.stderr)
        sys.exit(130)
    show(result, command.json)
    sys.exit(0 if result.ok else 1)
