"""What all fuzz tests share: hostile versions of good files, and the rule that a reader must keep.

A reader of foreign bytes answers with a value or with an error of the family, in bounded time and memory; everything
else (a traceback, a hang, a gigabyte) is a defect. `pytest tests/fuzz` tries 100 inputs of each reader, `pytest
--tier=fuzz` 2,000. What was found once stays as an `@example`.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import psutil
from hypothesis import strategies as st

from sumo_mobility.base.errors import MlbError

TIME_LIMIT_S = 20.0
MEMORY_LIMIT_BYTES = 2 << 30
"""What a reader may ask for beyond what the process has."""

_TOKENS = (
    b"", b"0", b"-1", b"1e309", b"-1e309", b"nan", b"inf", b"1e300", b"99999999999999999999999", b"2026-99-99", b"\x00",
    b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"\r\n", b"'", b'"', b"<", b">", b"&", b"[", b"{", b"}", b"]", b",", b";",
    b":", b"null", b"true", b"[" * 3000, b"<a>" * 400, b"A" * 5000, b"9" * 5000, "\u00e9\u2603".encode(),
    b"../../etc/passwd",
)  # fmt: skip
"""What parsers stumble over."""


class HungError(Exception):
    """A reader took longer than TIME_LIMIT_S."""


def hostile(seeds: Sequence[bytes], tokens: Sequence[bytes] = ()) -> st.SearchStrategy[bytes]:
    """Draws damaged versions of good files.

    Args:
        seeds: Good files; small ones find more.
        tokens: Words of the format to be put anywhere, besides those that most parsers stumble over.

    Returns:
        Bytes with one to six edits: a stretch cut out, doubled, moved, flipped, or replaced by a token.
    """
    payloads = st.one_of(st.sampled_from([*_TOKENS, *tokens]), st.binary(max_size=16))
    edit = st.tuples(st.sampled_from("cdmfir"), st.floats(0, 1), st.floats(0, 1), st.integers(0, 40), payloads)
    return st.builds(_edited, st.sampled_from(list(seeds)), st.lists(edit, min_size=1, max_size=6))


def survives(read: Callable[[], object]) -> None:
    """Calls a reader; fails if it ends otherwise than with a value or a good MlbError, within time and memory."""
    try:
        with _limited():
            read()
    except MlbError as error:
        message = str(error)
        assert message.strip()
        assert len(message) < 5000, f"a message of {len(message)} characters: {message[:200]}"


def survives_file(read: Callable[[Path], object], path: Path, content: bytes) -> None:
    """Writes `content` to `path` and has it read; see `survives`."""
    path.write_bytes(content)
    survives(lambda: read(path))


def _edited(data: bytes, edits: list[tuple[str, float, float, int, bytes]]) -> bytes:
    for kind, where, other, length, payload in edits:
        start, to = int(where * len(data)), int(other * len(data))
        stretch = data[start : start + length]
        rest = data[:start] + data[start + length :]
        match kind:
            case "c":
                data = rest
            case "d":
                data = data[:start] + stretch + data[start:]
            case "m":
                data = rest[:to] + stretch + rest[to:]
            case "f":
                flipped = bytes(byte ^ 1 << (index % 8) for index, byte in enumerate(stretch))
                data = data[:start] + flipped + data[start + length :]
            case "i":
                data = data[:start] + payload + data[start:]
            case _:
                data = data[:start] + payload + data[start + length :]
    return data


@contextmanager
def _limited() -> Iterator[None]:
    """Ends the block with HungError or MemoryError if it takes too long or too much."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise HungError(f"no answer within {TIME_LIMIT_S:g} s")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, ring)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + MEMORY_LIMIT_BYTES, hard))
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
