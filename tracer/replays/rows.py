"""Verifies a stored row from outside: its text is run again after its set-up, and prints the same or does not.

For whoever reads a dataset and has the repository that a row came from; ``trace-mine verify`` asks it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside.protocol.answers import ReplayReport
from trace_mine.tracer.inside.protocol.jobs import Program, ReplayJob
from trace_mine.tracer.rounds import Failed, result_of
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.two_worlds import jail_of

DEFAULT_READERS = ("console", "doctest")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowVerdict:
    """The result of a row's verification.

    ``printed`` are the readers by which the text printed the same again, sorted; ``failures`` maps each other reader to
    the evidence: the command that differed, or why the text could not be run.

    Raises:
        ValueError: a reader is in both.
    """

    printed: tuple[str, ...]
    failures: Mapping[str, str]

    def __post_init__(self) -> None:
        if twice := set(self.printed) & set(self.failures):
            raise ValueError(f"expected each reader in one of printed and failures, got {sorted(twice)} in both")

    @property
    def holds(self) -> bool:
        """True if every reader printed the text again."""
        return not self.failures


class RowVerifier:
    """Verifies rows of one repository, in jails that are kept between rows. A context manager.

    Args:
        repository: the folder that the rows were mined from; None for rows that import nothing.
        packages: installed packages (folders or single files) that the rows may import as well.
        sys_path: folders below the repository to import from: a row's ``setup["sys_path"]``.
        config: the rest: limits, interpreter, levels; None: the defaults.

    Raises:
        SandboxUnavailable: this machine offers less than the wanted level.
    """

    def __init__(
        self,
        repository: Path | None = None,
        packages: Sequence[Path] = (),
        sys_path: Sequence[str] = (),
        config: TracerConfig | None = None,
    ) -> None:
        base = config or TracerConfig()
        self._config = TracerConfig(
            repository=repository,
            packages=tuple(packages),
            sys_path=tuple(sys_path),
            limits=base.limits,
            python=base.python,
            minimum_level=base.minimum_level,
            allow_unsafe=base.allow_unsafe,
        )
        self._worker = Worker(
            jail_of(self._config, replaying=True),
            self._config.limits,
            minimum_level=self._config.minimum_level,
            allow_unsafe=self._config.allow_unsafe,
        )

    def __enter__(self) -> RowVerifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the jails."""
        self._worker.close()

    def verify(self, text: str, setup: Mapping[str, object], readers: Sequence[str] = DEFAULT_READERS) -> RowVerdict:
        """Run a row's text again after its set-up, once by each reader.

        Args:
            text: the row's ``text``.
            setup: its ``setup``: ``module`` and ``code``.
            readers: names of readers.
        """
        module, code = setup.get("module"), setup.get("code") or ""
        program = Program(module=None if module is None else str(module), code=str(code))
        printed: list[str] = []
        failures: dict[str, str] = {}
        for reader in readers:
            job = ReplayJob(reader=reader, program=program, text=text)  # type: ignore[arg-type]  # the record checks it
            try:
                report = result_of(self._worker.run(job), reader, ReplayReport)
            except Failed as failed:
                failures[reader] = f"{failed.drop.reason}: {failed.drop.evidence}"
                continue
            if report.differences:
                first = report.differences[0]
                failures[reader] = f"{first.source!r} printed {first.got[:200]!r}, not {first.wanted[:200]!r}"
            else:
                printed.append(reader)
        return RowVerdict(printed=tuple(sorted(printed)), failures=failures)


def verify_row(
    text: str,
    setup: Mapping[str, object],
    repository: Path | None = None,
    packages: Sequence[Path] = (),
    readers: Sequence[str] = DEFAULT_READERS,
) -> RowVerdict:
    """Verify one stored row in jails of its own; ``RowVerifier`` is cheaper for many.

    Args:
        text: the row's ``text``.
        setup: its ``setup``.
        repository: the folder that it was mined from; None where it imports nothing.
        packages: installed packages that it may import as well.
        readers: names of readers.

    Raises:
        SandboxUnavailable: this machine offers no sandbox.
    """
    folders = setup.get("sys_path") or ()
    sys_path = tuple(map(str, folders)) if isinstance(folders, (list, tuple)) else ()
    with RowVerifier(repository, packages, sys_path) as verifier:
        return verifier.verify(text, setup, readers)
