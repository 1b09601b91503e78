"""Snippets with draws put into their programs: the edits are made, and tried, in a jail."""

from __future__ import annotations

import json
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from trace_mine.corpus.mined.harvest.harvesting import PACKAGE as HARVEST_PACKAGE
from trace_mine.corpus.mined.injection.edit_protocol import EditedProgram, NotEdited, edit_records, lines_in
from trace_mine.corpus.mined.injection.inject_options import InjectOptions
from trace_mine.corpus.mined.shown_code import staged_code, with_code
from trace_mine.corpus.mined.snippets.candidate import Candidate
from trace_mine.corpus.schema import EditColumns
from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.schema import Piece, Snippet
from trace_mine.tracer.two_worlds import jail_of, library_inside, root_of

LIMITS = Limits(cpu_seconds=300, wall_seconds=900.0, memory_bytes=2 << 30, output_bytes=128 << 20)
"""The limits of BATCH snippets."""
BATCH = 20
RUN_SECONDS = 0.5
"""The CPU time of one run of an edited program."""
MAX_LOST = 20
PACKAGE = "trace_mine_inject"
_PROGRAM = """\
import json, os
from trace_mine_harvest.channel import writer
from trace_mine_inject.programs import edit_programs
write = writer({word!r}, os.dup(1))
given = json.loads({given!r})
edit_programs(write, given['programs'], given['wanted'], given['seconds'])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """Snippets with edits, and those that gave none by a word for why, each as ``PATH:LINE NAME``."""

    candidates: Sequence[Candidate]
    left_out: Mapping[str, Sequence[str]]


def inject(
    config: TracerConfig, staging: Path, candidates: Sequence[Candidate], options: InjectOptions, seed: int
) -> Injected:
    """Put draws into the programs of snippets.

    A doctest's or a call's program is the function that it is of, which is defined in the session; a script's is its
    text, a test's its statements. The docstring of an edited function, which speaks of another one, is left out.

    Args:
        config: what the snippets are traced with.
        staging: a folder of ours that the jail's user can read.
        candidates: the snippets of one repository.
        options: the edits.
        seed: another seed, other places and laws.

    Raises:
        SandboxUnavailable: this machine offers less than the configuration asks for.
    """
    left_out: dict[str, list[str]] = defaultdict(list)
    programs: dict[int, Candidate] = {}
    for number, candidate in enumerate(candidates):
        if candidate.drop is not None:
            left_out["dropped"].append(_told(candidate))
        else:
            programs[number] = candidate
    made: list[Candidate] = []
    answered: set[int] = set()
    texts: set[tuple[str, ...]] = set()
    if programs:
        code = staged_code(staging, Path(__file__).parent / "inside", PACKAGE)
        others = staged_code(staging, Path(__file__).parent.parent / "harvest" / "inside", HARVEST_PACKAGE)
        jail = with_code(with_code(jail_of(config, replaying=False), others), code)
        with Worker(jail, LIMITS, **config.worker_levels) as worker:
            for record in _records(worker, config, programs, options, seed):
                if isinstance(record, NotEdited) and record.number in programs:
                    answered.add(record.number)
                    left_out[record.why].append(_told(programs[record.number]))
                elif isinstance(record, EditedProgram) and record.number in programs:
                    answered.add(record.number)
                    edited = _edited(programs[record.number], record)
                    key = tuple(piece.source for piece in edited.snippet.pieces)
                    if key in texts:
                        left_out["duplicate"].append(_told(edited))
                    else:
                        texts.add(key)
                        made.append(edited)
    if lost := sorted(programs.keys() - answered):
        left_out["lost"] = [_told(programs[number]) for number in lost]
    return Injected(candidates=made, left_out=dict(sorted(left_out.items())))


def _told(candidate: Candidate) -> str:
    snippet = candidate.snippet
    return f"{snippet.path}:{snippet.line} {snippet.name}"


def _records(
    worker: Worker, config: TracerConfig, programs: Mapping[int, Candidate], options: InjectOptions, seed: int
) -> list[EditedProgram | NotEdited]:
    """The records that the jail made of the programs, in batches; an end costs the programs before it nothing."""
    if config.repository is not None:
        root = root_of(config, worker)
    else:
        root = str(Path(library_inside(config.library[0], worker)).parent)
    waiting = [_given(number, candidate, root) for number, candidate in programs.items()]
    records: list[EditedProgram | NotEdited] = []
    num_lost = 0
    while waiting and num_lost < MAX_LOST:
        batch, waiting = waiting[:BATCH], waiting[BATCH:]
        word = secrets.token_hex(16)
        given = {
            "programs": batch,
            "wanted": {
                **options.as_config(),
                "reveals": options.reveals,
                "draws": options.draws,
                "inputs": options.inputs,
                "seed": seed,
            },
            "seconds": RUN_SECONDS,
        }
        source = _PROGRAM.format(word=word, given=json.dumps(given))
        outcome = worker.run(PlainJob(source=source, counts_events=False), LIMITS)
        new = [each for each in edit_records(outcome.stdout, word) if isinstance(each, EditedProgram | NotEdited)]
        records += new
        if outcome.status != "ok":
            num_lost += 1
            answered = {each.number for each in new}
            left = [each for each in batch if each["number"] not in answered]
            waiting = left[1:] + waiting  # the first one without an answer is what ended the process
    return records


def _given(number: int, candidate: Candidate, root: str) -> dict[str, object]:
    snippet = candidate.snippet

    def below(path: str) -> str:
        return root if path in ("", ".") else f"{root}/{path}"

    edited = {"doctest": "function", "call": "function", "test": "both"}.get(snippet.kind, "pieces")
    return {
        "number": number,
        "name": f"{snippet.path} {snippet.name}",
        "module": _module_of(candidate),
        "code": snippet.code,
        "pieces": [piece.source for piece in snippet.pieces],
        "lines": [piece.line for piece in snippet.pieces],
        "is_script": snippet.kind == "script",
        "is_notebook": snippet.is_notebook,
        "folder": below(snippet.path.rpartition("/")[0]),
        "file": below(snippet.path),
        "sys_path": [below(path) for path in candidate.sys_path],
        "edited": edited,
        "function": [below(snippet.path), snippet.line],
    }


def _module_of(candidate: Candidate) -> str | None:
    """The module in whose names the edited program runs: that of the function, whose globals it needs."""
    return candidate.snippet.module or candidate.warm or None


def _quiet_lines(snippet: Snippet) -> frozenset[int]:
    """The lines of a notebook's statements that display nothing, as an edited program's origins have them."""
    quiet = (range(each.line, each.line + lines_in(each.source)) for each in snippet.pieces if each.quiet)
    return frozenset(line for lines in quiet for line in lines)


def _edited(candidate: Candidate, record: EditedProgram) -> Candidate:
    snippet = candidate.snippet
    edits = tuple(
        EditColumns(kind=each.kind, line=each.line, law=list(each.law), before=each.before, after=each.after)
        for each in record.edits
    )
    # one below the other, so that a line of the text that ran has one number
    starts = [*accumulate(map(lines_in, record.pieces), initial=snippet.line)][:-1]
    quiet = _quiet_lines(snippet)
    first_of = [*accumulate(map(lines_in, record.pieces), initial=0)][:-1]
    return replace(
        candidate,
        snippet=replace(
            snippet,
            name=f"{snippet.name}~{record.variant}",
            module=_module_of(candidate),
            pieces=tuple(
                Piece(source=source, line=line, quiet=not quiet.isdisjoint(record.origins[n : n + lines_in(source)]))
                for source, line, n in zip(record.pieces, starts, first_of, strict=True)
            ),
            focus=(),  # the function that is opened is the session's own
        ),
        edits=edits,
        edit_lines=tuple(each.author_line for each in record.edits),
        author_lines=record.origins,
        item="",  # what pytest says is of the program as it was
        fallbacks=(),
    )
