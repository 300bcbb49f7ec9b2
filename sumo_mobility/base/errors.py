"""The errors a user can meet; each says what is wrong, where, and what mends it."""


class MlbError(Exception):
    """Base of all errors that end a command with a message instead of a traceback.

    Args:
        message: What is wrong and where (file, field path).
        cure: What the user can do about it, if anything.
    """

    exit_code = 1

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(f"{message}\n  cure: {cure}" if cure else message)
        self.message = message
        self.cure = cure


class ConfigError(MlbError):
    """A preset, key, option or action is unknown or out of range."""

    exit_code = 2


class DataError(MlbError):
    """A file given to us (map, trace, dataset, scenario) is damaged, foreign or does not fit."""

    exit_code = 2


class DependencyError(MlbError):
    """A program or library that a stage needs is missing or of the wrong version."""


class ServiceError(MlbError):
    """A server that map data comes from is down, slow or busy, or its answer is not what was asked for."""


class StorageError(MlbError):
    """A file or directory cannot be written, or would be overwritten."""

    exit_code = 2


class SimulatorError(MlbError):
    """SUMO or ns-3 failed, died, or did not answer in time; carries its last lines of stderr."""
