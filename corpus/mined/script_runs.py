"""What a mined script's run needs beside its files: seeds before it, and afterwards a look at what it lacked."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace

from trace_mine.corpus.mined.snippets.candidate import Candidate
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop, Snippet, Trace
from trace_mine.tracer.scripts import may_read_input, seeding_of

_parses_arguments = re.compile(r"\b(?:argparse|optparse|getopt|click|typer|docopt|fire|absl|tyro|cappa|plac)\b")
_usage = re.compile(r"\busage\b", re.IGNORECASE)
USAGE_EXIT = "SystemExit: 2"
"""How a script ends that a parser of arguments ends for wrong usage; the parsers above all take this code."""

GOOD_EXITS = ("SystemExit", "SystemExit: 0", "SystemExit: None")


def seeded(candidate: Candidate, seed: int, packages: Container[str]) -> Candidate:
    """The candidate, with generators that its script may draw from seeded in the silent code, as ``trace-run`` has it.

    Args:
        candidate: any candidate; those of no script stay what they are.
        seed: of ``random``, and of numpy where that is among the packages.
        packages: import names of what the run can import beside the standard library.
    """
    snippet = candidate.snippet
    if snippet.kind != "script" or not snippet.pieces:
        return candidate
    source = "".join(piece.source for piece in snippet.pieces)
    code = snippet.code + seeding_of(source, seed, numpy="numpy" in packages)
    return replace(candidate, snippet=replace(snippet, code=code))


def manifest_problems(candidates: Iterable[Candidate]) -> Iterator[str]:
    """What is wrong in a repository's manifest, for whoever wrote it."""
    for each in candidates:
        if each.drop is not None and each.drop.reason == Reason.BAD_MANIFEST:
            yield f"{each.snippet.name}: {each.drop.evidence}"


def lacking(snippet: Snippet, trace: Trace) -> Drop | None:
    """The drop of a script that ended for want of arguments or input; None where it did not.

    Such a session is true, and says of the script nothing but that it was started without them.
    """
    if snippet.kind != "script" or trace.outcome not in ("exception", "exit"):
        return None
    source = "".join(piece.source for piece in snippet.pieces)
    last = trace.steps[-1]
    end = last.output.rpartition("\n")[2]
    if trace.exception == "EOFError" and may_read_input(source):
        return Drop(reason=Reason.NEEDS_INPUT, evidence=end)
    takes_arguments = "argv" in source
    if (
        (end == USAGE_EXIT and _parses_arguments.search(source))
        or (trace.outcome == "exit" and end not in GOOD_EXITS and takes_arguments and _usage.search(trace.text))
        or (trace.exception == "IndexError" and takes_arguments)
        or (trace.exception == "ValueError" and "argv" in last.source)
    ):
        return Drop(reason=Reason.NEEDS_ARGUMENTS, evidence=f"{last.source[:200]}: {end}")
    return None
