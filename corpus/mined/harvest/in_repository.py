"""A repository's snippets with its harvested calls among them, in the place of those that were found by syntax."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trace_mine.corpus.mined.files import read_bytes
from trace_mine.corpus.mined.harvest.focused import MOST_OTHERS, FocusFallbacks
from trace_mine.corpus.mined.harvest.harvest_protocol import SeenCall, SnippetDone, TriedCall
from trace_mine.corpus.mined.harvest.harvesting import Harvest, start_of
from trace_mine.corpus.mined.harvest.selection import (
    Function,
    Tried,
    chosen,
    chosen_routes,
    chosen_ways,
    length_of_route,
)
from trace_mine.corpus.mined.reader_protocol import RepositorySummary
from trace_mine.corpus.mined.snippets.candidate import Candidate
from trace_mine.corpus.rows import printable
from trace_mine.corpus.stats import CallNote
from trace_mine.tracer.inside.protocol.codec import ProtocolError
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop, Piece, Snippet

NEVER_OPENED = ("async_function", "lambda")
"""Problems of functions whose bodies no session shows."""


def literal_calls(candidates: Sequence[Candidate]) -> list[SeenCall]:
    """Return the calls that were found by syntax as records like those that are seen."""
    calls = []
    for candidate in candidates:
        snippet = candidate.snippet
        if candidate.drop is not None or snippet.asks or len(snippet.pieces) < 2:
            continue
        *imports, call = (piece.source.rstrip("\n") for piece in snippet.pieces)
        module, _, name = snippet.name.rpartition(".")
        try:
            calls.append(
                SeenCall(
                    module=module,
                    qualname=name,
                    path=snippet.path,
                    line=snippet.line,
                    end_line=snippet.end_line,
                    kind="function",
                    is_generator=False,
                    problem="",
                    imports=tuple(imports),
                    before=(),
                    call=call,
                    named_imports=tuple(imports),
                    named_before=(),
                    named_call=call,
                    variables=(),
                    given=(),
                    shape=_shape_of(call),
                    focus=(),
                )
            )
        except ProtocolError:
            continue  # a text longer than a harvested one may be
    return calls


def _shape_of(call: str) -> str:
    """The classes of a call's literal arguments."""
    node = ast.parse(call, mode="eval").body
    if not isinstance(node, ast.Call):
        return ""
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    return " ".join(
        type(each.value).__name__ if isinstance(each, ast.Constant) else type(each).__name__.lower()
        for each in arguments
    )


def with_calls(
    candidates: Sequence[Candidate],
    harvest: Harvest,
    root: Path,
    summary: RepositorySummary,
    *,
    sys_path: tuple[str, ...],
) -> tuple[list[Candidate], CallNote]:
    """Return a repository's candidates by file, with the calls that were chosen, and what ``stats.json`` says of them.

    Args:
        candidates: the repository's; calls among them were found by syntax, and are among those that were tried.
        harvest: what was seen and tried.
        root: the repository's folder, or the folder around a module of the standard library.
        summary: what else was read of it.
        sys_path: folders from which its modules are imported; none for a module of the standard library.
    """
    by_function: dict[Function, list[Tried]] = defaultdict(list)
    routes: dict[Function, list[Tried]] = defaultdict(list)
    problems: Counter[str] = Counter()
    for number, call in enumerate(harvest.calls):
        tried = harvest.tried.get(number)
        if tried is None or tried.problem or not tried.commands:
            problems["not_tried" if tried is None else tried.problem or "no_commands"] += 1
            continue
        (routes if call.focus else by_function)[call.path, call.qualname].append((call, tried))
    wholes = {_text_of([piece.source for piece in each.snippet.pieces]) for each in candidates if _is_run(each)}
    # a snippet that is one call and no more has the session of that call, and is what somebody wrote
    by_call = {
        key: chosen([(call, tried) for call, tried in members if _text_of(tried.commands) not in wholes])
        for key, members in by_function.items()
    }
    by_route = chosen_routes({key: members for key, members in routes.items() if key not in by_function})

    def made(some: Sequence[Tried]) -> list[Candidate]:
        return [
            _candidate(call, tried, number, root, summary, sys_path) for number, (call, tried) in enumerate(some, 1)
        ]

    with_calls_of_its_own = {(call.path, call.line) for some in by_call.values() for call, _ in some}
    fallbacks = FocusFallbacks(harvest.functions.values(), with_calls_of_its_own)
    taken = [each for some in by_call.values() for each in made(some)]
    for key, some in by_route.items():
        rest = [each for each in sorted(routes[key], key=length_of_route) if each not in some]
        taken += fallbacks.of_calls(made(some), made(rest[: MOST_OTHERS * len(some)]))
    starts = {start_of(each): each for each in candidates if _is_run(each)}
    served = {place for some in by_route.values() for call, _ in some for place in call.focus}
    is_served = {*filter(by_call.get, by_call), *by_route}
    ways = chosen_ways(
        {
            key: [way for way in harvest.ways.get(key, ()) if way.start in starts]
            for key, function in harvest.functions.items()
            if key not in is_served and function.problem not in NEVER_OPENED
        },
        served,
    )
    led = [fallbacks.of_way(starts[way.start], way) for way in ways]
    num_alike = sum(map(len, (*by_function.values(), *routes.values()))) - len(taken)
    dropped = [each for each in candidates if each.snippet.kind == "call" and each.drop is not None]
    others = [each for each in candidates if each.snippet.kind != "call"]
    functions = [*harvest.functions.values()]
    note: CallNote = {
        "functions_reached": sum(not each.problem for each in functions),
        "functions_without_a_name": dict(sorted(Counter(each.problem for each in functions if each.problem).items())),
        "calls_seen": harvest.num_calls,
        "calls_spelt": harvest.num_spelt,
        "not_spelt": {printable(word): number for word, number in harvest.not_spelt.items()},
        "distinct": len(harvest.calls),
        "not_shown": {printable(word): number for word, number in sorted(problems.items())},
        "alike": num_alike,
        "taken": len(taken),
        "functions_taken": sum(map(bool, by_call.values())) + len(by_route),
        "led_to": len(by_route),
        "led_to_by_tests": len(led),
        "failures": [printable(text) for text in harvest.failures],
    }
    # calls come last: where a session repeats one before it, and where a limit ends a repository, what somebody wrote
    # as a whole counts before what was taken out of it
    return [
        *sorted([*others, *dropped], key=lambda candidate: candidate.snippet.path),
        *sorted(taken, key=lambda candidate: candidate.snippet.path),
        *sorted(led, key=lambda candidate: candidate.snippet.path),
    ], note


def _is_run(candidate: Candidate) -> bool:
    return candidate.drop is None and candidate.snippet.kind != "call"


def _text_of(sources: Sequence[str]) -> str:
    """The sources as one text, without the lines that no session shows: blank ones, and comments."""
    lines = (line.rstrip() for source in sources for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))


def with_pages(candidates: Sequence[Candidate], harvest: Harvest) -> list[Candidate]:
    """Return the candidates, those of documentation without the statements that failed when they were run."""
    result = []
    number = 0
    for candidate in candidates:
        if candidate.snippet.kind == "docs" and candidate.drop is None:
            done = harvest.pages.get(number)
            candidate = candidate if done is None else _without_failures(candidate, done)
            number += 1
        result.append(candidate)
    return result


def _without_failures(candidate: Candidate, done: SnippetDone) -> Candidate:
    failed = frozenset(done.failed)
    if not failed:
        return candidate
    pieces = tuple(piece for number, piece in enumerate(candidate.snippet.pieces) if number not in failed)
    drop = None
    if not any(not piece.source.startswith(("import ", "from ")) for piece in pieces):
        drop = Drop(reason=Reason.NO_STATEMENT_RUNS, evidence=done.error)
    return replace(candidate, snippet=replace(candidate.snippet, pieces=pieces), drop=drop)


def _candidate(
    call: SeenCall, tried: TriedCall, number: int, root: Path, summary: RepositorySummary, sys_path: tuple[str, ...]
) -> Candidate:
    data = read_bytes(root, call.path)
    callee = call.call.partition("(")[0]
    num_imports = next((n for n, each in enumerate(tried.commands) if not each.startswith(("import ", "from "))), 0)
    imports, commands = tried.commands[:num_imports], tried.commands[num_imports:]
    return Candidate(
        snippet=Snippet(
            kind="call",
            name=f"{call.module}.{call.qualname}[{number}]",
            path=call.path,
            line=call.line,
            end_line=call.end_line,
            pieces=tuple(Piece(source=f"{command}\n", line=call.line) for command in commands),
            # what the call's names need is no part of what it shows, as a docstring's names are not
            code="".join(f"{command}\n" for command in imports),
            opens=(callee,) if all(part.isidentifier() for part in callee.split(".")) else (),
            continue_on_error=True,  # an error is what the call gives, too
            focus=call.focus,
        ),
        sys_path=sys_path,
        source_hash="" if isinstance(data, Drop) else hashlib.sha256(data).hexdigest(),
        licence=summary.licences.get(call.path),
        warm=call.module,
    )
