"""Opens the real Tracer in a worker process, from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trace_mine.corpus.source import CorpusError
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.views import parse_view


def open_tracer(arguments: Mapping[str, Any]) -> Tracer:
    """The real Tracer, for TracerConfig's keyword arguments as JSON."""
    repository = arguments["repository"]
    config = TracerConfig(
        **{
            **arguments,
            "repository": None if repository is None else Path(repository),
            "packages": tuple(Path(path) for path in arguments["packages"]),
            "sys_path": tuple(arguments["sys_path"]),
            "own": tuple(arguments["own"]),
            "library": tuple(arguments["library"]),
            "warm": tuple(arguments["warm"]),
            "limits": Limits(**arguments["limits"]),
            "view": parse_view(arguments["view"]),
        }
    )
    try:
        return Tracer(config)
    except SandboxUnavailable as error:
        raise CorpusError(str(error)) from error
