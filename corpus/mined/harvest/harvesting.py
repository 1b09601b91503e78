"""Harvests the calls of a repository's functions in a sandbox, while its tests, examples and scripts run there.

First everything is run once under a profiling hook, which writes each call that has a text as it is made, so that what
hangs or crashes costs only what would have come after it. Then each call is tried by itself: whether it can be made
again, which lines it runs, what it gives and changes. ``selection`` chooses among those.

The jail is like those in which snippets run: the repository and its environment, read-only, no network. What is
harvested is kept beside the ledger, so that a run that goes on has the same calls: a time limit may fall elsewhere.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trace_mine.corpus.mined.harvest.harvest_protocol import (
    SEEN,
    HarvestCounts,
    ReachedFunction,
    SeenCall,
    SeenWay,
    SnippetDone,
    TriedCall,
    UnspeltCall,
    records_of,
)
from trace_mine.corpus.mined.pytest_options import GOES_ON, MARKS, OPTIONS
from trace_mine.corpus.mined.shown_code import staged_code, with_code
from trace_mine.corpus.mined.snippets.candidate import Candidate
from trace_mine.tracer.atomic import write_atomically
from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside.protocol.codec import Record
from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.two_worlds import jail_of, library_inside, root_of

LIMITS = Limits(cpu_seconds=300, wall_seconds=900.0, memory_bytes=4 << 30, output_bytes=128 << 20)
"""The limits of one run: of all tests, or of BATCH snippets or calls."""
ITEM_SECONDS = 5.0
"""The CPU time of one test or snippet."""
TRIAL_SECONDS = 2.0
"""The CPU time of one call that is tried."""
BATCH = 200
MAX_WORDS = 20
"""Reasons of one function, or ways to it, that are kept."""
MAX_LOST = 20
"""Runs that end before their time, after which no further snippets or calls are run."""
PACKAGE = "trace_mine_harvest"
_PROGRAM = """\
import json, os
from {package}.channel import writer
from {package}.targets import WatchedFunctions
from {package}.runs import run_snippets
from {package}.trials import try_calls
write = writer({word!r}, os.dup(1))
targets = WatchedFunctions({root!r}, {own!r}, {roots!r})
given = json.loads({given!r})
"""
_TESTS = (
    f"from {PACKAGE}.pytest_run import run_tests\n"
    "run_tests(targets, write, given['root'], given['seconds'], options=given['options'], marks=given['marks'])\n"
)
_SNIPPETS = "run_snippets(targets, write, given['snippets'], given['seconds'])\n"
_TRIALS = "try_calls(write, given['calls'], given['root'], given['seconds'])\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """What was seen and tried.

    Attributes:
        functions: those that were reached, by path and qualified name.
        calls: those that have a text, in the order in which they were made.
        tried: by the number of a call in ``calls``; one that is missing was not tried.
        num_calls, num_spelt: calls of watched functions, and those with a text, however often the same was made.
        not_spelt: by the word for why, calls without one.
        unspelt: by path and qualified name of a function, the words for why calls of it have no text, each once, in the
            order in which they were met.
        ways: by the same, how tests and snippets come to call it.
        failures: what ended runs before their time.
        pages: how the snippets of documentation ran, by their place among these.
    """

    functions: Mapping[tuple[str, str], ReachedFunction]
    calls: tuple[SeenCall, ...]
    tried: Mapping[int, TriedCall]
    num_calls: int
    num_spelt: int
    not_spelt: Mapping[str, int]
    unspelt: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    ways: Mapping[tuple[str, str], tuple[SeenWay, ...]] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    pages: Mapping[int, SnippetDone] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(number >= len(self.calls) for number in self.tried):
            raise ValueError("expected trials of the calls of a Harvest, got the number of another")


@dataclass(slots=True)
class _Sums:
    """What the runs so far have told."""

    functions: dict[tuple[str, str], ReachedFunction] = field(default_factory=dict)
    calls: dict[tuple[str, ...], SeenCall] = field(default_factory=dict)
    tried: dict[int, TriedCall] = field(default_factory=dict)
    num_calls: int = 0
    num_spelt: int = 0
    not_spelt: Counter[str] = field(default_factory=Counter)
    unspelt: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    ways: dict[tuple[str, str], tuple[SeenWay, ...]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    done: dict[int, SnippetDone] = field(default_factory=dict)
    pages: dict[int, SnippetDone] = field(default_factory=dict)

    def add(self, records: Iterator[Record]) -> None:
        """Add the records of one run."""
        counts: HarvestCounts | None = None
        for each in records:
            if isinstance(each, ReachedFunction):
                self.functions.setdefault((each.path, each.qualname), each)
            elif isinstance(each, SeenCall):
                self.calls.setdefault((each.path, each.qualname, *each.before, each.call), each)
            elif isinstance(each, SeenWay):
                ways = self.ways.get((each.path, each.qualname), ())
                if len(ways) < MAX_WORDS:
                    self.ways[each.path, each.qualname] = (*ways, each)
            elif isinstance(each, UnspeltCall):
                words = self.unspelt.get((each.path, each.qualname), ())
                if each.why not in words and len(words) < MAX_WORDS:
                    self.unspelt[each.path, each.qualname] = (*words, each.why)
            elif isinstance(each, HarvestCounts):
                counts = each  # each has all that came before in its run
            elif isinstance(each, SnippetDone):
                self.done.setdefault(each.number, each)
            elif isinstance(each, TriedCall):
                self.tried.setdefault(each.number, each)
        if counts is not None:
            self.num_calls += counts.calls
            self.num_spelt += counts.spelt
            self.not_spelt.update(counts.not_spelt)

    def harvest(self) -> Harvest:
        """All of it."""
        calls = tuple(self.calls.values())
        return Harvest(
            functions=self.functions,
            calls=calls,
            tried={number: tried for number, tried in self.tried.items() if number < len(calls)},
            num_calls=self.num_calls,
            num_spelt=self.num_spelt,
            not_spelt=dict(sorted(self.not_spelt.items())),
            unspelt=self.unspelt,
            ways=self.ways,
            failures=tuple(self.failures),
            pages=self.pages,
        )


def harvest_calls(
    config: TracerConfig,
    staging: Path,
    candidates: Sequence[Candidate],
    *,
    literal_calls: Sequence[SeenCall] = (),
    has_pytest: bool,
    wants_calls: bool,
    kept_as: str,
) -> Harvest:
    """Run what a repository has to run, and try the calls that were seen.

    Args:
        config: what its snippets are traced with.
        staging: a folder of ours that the jail's user can read; what is harvested is kept there.
        candidates: its snippets; those that are not to be run are passed over, and tests where pytest runs them.
        literal_calls: calls that stand in its files with literals for arguments, whether they are run or not.
        has_pytest: pytest runs its tests.
        wants_calls: calls are wanted; else only documentation is run, to find what of it fails.
        kept_as: a hash of all that the harvest depends on.

    Raises:
        SandboxUnavailable: this machine offers less than the configuration asks for.
    """
    kept = staging / f"calls-{kept_as}.jsonl"
    if (harvest := _read_kept(kept)) is not None:
        return harvest
    is_run = [each for each in candidates if each.drop is None and not (has_pytest and each.snippet.kind == "test")]
    if not (is_run or literal_calls or (has_pytest and wants_calls)):
        return _Sums().harvest()  # a jail takes half a second of CPU to start
    code = staged_code(staging, Path(__file__).parent / "inside", PACKAGE)
    with Worker(with_code(jail_of(config, replaying=False), code), LIMITS, **config.worker_levels) as worker:
        runs = _Runs(config, worker)
        if has_pytest and wants_calls:
            runs.tests()
        runs.sums.pages = runs.snippets([each for each in is_run if each.snippet.kind == "docs"])
        if wants_calls:
            runs.snippets([each for each in is_run if each.snippet.kind in ("doctest", "test", "script")])
            runs.add_calls(literal_calls)
            runs.trials()
        harvest = runs.sums.harvest()
    _write_kept(kept, harvest)
    return harvest


class _Runs:
    """The runs of one harvest, in one jail."""

    def __init__(self, config: TracerConfig, worker: Worker) -> None:
        self._worker = worker
        self.sums = _Sums()
        if config.repository is not None:
            self._root = root_of(config, worker)
            self._own: tuple[str, ...] = (f"{self._root}/",)
        else:
            library = [library_inside(path, worker) for path in config.library]
            self._root = str(Path(library[0]).parent)
            self._own = tuple(library)
        self._roots = [self._below(folder) for folder in config.sys_path] or [self._root]
        self._num_lost = 0

    def _below(self, folder: str) -> str:
        return self._root if folder in ("", ".") else f"{self._root}/{folder}"

    def _run(self, program: str, given: Mapping[str, object], what: str) -> bool:
        """Run one of the programs; return True where it came to its end."""
        word = secrets.token_hex(16)
        source = _PROGRAM.format(
            package=PACKAGE,
            word=word,
            root=self._root,
            own=self._own,
            roots=self._roots,
            given=json.dumps({**given, "root": self._root}),
        )
        outcome = self._worker.run(PlainJob(source=source + program, counts_events=False), LIMITS)
        self.sums.add(records_of(outcome.stdout, word))
        if outcome.status == "ok":
            return True
        last_line = outcome.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
        self.sums.failures.append(f"{what} ended with {outcome.status}: {last_line}".removesuffix(": "))
        self._num_lost += 1
        return False

    def tests(self) -> None:
        """Run all tests under pytest."""
        # a benchmark would be run many times
        options = [*OPTIONS, GOES_ON, "-pno:benchmark"]
        self._run(_TESTS, {"seconds": ITEM_SECONDS, "options": options, "marks": [*MARKS]}, "tests")

    def snippets(self, candidates: Sequence[Candidate]) -> dict[int, SnippetDone]:
        """Run snippets as their authors' tools would; one that ends the process costs the others nothing.

        Returns:
            How each one ended, by its place; one that ended the process is missing.
        """
        self.sums.done = {}
        given = [self._as_given(number, candidate) for number, candidate in enumerate(candidates)]
        self._in_batches(_SNIPPETS, "snippets", given, self.sums.done, ITEM_SECONDS)
        return self.sums.done

    def _as_given(self, number: int, candidate: Candidate) -> dict[str, object]:
        snippet = candidate.snippet
        folder = snippet.path.rpartition("/")[0]
        return {
            "number": number,
            "name": start_of(candidate),
            "module": snippet.module,
            "code": snippet.code,
            "pieces": [piece.source for piece in snippet.pieces],
            "is_script": snippet.kind == "script",
            "folder": self._below(folder),
            "file": self._below(snippet.path),
            "sys_path": [self._below(path) for path in candidate.sys_path],
        }

    def add_calls(self, calls: Sequence[SeenCall]) -> None:
        """Add calls that were found otherwise."""
        self.sums.add(iter(calls))

    def trials(self) -> None:
        """Try all calls."""
        given: list[dict[str, object]] = []
        for number, call in enumerate(self.sums.calls.values()):
            ((_, fields),) = SEEN.to_json(call).items()
            assert isinstance(fields, dict)  # a record's JSON
            given.append({**fields, "number": number})
        self._in_batches(_TRIALS, "calls", given, self.sums.tried, TRIAL_SECONDS)

    def _in_batches(
        self,
        program: str,
        what: str,
        given: Sequence[Mapping[str, object]],
        done: Mapping[int, object],
        seconds: float,
    ) -> None:
        for start in range(0, len(given), BATCH):
            batch = [*given[start : start + BATCH]]
            while batch and self._num_lost < MAX_LOST:
                if self._run(program, {what: batch, "seconds": seconds}, what):
                    break
                # the first one without an answer is what ended the process
                left = [each for each in batch if each["number"] not in done]
                batch = left[1:]


def start_of(candidate: Candidate) -> str:
    """The name that the harvest has for a test or snippet: pytest's for a test that it runs."""
    snippet = candidate.snippet
    return candidate.item or f"{snippet.path}:{snippet.line} {snippet.name}"[:3_000]


def _read_kept(file: Path) -> Harvest | None:
    try:
        lines = file.read_bytes().splitlines()
    except OSError:
        return None
    sums = _Sums()
    sums.add(records_of(b"".join(b"kept " + line + b"\n" for line in lines[1:]), "kept"))
    try:
        sums.failures = json.loads(lines[0]) if lines else []
    except ValueError:
        return None  # damaged: everything is run again
    sums.pages = sums.done
    return sums.harvest()


def _write_kept(file: Path, harvest: Harvest) -> None:
    counts = HarvestCounts(calls=harvest.num_calls, spelt=harvest.num_spelt, not_spelt=dict(harvest.not_spelt))
    unspelt = harvest.unspelt.items()
    records: list[Record] = [
        *harvest.functions.values(),
        *(way for ways in harvest.ways.values() for way in ways),
        *(UnspeltCall(path=path, qualname=name, why=why) for (path, name), words in unspelt for why in words),
        *harvest.calls,
        *harvest.tried.values(),
        *harvest.pages.values(),
        counts,
    ]
    lines = [json.dumps([*harvest.failures]), *(json.dumps(SEEN.to_json(each)) for each in records)]
    write_atomically(file, ("\n".join(lines) + "\n").encode("ascii"))
