"""Starts a Tracer in a worker process, from the arguments that a unit's payload holds as JSON.

``tracing`` finds this function by its name in the payload, so that finding snippets never loads the sandbox, and tests
can name another one.
"""

from __future__ import annotations

from pathlib import Path

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.mined.payload import TracerArguments
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.views import parse_view


def config_of(arguments: TracerArguments) -> TracerConfig:
    """Make the configuration of a Tracer from its keyword arguments as JSON.

    Raises:
        ValueError: a limit or the view is out of its range.
    """
    repository = arguments["repository"]
    return TracerConfig(
        # Field by field and not `**arguments`: JSON has neither paths nor tuples.
        repository=None if repository is None else Path(repository),
        sys_path=tuple(arguments["sys_path"]),
        packages=tuple(Path(path) for path in arguments["packages"]),
        site_folders=tuple(Path(path) for path in arguments["site_folders"]),
        own=tuple(arguments["own"]),
        library=tuple(arguments["library"]),
        warm=tuple(arguments["warm"]),
        limits=Limits(**arguments["limits"]),  # type: ignore[arg-type]  # a JSON object, checked by Limits
        follow=arguments["follow"],
        view=parse_view(arguments["view"]),
        only_choices=arguments["only_choices"],
        windows=tuple(arguments["windows"]),
        keeps_records=arguments["keeps_records"],
        python=arguments["python"],
        minimum_level=arguments["minimum_level"],
        sandbox_level=arguments["sandbox_level"],
        allow_unsafe=arguments["allow_unsafe"],
        seed=arguments["seed"],
    )


def start_tracer(arguments: TracerArguments) -> Tracer:
    """Start a Tracer with its sandbox running.

    Args:
        arguments: the keyword arguments of ``TracerConfig`` as JSON.

    Raises:
        CorpusError: this machine offers less isolation than is asked for.
        ValueError: a limit or the view is out of its range.
    """
    try:
        return Tracer(config_of(arguments))
    except SandboxUnavailable as error:  # it concerns all units, so it ends the command instead of dropping snippets
        raise CorpusError(str(error)) from error
