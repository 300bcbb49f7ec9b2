"""Overpass and Nominatim on a loopback port, over the real data of Helsinki: enough of their languages to answer us."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import osmium

from sumo_mobility.maps import find_map

Key = tuple[str, int]
BUSY_PAGE = (
    '<?xml version="1.0" encoding="UTF-8"?><html><head><title>OSM3S Response</title></head><body><p>The data included '
    'in this document is from www.openstreetmap.org.</p><p><strong style="color:#FF0000">Error</strong>: runtime '
    "error: open64: 0 Success /osm3s_osm_base Dispatcher_Client::request_read_and_idx::rate_limited. </p></body></html>"
)
NOTHING = (
    '<?xml version="1.0"?><osm version="0.6" generator="Overpass API"><meta osm_base="2019-04-21T00:00:00Z"/>{}</osm>'
)
SHORT_OF_TIME = '<remark> runtime error: Query timed out in "query" at line 2 after 181 seconds. </remark>'


@dataclass(frozen=True)
class Thing:
    """A node, way or relation: its tags, and what it refers to."""

    tags: dict[str, str]
    at: tuple[float, float] | None = None
    members: tuple[tuple[Key, str], ...] = ()


@lru_cache(maxsize=1)
def helsinki() -> dict[Key, Thing]:
    """All that the shipped extract holds."""
    kinds = {"n": "node", "w": "way", "r": "relation"}
    things = {}
    for item in osmium.FileProcessor(str(find_map("helsinki-centre").file)):
        if item.is_node():
            things["node", item.id] = Thing(dict(item.tags), (item.location.lon, item.location.lat))
        elif item.is_way():
            members = tuple((("node", node.ref), "") for node in item.nodes)
            things["way", item.id] = Thing(dict(item.tags), members=members)
        else:
            members = tuple(((kinds[member.type], member.ref), member.role) for member in item.members)
            things["relation", item.id] = Thing(dict(item.tags), members=members)
    return things


class Overpass:
    """Evaluates the statements of Overpass QL that are named in `_statement`; ValueError for any other."""

    def __init__(self) -> None:
        self.things = helsinki()
        self.sets: dict[str, set[Key]] = {}

    def answer(self, query: str) -> str:
        """The answer to a whole query, as XML."""
        settings, *statements, out, end = _split(query)
        if not settings.startswith("[out:xml]") or (out, end) != ("out", ""):
            raise ValueError(f"{settings} ... {out}")
        for statement in statements:
            self.sets["_"] = self._statement(statement)
        root = ElementTree.fromstring(NOTHING.format(""))
        order = {"node": 0, "way": 1, "relation": 2}
        for key in sorted(self.sets["_"] & self.things.keys(), key=lambda key: (order[key[0]], key[1])):
            thing = self.things[key]
            element = ElementTree.SubElement(root, key[0], id=str(key[1]))
            if thing.at:
                element.set("lon", f"{thing.at[0]:.7f}")
                element.set("lat", f"{thing.at[1]:.7f}")
            for (kind, ref), role in thing.members:
                if key[0] == "way":
                    ElementTree.SubElement(element, "nd", ref=str(ref))
                else:
                    ElementTree.SubElement(element, "member", type=kind, ref=str(ref), role=role)
            for name, value in thing.tags.items():
                ElementTree.SubElement(element, "tag", k=name, v=value)
        return ElementTree.tostring(root, encoding="unicode")

    def _statement(self, text: str) -> set[Key]:
        text, _, name = text.partition("->.")
        if union := re.fullmatch(r"\((.*;)\s*\)", text, re.DOTALL):
            result = set().union(*(self._statement(part) for part in _split(union[1])[:-1]))
        elif item := re.fullmatch(r"\.(\w+)( >)?", text):
            result = self._below(self.sets[item[1]]) if item[2] else self.sets[item[1]]
        elif query := re.fullmatch(r"(node|way|relation|nwr)((?:\[[^\]]*\]|\([^)]*\))+)", text):
            kinds = ("node", "way", "relation") if query[1] == "nwr" else (query[1],)
            filters = re.findall(r"\[[^\]]*\]|\([^)]*\)", query[2])
            result = {key for key in self.things if key[0] in kinds}
            for part in filters:
                result = self._filtered(result, part)
        else:
            raise ValueError(text)
        if name:
            self.sets[name] = result
        return result

    def _filtered(self, keys: set[Key], part: str) -> set[Key]:
        if tag := re.fullmatch(r'\["([^"]+)"(?:([=~])"([^"]*)")?\]', part):
            pattern = {None: "", "=": f"^{tag[3]}$", "~": tag[3]}[tag[2]]
            values = {key: self.things[key].tags.get(tag[1]) for key in keys}
            return {key for key, value in values.items() if value is not None and re.search(pattern, value)}
        if link := re.fullmatch(r"\((w|bw)\.(\w+)\)", part):
            ways = {key for key in self.sets[link[2]] if key[0] == "way"}
            if link[1] == "w":
                return keys & {member for way in ways for member, _ in self.things[way].members}
            return {key for key in keys if any(member in ways for member, _ in self.things[key].members)}
        south, west, north, east = map(float, part.strip("()").split(","))
        return {key for key in keys if self._touches(key, west, south, east, north)}

    def _touches(self, key: Key, west: float, south: float, east: float, north: float) -> bool:
        thing = self.things.get(key)
        if thing is None:
            return False
        if thing.at:
            return west <= thing.at[0] <= east and south <= thing.at[1] <= north
        members = (member for member, _ in thing.members if member[0] != "relation")
        return any(self._touches(member, west, south, east, north) for member in members)

    def _below(self, keys: set[Key]) -> set[Key]:
        members = {member for key in keys if key in self.things for member, _ in self.things[key].members}
        members = {member for member in members if member[0] != "relation"}
        return members | {node for way in members if way in self.things for node, _ in self.things[way].members}


@lru_cache
def overpass(query: str) -> str:
    """The answer to a query, remembered."""
    return Overpass().answer(query)


def find_places(name: str) -> list[dict[str, object]]:
    """What Nominatim would say of a name: the closed ways that bear it."""
    things, found = helsinki(), []
    for (kind, number), thing in things.items():
        points = [things[key].at for key, _ in thing.members if key in things] if kind == "way" else []
        if thing.tags.get("name") == name and len(points) > 3 and points[0] == points[-1]:
            east, north = zip(*points, strict=True)
            found.append({
                "osm_type": kind, "osm_id": number, "importance": 0.1, "display_name": f"{name}, Helsinki, Suomi",
                "lat": str(north[0]), "lon": str(east[0]), "geojson": {"type": "Polygon", "coordinates": [points]},
                "boundingbox": [str(min(north)), str(max(north)), str(min(east)), str(max(east))],
            })  # fmt: skip
    return found


@dataclass
class Server:
    """A running server.

    Attributes:
        url: Without a path.
        moods: How it takes the next requests, the last one for good: "well", "html", "busy", "busy 1" (says to come
            again in 1 s), "remark", "empty", "cut" (within the answer), "torn" (the connection), "silent", "drip".
        requests: Path and headers of all requests.
    """

    url: str
    moods: list[str] = field(default_factory=lambda: ["well"])
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def serve() -> Iterator[Server]:
    """Runs the server while the block does."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            self._reply(lambda: json.dumps(find_places(query["q"][0])))

        def do_POST(self) -> None:
            query = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["data"][0]
            self._reply(lambda: overpass(query))

        def _reply(self, answer) -> None:
            server.requests.append((urlsplit(self.path).path, dict(self.headers)))
            mood = server.moods.pop(0) if len(server.moods) > 1 else server.moods[0]
            if mood == "silent":
                over.wait()
                return
            if mood.startswith("busy"):
                retry_after = mood.removeprefix("busy").strip()
                self._head(429, {"Retry-After": retry_after} if retry_after else {}, len(BUSY_PAGE))
                self.wfile.write(BUSY_PAGE.encode())
                return
            if mood == "drip":
                self._head(200, {}, 1 << 20)
                while not over.wait(0.2):
                    self.wfile.write(b" ")
                return
            pages = {"html": "<html><body><h1>Sign in to the hotel</h1></body></html>", "empty": NOTHING.format(""),
                     "remark": NOTHING.format(SHORT_OF_TIME)}  # fmt: skip
            body = (pages[mood] if mood in pages else answer()).encode()
            packed = gzip.compress(body[: len(body) // 2] if mood == "cut" else body)
            self._head(200, {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"})
            for begin in range(0, len(packed) // 2 if mood == "torn" else len(packed), 1000):
                part = packed[begin : begin + 1000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            if mood != "torn":
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True

        def _head(self, status: int, headers: dict[str, str], length: int | None = None) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """The client hangs up on what is slow."""

    with Quiet(("127.0.0.1", 0), Handler) as http:
        server = Server(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            over.set()
            http.shutdown()
            thread.join()


def _split(text: str) -> list[str]:
    """Cuts at the semicolons that stand in no parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == ";" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
