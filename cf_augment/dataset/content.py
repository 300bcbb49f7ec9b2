"""The checksum of what an episode says, whatever file it is in and whatever machine made it."""

from __future__ import annotations

import hashlib

from cf_augment.dataset.records import Episode
from cf_augment.dataset.storage.groups import TRACE_FIELDS
from ns3_scenarios.kpis import KPI_AXES

CONTENT = "mlb-content-1"
"""Version of what `content_sha256` takes in; another one has other checksums."""


def content_sha256(episode: Episode) -> str:
    """Returns the hexadecimal SHA-256 of an episode's content.

    It covers who played what (scenario, trace, policy, seed, back end), observations, actions and their log-densities,
    rewards, all KPIs, events and the trace. It is no checksum of a file, since the same data are other bytes with
    another version of HDF5 or ISA-L; nor does it cover versions of software, which say how the data came about.
    Numbers count in single precision: the last bits of a double depend on whether the processor fuses multiplications
    and additions, since numpy and the C library choose by what it can, and so walks on two machines differ by 1e-13 m.

    Raises:
        DataError: it was measured and has no trace.
    """
    record, trace = episode.metadata, episode.moved("a checksum of content")
    total = hashlib.sha256(CONTENT.encode())
    who = (
        record.scenario_id,
        record.trace_name,
        record.policy,
        str(record.seed),
        record.backend,
        trace.metadata.context,
    )
    total.update("\0".join(who).encode())
    arrays = {name: getattr(episode, name) for name in ("observations", "actions", "rewards", "behavior_log_probs")}
    arrays |= {f"kpis/{name}": getattr(episode.kpis, name) for name in KPI_AXES}
    arrays |= {f"events/{name}": episode.kpis.events[name] for name in episode.kpis.events.dtype.names or ()}
    arrays |= {f"trace/{name}": getattr(trace, name) for name in TRACE_FIELDS}
    for name, array in {**arrays, "event_start": episode.event_start}.items():
        plain = array.astype("<f4" if array.dtype.kind == "f" else "<i8")
        total.update(f"{name} {plain.shape}".encode() + (plain + plain.dtype.type(0)).tobytes())  # -0 is 0
    return total.hexdigest()
