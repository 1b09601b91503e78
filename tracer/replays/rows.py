"""Verifies a stored row from outside: its text is run again after its set-up, and prints the same or does not.

For whoever reads a dataset and has the repository that a row came from; ``trace-mine verify`` asks it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside.protocol.codec import from_json
from trace_mine.tracer.inside.protocol.jobs import Program, Recorded
from trace_mine.tracer.replays.jails import ReplayJails
from trace_mine.tracer.replays.registry import READERS
from trace_mine.tracer.replays.session import Session, commands_of, differences, exit_output, prompt_part
from trace_mine.tracer.rounds import Failed
from trace_mine.tracer.sandbox.working_folder import WorkingFolder
from trace_mine.tracer.script_world import repository_folder

DEFAULT_READERS = ("doc", "stock")
MAX_SESSION_BYTES = 8 << 20
"""Of a text with its set-up, as JSON: as much as a whole row may have, and far below what a jail takes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowVerdict:
    """The result of a row's verification.

    ``printed`` are the readers by which the text printed the same again, sorted; ``in_part`` those that printed it as
    far as a SystemExit, which ended them; ``failures`` maps each other reader to the evidence: the command that
    differed, or why the text could not be run.

    Raises:
        ValueError: a reader is in two of them.
    """

    printed: tuple[str, ...]
    failures: Mapping[str, str]
    in_part: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [*self.printed, *self.in_part, *self.failures]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"expected each reader in one of printed, in_part and failures, got {twice} in two")

    @property
    def holds(self) -> bool:
        """True if every reader printed the whole text again."""
        return not self.failures and not self.in_part


class RowVerifier:
    """Verifies rows of one repository, in jails that are kept between rows. A context manager.

    Args:
        repository: the folder that the rows were mined from; None for rows that import nothing.
        packages: installed packages (folders or single files) that the rows may import as well.
        sys_path: folders below the repository to import from: a row's ``setup["sys_path"]``.
        config: the rest: limits, interpreter, levels, view (of rows that hide choices), laws; None: the defaults.

    A jail is started when the first row needs it, which raises SandboxUnavailable where this machine offers less than
    the wanted level.
    """

    def __init__(
        self,
        repository: Path | None = None,
        packages: Sequence[Path] = (),
        sys_path: Sequence[str] = (),
        config: TracerConfig | None = None,
    ) -> None:
        base = config or TracerConfig()
        self._repository = repository
        self._jails = ReplayJails(
            replace(base, repository=repository, packages=tuple(packages), sys_path=tuple(sys_path), warm=())
        )

    def __enter__(self) -> RowVerifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the jails."""
        self._jails.close()

    @property
    def sandbox(self) -> dict[str, object] | None:
        """The ``level`` and ``layers`` of the jails; None before the first row was run."""
        return self._jails.sandbox

    def verify(self, text: str, setup: Mapping[str, object], readers: Sequence[str] = DEFAULT_READERS) -> RowVerdict:
        """Run a row's text again after its set-up, once by each reader.

        Args:
            text: the row's ``text``.
            setup: its ``setup``: ``module``, ``code``, ``choices`` and ``folder``.
            readers: names of readers (``registry.READERS``). A row with recorded choices is read by ``patched``
                instead, and of one that goes on after SystemExit a reader that this ends reads the part before.

        Raises:
            KeyError: there is no reader of this name.
        """
        try:
            session = _session_of(text, setup)
        except (ValueError, TypeError, RecursionError) as error:  # TypeError: no JSON
            return RowVerdict(printed=(), failures=dict.fromkeys(readers, f"no session: {error}"[:400]))
        folder = setup.get("folder")
        if isinstance(folder, str) and self._repository is not None:
            self._jails.hold_folder(repository_folder(self._repository, "" if folder == "." else folder).content)
        else:
            self._jails.hold_folder(WorkingFolder())
        commands, draws = session.commands, session.draws
        printed: list[str] = []
        in_part: list[str] = []
        failures: dict[str, str] = {}
        for name in ("patched",) if draws is not None else readers:
            reader = READERS[name]
            asked = commands if reader.survives_exit else prompt_part(commands)
            try:
                reading = reader.read(self._jails.worker(reader.jail), replace(session, commands=asked), 0)
            except Failed as failed:
                failures[name] = f"{failed.drop.reason}: {failed.drop.evidence}"
                continue
            at_exit = "" if reader.survives_exit else exit_output(commands)
            different = differences(asked, reading, at_exit=at_exit)
            if different:
                first = different[0]
                failures[name] = f"{first.source!r} printed {first.got[:200]!r}, not {first.wanted[:200]!r}"
            else:
                (printed if len(asked) + bool(at_exit) >= len(commands) else in_part).append(name)
        return RowVerdict(printed=tuple(sorted(printed)), failures=failures, in_part=tuple(sorted(in_part)))


def _session_of(text: str, setup: Mapping[str, object]) -> Session:
    """Return the session of a row that anybody may have made.

    Raises:
        ValueError: it is none, or longer than a row may be; a ProtocolError is one.
        TypeError, RecursionError: the set-up is no JSON, or nests too deeply.
    """
    module, code, choices = setup.get("module"), setup.get("code") or "", setup.get("choices") or []
    # before anything else looks at it: as JSON, since a character may take 12 bytes there
    size = len(json.dumps([text, module, code, choices]))
    if size > MAX_SESSION_BYTES:
        raise ValueError(f"expected a text and a set-up of at most {MAX_SESSION_BYTES} bytes as JSON, got {size}")
    return Session(
        commands=commands_of(text),
        program=Program(module=None if module is None else str(module), code=str(code)),
        draws=from_json(Recorded, {"outcomes": choices}) if choices else None,
    )


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
