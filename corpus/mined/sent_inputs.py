"""The files that a unit of mined snippets reads, for workers elsewhere: a repository, packages, benchmarks.

The interpreter and its standard library are not sent: a worker's machine has to have one of the same version. Nor is an
environment made there: it is sent as it was made, once a machine, so that all workers have the same packages whatever
an index offers meanwhile, and need none.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import cast

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.mined.environments.interpreters import interpreters
from trace_mine.corpus.mined.import_search import search_of
from trace_mine.corpus.mined.payload import MinedPayload, TracerArguments
from trace_mine.corpus.sending.store import store_here
from trace_mine.corpus.sending.unit import UnitInputs
from trace_mine.corpus.work import Payload


def _paths(payload: Payload) -> Sequence[Path]:
    unit = cast(MinedPayload, payload)
    paths = [unit.get("benchmarks")]
    if "tracer" in unit:  # not there where a repository could not be read
        tracer = unit["tracer"]
        paths += [tracer["repository"], *tracer["packages"], *tracer["site_folders"]]
    return [Path(path) for path in dict.fromkeys(paths) if path]


def _moved(payload: Payload, places: Mapping[Path, Path]) -> Payload:
    unit = cast(MinedPayload, payload)
    # those of the command's machine too: evidence of what was dropped there may name them
    hidden = [*unit["hidden"], str(store_here().folder)]
    moved: dict[str, object] = {**payload, "hidden": hidden}
    if benchmarks := unit.get("benchmarks"):
        moved["benchmarks"] = str(places[Path(benchmarks)])
    if "tracer" in unit:
        tracer = unit["tracer"]
        python = _python(tracer["python"], tracer["python_version"])
        repository = None if tracer["repository"] is None else str(places[Path(tracer["repository"])])
        arguments: TracerArguments = {
            **tracer,
            "repository": repository,
            "library": [_library(python, path) for path in tracer["library"]],
            "packages": [str(places[Path(path)]) for path in tracer["packages"]],
            "site_folders": [str(places[Path(path)]) for path in tracer["site_folders"]],
            "python": python,
        }
        moved["tracer"] = arguments
        if repository is not None:
            moved["hidden"] = [repository, *hidden]  # before the folder that it is in, as evidence is scrubbed
    return moved


MINED_INPUTS = UnitInputs(paths=_paths, moved=_moved)
"""The files of a mined unit, for workers on other machines."""


@cache
def _python(named: str, version: str) -> str:
    """This machine's interpreter of a version; the one that stands where it was named before all others.

    Raises:
        CorpusError: there is none.
    """
    minor = ".".join(version.split(".")[:2])
    for python in (named, sys.executable, interpreters().get(minor, "")):
        if python and Path(python).exists() and search_of(python).version == version:
            return python
    raise CorpusError(
        f"expected Python {version} on {socket.gethostname()}, got none; install it there, or name one that "
        "all machines have by --python"
    )


def _library(python: str, path: str) -> str:
    """The file or folder of a module of the standard library here. Raises CorpusError: it has none."""
    source = search_of(python).source_of(Path(path).name.removesuffix(".py"))
    if source is None:
        raise CorpusError(f"expected the module {Path(path).name} of the standard library, got none; reinstall Python")
    return str(source)
