"""A unit as it goes to a worker that sees nothing of the command's disk, and what comes back."""

from __future__ import annotations

import hashlib
import json
import platform
import socket
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.hashing import code_hash
from trace_mine.corpus.sending.store import store_here
from trace_mine.corpus.unit_items import all_items, write_items
from trace_mine.corpus.work import Marker, Payload, Traces, entries_of


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitInputs:
    """What an origin says of the files that its units read; both are functions of a module, so that they are pickled by
    name.

    Attributes:
        paths: the files and folders of the command's machine that a payload names, each absolute.
        moved: the payload for another machine; given are the paths there, by those here. Raises CorpusError where the
            machine can't run it (no such interpreter).
    """

    paths: Callable[[Payload], Sequence[Path]]
    moved: Callable[[Payload, Mapping[Path, Path]], Payload]


def _no_paths(payload: Payload) -> Sequence[Path]:
    return ()


def _unmoved(payload: Payload, places: Mapping[Path, Path]) -> Payload:
    return payload


NO_INPUTS = UnitInputs(paths=_no_paths, moved=_unmoved)
"""Those of an origin whose payloads name no files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitResult:
    """A finished unit: its marker, and the bytes of its result's file, which the marker vouches for."""

    marker: Marker
    result: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LackedBundles:
    """A worker's answer that its machine lacks bundles: their names, and the ``place`` that is to be sent them."""

    place: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentUnit:
    """A unit for a worker elsewhere. Calling it there gives the result, or says what the machine lacks.

    Attributes:
        payload: the unit's, as JSON.
        traces: the origin's function from a payload to items.
        inputs: the origin's.
        bundles: by path on the command's machine, the name of the bundle.
        code: the hash of the code that made the payload.
        machine: the kind of machine that the bundles are for, which may hold compiled code.
    """

    payload: bytes
    traces: Traces
    inputs: UnitInputs
    bundles: Mapping[Path, str]
    code: str
    machine: str

    def __call__(self) -> UnitResult | LackedBundles:
        """Run the unit here.

        Raises:
            CorpusError: this machine can't, and none of the unit's bundles will help it.
        """
        if code_hash() != self.code:
            raise CorpusError(
                f"expected the same code of trace-mine everywhere, got another on {socket.gethostname()}; install the "
                "same version there, and restart the workers"
            )
        if self.bundles and machine_kind() != self.machine:
            raise CorpusError(
                f"expected workers on {self.machine}, got {machine_kind()} on {socket.gethostname()}; start the "
                "command and the workers on machines of one kind"
            )
        store = store_here()
        lacked = store.lacking(self.bundles.values())
        if lacked:
            return LackedBundles(place=store.place, names=lacked)
        places = {path: store.path(name, path.name) for path, name in self.bundles.items()}
        payload = self.inputs.moved(json.loads(self.payload), places)
        with tempfile.TemporaryFile() as file:
            counts = write_items(file, all_items(self.traces, payload), len(entries_of(payload)))
            file.seek(0)
            result = file.read()
        marker = counts.marker(num_bytes=len(result), sha256=hashlib.sha256(result).hexdigest())
        return UnitResult(marker=marker, result=result)


def machine_kind() -> str:
    """Return the kind of this machine, as far as compiled packages depend on it: ``Linux x86_64``."""
    return f"{platform.system()} {platform.machine()}"
