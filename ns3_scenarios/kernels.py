"""Compiles the loops of the project by numba, and keeps the machine code until a source of it changes.

Numba keeps the code of a function by the digest of its own file, although functions and constants of other files are
part of that code. Here it is the digest of the file and of all files of the project that it imports, at any depth, but
for what is imported for its types alone.
"""

from __future__ import annotations

import ast
import glob
import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar, overload

import numba
from numba.core import caching, event

from sumo_mobility.base.progress import LINE_EVERY_S, note

_PACKAGES = ("ns3_scenarios", "cf_augment")
_ROOT = Path(__file__).parents[1]


Parameters = ParamSpec("Parameters")
Result = TypeVar("Result", covariant=True)


class Kernel(Protocol[Parameters, Result]):
    """A compiled function. Type checkers see the annotations of the function that it is made of; numba does not look
    at them, but at the types of the arguments of each call. `Any` stands there for what has no Python type: numpy's
    structured records, and numba's own objects."""

    @property
    def py_func(self) -> Callable[Parameters, Result]:
        """The function that is compiled."""

    def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        """Runs the machine code, after compiling it if there is none yet for arguments of these types."""


@overload
def kernel(function: Callable[Parameters, Result]) -> Kernel[Parameters, Result]: ...
@overload
def kernel(**options: Any) -> Callable[[Callable[Parameters, Result]], Kernel[Parameters, Result]]: ...
def kernel(function: Any = None, **options: Any) -> Any:
    """Compiles a function when it is first called, once for all processes; a decorator with or without options.

    Args:
        function: What to compile.
        options: Options of `numba.njit`.
    """
    if function is None:
        return partial(kernel, **options)
    # No wrapper for C: nothing calls it.
    compiled = numba.njit(**{"no_cfunc_wrapper": True, **options})(function)
    compiled._cache = _Cache(function)
    return compiled


@overload
def inlined(function: Callable[Parameters, Result]) -> Kernel[Parameters, Result]: ...
@overload
def inlined(**options: Any) -> Callable[[Callable[Parameters, Result]], Kernel[Parameters, Result]]: ...
def inlined(function: Any = None, **options: Any) -> Any:
    """Compiles a part of a kernel that is never called but inlined, and counts no references to the arrays it is given.

    A call would hand over all of a kernel's state, and each array of it would be counted: in the emulator, five times
    the work itself.

    Args:
        function: What to compile; it makes no arrays.
        options: Options of `numba.njit`, those of the kernel.
    """
    if function is None:
        return partial(inlined, **options)
    options = {"error_model": "numpy", "forceinline": True, "_nrt": False, "no_cfunc_wrapper": True, **options}
    return numba.njit(**options)(function)


def sources_of(path: Path) -> frozenset[Path]:
    """Returns a source file and all files of the project that it imports when it runs, directly or not."""
    found, to_read = {path}, [path]
    while to_read:
        new = _imports(to_read.pop()) - found
        found |= new
        to_read += new
    return frozenset(found)


@cache
def _imports(path: Path) -> frozenset[Path]:
    modules: set[str] = set()
    for node in _run_nodes(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    ours = [_ROOT.joinpath(*module.split(".")) for module in modules if module.partition(".")[0] in _PACKAGES]
    files = [file for stem in ours for file in (stem.with_suffix(".py"), stem / "__init__.py")]
    return frozenset(file for file in files if file.is_file())


def _run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yields all nodes but those under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield node
            yield from _run_nodes(node)


@cache
def _digest(path: Path) -> str:
    files = sorted(sources_of(path))
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


class _WithSources:
    """A place of numba's cache whose stamp is that of all sources of a kernel."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        super().__init__(py_func, py_file)  # type: ignore[call-arg]
        self._stamp = _digest(Path(py_file).resolve())

    def get_source_stamp(self) -> str:
        """Returns the digest of the sources; numba compiles the code again when it changes."""
        return self._stamp


class _InGivenDirectory(_WithSources, caching.UserProvidedCacheLocator):
    """Keeps the code in the directory NUMBA_CACHE_DIR, if that is set."""


class _BesideSource(_WithSources, caching.InTreeCacheLocator):
    """Keeps the code in __pycache__ beside the source, if that is writable."""


class _InHome(_WithSources, caching.UserWideCacheLocator):
    """Keeps the code in the user's cache directory."""


class _Places(caching.CompileResultCacheImpl):
    _locator_classes = [_InGivenDirectory, _BesideSource, _InHome]


class CodeFiles(caching.IndexDataCacheFile):
    """The files of a kernel's machine code, named after the sources and the types of the arguments that it is of.

    Numba numbers them, and says in an index what each is of, before that is in it. So a process that looks for code
    while another one compiles it may find what had the number before: code of other sources or of other types.
    """

    def load(self, key: object) -> Any:
        """Returns the code of some key, None if there is none."""
        try:
            return self._load_data(self._name(key))
        except FileNotFoundError:
            return None

    def save(self, key: object, data: object) -> None:
        """Keeps the code of some key, and removes that of other sources."""
        name = self._name(key)
        self._save_data(name, data)
        kernel, _, of_sources = name.rpartition("-")[0].rpartition("-")
        for path in Path(self._cache_path).glob(f"{glob.escape(kernel)}-*.nbc"):
            if not path.name.startswith(f"{kernel}-{of_sources}-"):
                path.unlink(missing_ok=True)

    def _name(self, key: object) -> str:
        sources, types = (_short_digest(repr(of)) for of in ((self._version, self._source_stamp), key))
        return f"{Path(self._index_path).stem}-{sources}-{types}.nbc"


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class _Cache(caching.FunctionCache):
    _impl_class = _Places

    def __init__(self, py_func: Callable[..., Any]) -> None:
        super().__init__(py_func)
        locator = self._impl.locator
        self._cache_file = CodeFiles(self._cache_path, self._impl.filename_base, locator.get_source_stamp())


class _Announcer(event.Listener):
    """Hears of what is compiled, but not of what is loaded from numba's cache."""

    def __init__(self) -> None:
        self._began_s = self._noted_s = 0.0

    def on_start(self, event: Any) -> None:
        if not self._began_s and event.data["dispatcher"].py_func.__module__.startswith(_PACKAGES):
            note("compiling the network model for this machine; this takes a minute or two, and only once")
            self._began_s = self._noted_s = time.monotonic()

    def on_end(self, event: Any) -> None:
        now_s = time.monotonic()
        if self._began_s and now_s - self._noted_s >= LINE_EVERY_S:
            note(f"compiling: {timedelta(seconds=int(now_s - self._began_s))}")
            self._noted_s = now_s


event.register("numba:compile", _Announcer())
