"""Runs the reader in a sandbox: one jail for many repositories, a fresh process with limits of its own for each.

Whatever a repository does to the process that reads it (a hang, a crash, memory, output without end, a lie) ends that
process and comes out as a drop ``unreadable_repository``; the next repository is read by another one. The jail shows
the inputs, read-only, our own code, and the two packages that know licences. It has a sandbox's level like those of the
runs: 3, or 2 where 3 can't be had.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trace_mine.corpus.cleaning.detect_secrets_patterns import detect_secrets_patterns
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.hashing import code_hash, content_key
from trace_mine.corpus.mined.archives import MAX_MEMBER_BYTES, PART_BYTES
from trace_mine.corpus.mined.provenance import Provenance
from trace_mine.corpus.mined.reader_protocol import (
    CLEANINGS,
    MAX_LINE_BYTES,
    READINGS,
    CleanedFile,
    CleaningSummary,
    CleanRequest,
    FoundSnippet,
    LicenceRule,
    ReadingRefusal,
    ReadRequest,
    RepositorySummary,
    UnpackRequest,
    from_line,
    request_text,
)
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.corpus.mined.snippets.file_roles import ScriptChoice
from trace_mine.corpus.mined.staging import stage_archive, unreadable
from trace_mine.tracer.atomic import new_folder
from trace_mine.tracer.config import WorkerLevels
from trace_mine.tracer.inside.protocol.codec import ProtocolError, Record
from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, Mount, SandboxUnavailable, Worker
from trace_mine.tracer.schema import Drop, Outcome

READING_LIMITS = Limits(
    # CPU time decides; `discovery` gives up long before, but for one file of megabytes that parses slowly.
    cpu_seconds=300,
    wall_seconds=1200.0,
    memory_bytes=2 << 30,
    # The snippets of the largest repositories have some 15 MB of text; a script is sent whole.
    output_bytes=64 << 20,
)
"""The limits of reading one repository."""
UNPACKING_LIMITS = Limits(
    cpu_seconds=120,
    wall_seconds=600.0,
    memory_bytes=1 << 30,
    output_bytes=MAX_MEMBER_BYTES + PART_BYTES + MAX_LINE_BYTES,
)
"""The limits of unpacking one part of an archive: a gigabyte of bzip2 takes 100 s."""
UNPACKING_SECONDS = 600.0
"""CPU time for an archive, all its parts together."""
WORKER_LIMITS = Limits(memory_bytes=2 << 30)
"""The jail's own; each run has one of the two above."""

CODE = "/reader"
INPUTS = "/inputs"
LIBRARIES = ("licenseclassifier", "license_expression", "boolean", "packaging", "pathspec", "yaml")
"""Packages that the reading code imports, in pure Python as far as it needs them; ``boolean`` is needed by the one
before it.
"""
GIT_LIBRARIES = ("dulwich",)
"""Packages that read git's objects, for a reader of checkouts."""
ENTRY = "trace_mine.corpus.mined.reading"
# What is imported before the first repository comes, once for all of them. The last one loads its tables when it is
# first asked, which would cost each repository with a licence file 0.1 s.
START_ATTEMPTS = 2
"""How often the jail is started; a killed process is no reason to end the run."""
WARM = (ENTRY, "trace_mine.corpus.mined.licence_tables")
_PROGRAM = f"from {ENTRY} import answer\nanswer({{!r}})\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryReading:
    """A repository as it was read.

    Attributes:
        candidates: its snippets, in the order of its files.
        summary: what else is to be said of it.
    """

    candidates: tuple[Candidate, ...]
    summary: RepositorySummary

    @property
    def provenance(self) -> Provenance:
        """The origin of its rows."""
        return self.summary.provenance()


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryCleaning:
    """The files of a repository that had something to replace, clean, and what was replaced in all of them."""

    files: tuple[CleanedFile, ...]
    summary: CleaningSummary


class RepositoryReader:
    """A jail that reads what is below some folders. A context manager; starts at once.

    Args:
        inputs: the files and folders that it may read.
        staging: the folder for copies of inputs and of our own code, which it may read too.
        minimum_level: the weakest sandbox to accept; below 2 only with ``allow_unsafe``.
        maximum_level: the strongest one to use.
        allow_unsafe: read without a sandbox where there is none.
        python: the interpreter that reads: the one that runs the snippets, since what parses depends on its version.
        reads_git: ``read`` may be asked for the time of commits, and read versions that are made of git's tags.

    Attributes:
        level: the sandbox's.

    Raises:
        CorpusError: this machine offers less isolation than is asked for, or the jail dies each time it starts.
    """

    def __init__(
        self,
        inputs: Sequence[Path],
        staging: Path,
        *,
        minimum_level: int = 2,
        maximum_level: int = 3,
        allow_unsafe: bool = False,
        python: str = sys.executable,
        reads_git: bool = False,
    ) -> None:
        staging.mkdir(parents=True, exist_ok=True)
        staging = staging.resolve()
        # Whatever the umask: the jail's user is another one where root mines.
        os.chmod(staging, 0o755)
        self._staging = staging
        code = _stage_code(staging, (*LIBRARIES, *GIT_LIBRARIES) if reads_git else LIBRARIES)
        mounts = [Mount(source=code, target=CODE), Mount(source=staging, target=f"{INPUTS}/staging")]
        # An input keeps its own name, by which the reader tells what kind of archive it is.
        mounts += [Mount(source=path, target=f"{INPUTS}/{n}/{path.name}") for n, path in enumerate(inputs)]
        self._mounts = mounts
        jail = Jail(python=python, mounts=tuple(mounts), sys_path=(CODE,), warm=WARM, pinned_clock=False)
        levels = WorkerLevels(minimum_level=minimum_level, maximum_level=maximum_level, allow_unsafe=allow_unsafe)
        self._worker = _started(jail, levels)
        self.level = self._worker.level

    def __enter__(self) -> RepositoryReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the jail."""
        self._worker.close()

    def unpack(self, archive: Path) -> Path | Drop:
        """Unpack an archive into the staging folder; return the repository's root.

        Raises:
            OSError: the disk is full.
        """
        seconds_left = UNPACKING_SECONDS

        def read_part(first_member: int) -> bytes | Drop:
            nonlocal seconds_left
            if seconds_left <= 0:
                return unreadable(f"unpacking took more than {UNPACKING_SECONDS:g} s of CPU time")
            request = UnpackRequest(archive=self._inside(archive), first_member=first_member)
            answer = self._ask(request, UNPACKING_LIMITS)
            if isinstance(answer, Drop):
                return answer
            seconds_left -= answer.cpu_seconds
            return answer.stdout

        return stage_archive(archive, self._staging, read_part)

    def read(
        self,
        root: Path,
        *,
        fallback_name: str,
        entries: Sequence[str],
        metadata: Path | None = None,
        checkout: Path | None = None,
        origin: tuple[str, str, str] | None = None,
        only: Sequence[str] | None = None,
        is_stdlib: bool = False,
        prior: str = "mined",
        limit: int | None = None,
        scripts: ScriptChoice | None = None,
        licences: LicenceRule = "any",
        wants_commit_time: bool = False,
        ignore: Sequence[str] = (),
        ignore_prefix: str = "",
        benchmarks: Path | None = None,
        limits: Limits = READING_LIMITS,
    ) -> RepositoryReading | Drop:
        """Read a repository; the arguments are those of ``ReadRequest``, with paths of this machine."""
        chosen = scripts or ScriptChoice()
        request = ReadRequest(
            root=self._inside(root),
            metadata=None if metadata is None else self._inside(metadata),
            checkout=None if checkout is None else self._inside(checkout),
            fallback_name=fallback_name,
            origin=origin,
            only=None if only is None else tuple(only),
            is_stdlib=is_stdlib,
            entries=tuple(entries),
            prior=prior,
            limit=limit,
            script_rule=chosen.rule,
            script_globs=chosen.globs,
            licences=licences,
            wants_commit_time=wants_commit_time,
            ignore=tuple(ignore),
            ignore_prefix=ignore_prefix,
            benchmarks=None if benchmarks is None else self._inside(benchmarks),
        )
        answer = self._ask(request, limits)
        if isinstance(answer, Drop):
            return answer
        try:
            return _reading_of(answer.stdout)
        except ProtocolError as error:
            return _bad_answer(error)

    def clean(self, root: Path) -> RepositoryCleaning | Drop:
        """Find the files of a repository that hold secrets or personal data, with fakes in their places."""
        request = CleanRequest(root=self._inside(root), patterns=detect_secrets_patterns())
        answer = self._ask(request, READING_LIMITS)
        if isinstance(answer, Drop):
            return answer
        files: list[CleanedFile] = []
        try:
            for text in answer.stdout.splitlines():
                line = from_line(CLEANINGS, text)
                if isinstance(line, CleanedFile):
                    files.append(line)
                else:
                    assert isinstance(line, CleaningSummary)  # the second of CLEANINGS
                    return RepositoryCleaning(files=tuple(files), summary=line)
        except ProtocolError as error:
            return _bad_answer(error)
        return unreadable("the reader's answer has no last line")

    def _ask(self, request: Record, limits: Limits) -> Outcome | Drop:
        """Have a fresh process answer; the drop where it did not come to a good end."""
        program = _PROGRAM.format(request_text(request))
        try:
            outcome = self._worker.run(PlainJob(source=program, counts_events=False), limits)
        except SandboxUnavailable as error:  # the jail died and can't be had again
            raise CorpusError(str(error)) from error
        if outcome.status == "ok" and outcome.integrity == "clean":
            return outcome
        # The last line of a traceback, without numbers that differ from run to run.
        last_line = outcome.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:300]
        ended = outcome.status if outcome.status != "ok" else outcome.integrity
        return unreadable(f"the reader ended with {ended}" + (f": {last_line}" if last_line else ""))

    def _inside(self, path: Path) -> str:
        """A path below a mount as the reader sees it, without a look at what is below the mount."""
        for mount in reversed(self._mounts):
            if path.is_relative_to(mount.source):
                relative = path.relative_to(mount.source)
                place = mount.target if self._worker.level == 3 else os.path.realpath(mount.source)
                return place if relative == Path(".") else f"{place}/{relative}"
        raise ValueError(f"expected a path below the reader's inputs, got {path}; name it when the reader is started")


def _reading_of(answer: bytes) -> RepositoryReading:
    """The records of an answer. Raises ProtocolError."""
    candidates: list[Candidate] = []
    start = 0
    # Line by line, so that no more than one of them is held as JSON besides the records.
    while (end := answer.find(b"\n", start)) >= 0:
        line = from_line(READINGS, answer[start:end])
        start = end + 1
        if isinstance(line, FoundSnippet):
            candidates.append(line.candidate())
            continue
        if isinstance(line, ReadingRefusal):
            raise ProtocolError(line.evidence)
        assert isinstance(line, RepositorySummary)  # the third of READINGS
        if line.num_snippets != len(candidates) or start != len(answer):
            raise ProtocolError(f"expected {line.num_snippets} snippets before the last line, got {len(candidates)}")
        return RepositoryReading(candidates=tuple(candidates), summary=line)
    raise ProtocolError("expected a last line that tells of the repository, got none")


def _bad_answer(error: ProtocolError) -> Drop:
    return unreadable(f"the reader's answer: {str(error)[:500]}")


def _stage_code(staging: Path, libraries: Sequence[str]) -> Path:
    """Copy our own code, and the packages that it needs, to a folder that has nothing else.

    In place, the folder around an installed package would have to be shown with all that is installed there.
    """
    target = staging / f"reader-{content_key(code_hash(), [*libraries])[:16]}"
    if target.exists():
        return target
    with new_folder(target) as partial:
        os.chmod(partial, 0o755)
        package = Path(__file__).resolve().parents[1].parent  # the folder that holds `corpus` and `tracer`
        for room in ("tracer", "corpus"):
            _copy_code(package / room, partial / "trace_mine" / room)
        for name in libraries:
            spec = importlib.util.find_spec(name)
            assert spec is not None and spec.submodule_search_locations, f"{name} is a dependency of trace-mine"
            _copy_code(Path(spec.submodule_search_locations[0]), partial / name)
    return target


def _copy_code(source: Path, target: Path) -> None:
    for parent, folders, names in os.walk(source):
        folders[:] = sorted(folders)
        place = target / Path(parent).relative_to(source)
        place.mkdir(parents=True)
        os.chmod(place, 0o755)
        for name in names:
            shutil.copy2(Path(parent, name), place / name)  # with its time, by which bytecode is found to be current
            os.chmod(place / name, 0o644)
    os.chmod(target.parent, 0o755)


def _started(jail: Jail, levels: WorkerLevels) -> Worker:
    """Start the jail with our code imported.

    Where it can't be imported nothing could be read, and each repository would be dropped for it. That happens when a
    process of the jail is killed meanwhile, so the jail is started START_ATTEMPTS times.

    Raises:
        CorpusError: as ``RepositoryReader``.
    """
    failures: dict[str, str] = {}
    for _ in range(START_ATTEMPTS):
        try:
            worker = Worker(jail, WORKER_LIMITS, **levels)
        except SandboxUnavailable as error:
            raise CorpusError(str(error)) from error
        if not worker.warm_failures:
            return worker
        failures = dict(worker.warm_failures)
        worker.close()
    raise CorpusError(f"expected the reader of repositories to start, got {failures}; give the same command again")
