"""Maps of any box or place: one request to Overpass (and one to Nominatim for a name), kept for ever in the cache."""

from __future__ import annotations

import gzip
import hashlib
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from sumo_mobility import osm
from sumo_mobility.base.errors import ConfigError, DataError, ServiceError
from sumo_mobility.base.files import cache_folder, replacing
from sumo_mobility.base.progress import waiting
from sumo_mobility.maps.source import MapSource, safe_name

if TYPE_CHECKING:
    import requests

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""
Answer = TypeVar("Answer")

BOX, PLACE = "bbox:", "place:"
LARGEST_M = 25_000.0
"""Longest side of a box. Public servers are shared; a map of 5 km holds all UEs that can be simulated."""
_DEGREE_M = 111_200.0
_LONGEST_WAIT_S = 120.0
"""A server that is busy for longer is not waited for."""
_OTHERWISE = "try again later, name another server with --overpass-url, or give a file with --map"

_QUERY = """[out:xml][timeout:{timeout:.0f}];
way["highway"]({box})->.streets;
(
  way["building"]({box});
  relation["building"]({box});
  nwr["man_made"~"^(antenna|communications_tower|mast|tower)$"]({box});
  nwr["telecom"]({box});
  nwr["communication:mobile_phone"]({box});
)->.structures;
(
  .streets;
  node(w.streets)({box});
  relation(bw.streets)["type"="restriction"];
  .structures;
  .structures >;
);
out;"""
"""Streets end at the box, as `osm.clean` cuts a way where nodes are missing; buildings and masts are whole."""


def parse_box(text: str) -> Box:
    """Reads `W,S,E,N`; ValueError if that is no box, or one too large to ask for."""
    try:
        west, south, east, north = (round(float(part), 6) for part in text.split(","))
    except ValueError:
        raise ValueError("a box is four numbers, W,S,E,N, in degrees") from None
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise ValueError("a box is W,S,E,N in degrees, with W < E within 180 and S < N within 90")
    box = west, south, east, north
    if max(_size_m(box)) > LARGEST_M:
        raise ValueError(f"{_size(box)} is more than {LARGEST_M / 1000:.0f} km a side; take a smaller box")
    return box


def check_download(name: str) -> None:
    """ValueError if `name` is not a good `bbox:W,S,E,N` or `place:NAME`."""
    if name.startswith(BOX):
        parse_box(name.removeprefix(BOX))
    elif not name.removeprefix(PLACE).strip():
        raise ValueError("a place needs a name")


def download(name: str, overpass_url: str = "") -> MapSource:
    """Finds the map of `bbox:W,S,E,N` or `place:NAME` in the cache, or downloads it into the cache.

    The servers, time-outs and proxies are those of `osmnx.settings`. What is kept is the servers' answer, as
    NAME.osm.gz with a JSON as shipped maps have; the JSON is written last, so a map is there wholly or not at all.

    Args:
        name: As `check_download` accepts.
        overpass_url: Of another Overpass server, with or without `/interpreter`; for what is not in the cache.

    Raises:
        ConfigError: Nominatim does not know the place, or it is too large.
        DataError: there is no street, or the file in the cache is damaged.
        ServiceError: a server is down, slow or busy, or its answer is not what was asked for.
        StorageError: the cache cannot be written.
    """
    kind, text = name.split(":", 1)
    box = parse_box(text) if f"{kind}:" == BOX else None
    name = f"{kind}:{_text(box) if box else ' '.join(text.split())}"
    key = f"{safe_name(name)}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    folder = cache_folder() / "maps"
    record = folder / f"{key}.json"
    if record.is_file():
        return MapSource.described(record, f"delete {record}; the map is then downloaded again")
    with _osmnx_settings(overpass_url) as settings:
        server = _host(settings.overpass_url)
        box, title = (box, name) if box else _patiently(lambda: _find_place(name))
        data = _patiently(lambda: _ask_overpass(settings, box))
    _check(data, name, server)
    packed = gzip.compress(data, mtime=0)
    path = folder / f"{key}-{hashlib.sha256(packed).hexdigest()[:8]}.osm.gz"
    with replacing(path) as temporary:
        temporary.write_bytes(packed)
    base = re.search(rb'osm_base="(\d{4}-\d{2}-\d{2})', data[:2000])
    source = MapSource(
        name=name,
        title=title,
        file=path.relative_to(folder),
        sha256=hashlib.sha256(packed).hexdigest(),
        bounding_box_deg=box,
        data_date=base[1].decode() if base else "",
        source=f"OpenStreetMap by Overpass at {server}",
    )
    source.write_json(record)
    return source.model_copy(update={"file": path})


def _find_place(name: str) -> tuple[Box, str]:
    """Returns the box around a place and its full name."""
    from osmnx import geocoder, settings

    url = settings.nominatim_url
    cure = "give --bbox W,S,E,N, or check the name on https://www.openstreetmap.org and add its city or country"
    try:
        with _connection(url), waiting(f"asking {_host(url)} for {name}"):
            found = geocoder.geocode_to_gdf(name.removeprefix(PLACE)).iloc[0]
    except TypeError:
        raise ConfigError(f"{name}: Nominatim knows no area of that name", cure) from None
    except (ValueError, LookupError) as error:
        if isinstance(error, LookupError) or error.__cause__:  # it was no list of places
            raise ServiceError(f"{url}: no answer of Nominatim's ({_words(str(error).encode())})", _OTHERWISE) from None
        raise ConfigError(f"{name}: no such place ({error})", cure) from None
    corners = (found[f"bbox_{side}"] for side in ("west", "south", "east", "north"))
    try:
        return parse_box(",".join(map(str, corners))), str(found["display_name"])
    except ValueError as error:
        raise ConfigError(f"{name}: {error}", "name a district of it, or give --bbox W,S,E,N") from None


def _ask_overpass(settings: Any, box: Box) -> bytes:
    """Returns the answer of the interpreter, read to its end."""
    import requests

    west, south, east, north = box
    timeout_s = float(settings.requests_timeout)
    query = _QUERY.format(timeout=max(timeout_s, 1), box=_text((south, west, north, east)))
    url = f"{settings.overpass_url}/interpreter"
    headers = {"User-Agent": settings.http_user_agent, "Referer": settings.http_referer}
    deadline = time.monotonic() + 2 * timeout_s
    with (
        _connection(url),
        waiting(f"asking {_host(url)} for a map of {_size(box)}"),
        requests.post(
            url,
            data={"data": query},
            headers=headers,
            timeout=(min(timeout_s, 20), timeout_s),
            stream=True,
            **settings.requests_kwargs,
        ) as response,
    ):
        parts = []
        while part := response.raw.read1(1 << 16, decode_content=True):  # what is there, however slowly it comes
            parts.append(part)
            if time.monotonic() > deadline:
                raise requests.Timeout
        return b"".join(parts)


def _check(data: bytes, name: str, server: str) -> None:
    """Refuses an answer that is not whole OpenStreetMap data with streets."""
    if b"<osm" not in data[:2000]:
        raise ServiceError(f"{server} sent no OpenStreetMap data: {_words(data)}", _OTHERWISE)
    if remark := re.search(rb"<remark>(.*?)</remark>", data[-5000:], re.DOTALL):
        raise ServiceError(f"{server} gave up on {name}: {_words(remark[1])}", f"take a smaller box, {_OTHERWISE}")
    try:
        any_street = osm.has_streets(data)
    except RuntimeError as error:
        raise ServiceError(f"{server} sent damaged data for {name} ({error!s:.200})", _OTHERWISE) from None
    if not any_street:
        raise DataError(f"{name}: there is no street", "check the order, W,S,E,N in degrees, or take a larger box")


class _BusyError(ServiceError):
    """A server said when to ask again."""

    wait_s = math.inf


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """Asks; if the server is busy and says for how long, asks once more then."""
    try:
        return ask()
    except _BusyError as busy:
        if busy.wait_s > _LONGEST_WAIT_S:
            raise
        time.sleep(busy.wait_s)
        return ask()


@contextmanager
def _osmnx_settings(overpass_url: str) -> Iterator[Any]:
    """Lends osmnx's settings: no cache of its own, none of its endless retries, and a name that says who asks."""
    from osmnx import settings

    kept = {
        name: getattr(settings, name) for name in ("use_cache", "http_user_agent", "overpass_url", "requests_kwargs")
    }
    settings.use_cache = False
    settings.http_user_agent = f"mlb-testbed/{version('mlb-testbed')} {settings.http_user_agent}"
    settings.overpass_url = (overpass_url or settings.overpass_url).rstrip("/").removesuffix("/interpreter")
    settings.requests_kwargs = {**settings.requests_kwargs, "hooks": {"response": _refuse}}
    try:
        yield settings
    finally:
        for name, value in kept.items():
            setattr(settings, name, value)


def _refuse(response: requests.Response, **_: object) -> None:
    """Raises for an answer that is none, before osmnx sees it."""
    if response.ok:  # redirections too
        return
    words = _words(next(response.iter_content(4000), b""))
    message = f"{_host(response.url)} answered {response.status_code} {response.reason}: {words}"
    if response.status_code not in (429, 503, 504):
        raise ServiceError(message, _OTHERWISE)
    busy = _BusyError(message, _OTHERWISE)
    retry_after = response.headers.get("Retry-After", "")
    if retry_after.isdecimal():
        busy.wait_s = float(retry_after)
    raise busy


@contextmanager
def _connection(url: str) -> Iterator[None]:
    """Turns whatever can happen to a connection into one error."""
    import requests
    import urllib3.exceptions as urllib3

    try:
        yield
    except (requests.Timeout, urllib3.TimeoutError):
        raise ServiceError(f"{url}: no whole answer in time", f"take a smaller box, {_OTHERWISE}") from None
    except (requests.RequestException, urllib3.HTTPError) as error:
        root: BaseException = error
        while root.__context__:
            root = root.__context__
        raise ServiceError(f"{url}: no answer ({root})", f"check the connection, {_OTHERWISE}") from None


def _words(page: bytes) -> str:
    """The beginning of what a page says, without its tags; of an Overpass error page, the error."""
    text = " ".join(re.sub(r"<[^>]*>", " ", page.decode(errors="replace")).split())
    return text[max(text.find("Error"), 0) :][:200] or "(nothing)"


def _size_m(box: Box) -> tuple[float, float]:
    west, south, east, north = box
    return (east - west) * math.cos(math.radians((south + north) / 2)) * _DEGREE_M, (north - south) * _DEGREE_M


def _size(box: Box) -> str:
    width_m, height_m = _size_m(box)
    return f"{width_m / 1000:.1f} km x {height_m / 1000:.1f} km"


def _text(box: Box) -> str:
    return ",".join(f"{degrees:.9g}" for degrees in box)


def _host(url: str) -> str:
    return urlsplit(url).netloc
