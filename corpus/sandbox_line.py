"""Tells, before anything runs, how strongly this machine's sandbox confines snippets, or that there is none."""

from __future__ import annotations

from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.command_line import tell_sandbox
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.session import Tracer, TracerConfig


def tell_sandbox_of(config: TracerConfig) -> None:
    """Start a sandbox as the units' workers will, print its level on standard error, and take it down again.

    The repository's modules are not imported in it. It takes about 0.2 seconds.

    Raises:
        CorpusError: this machine offers less than ``config`` asks for, or (exit code 2) no jail can be as it says.
    """
    try:
        with Tracer(config) as tracer:
            tell_sandbox(tracer.sandbox)
    except SandboxUnavailable as error:
        raise CorpusError(str(error)) from error
    except ValueError as error:  # no interpreter, say
        raise CorpusError(str(error), exit_code=2) from error
