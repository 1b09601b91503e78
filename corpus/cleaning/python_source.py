"""Cleans Python source: literals and comments alone, so that the program stays the same but for these."""

from __future__ import annotations

import ast
import io
import tokenize
from bisect import bisect_right
from collections.abc import Sequence

from trace_mine.corpus.cleaning.kinds import Finding
from trace_mine.corpus.cleaning.scrub import Finder, Scrubbed, find_all, replaced, with_parts
from trace_mine.corpus.mined.files import parse
from trace_mine.tracer.schema import Drop


def scrub_python(text: str, further: Sequence[Finder] = ()) -> Scrubbed | None:
    """Replace the secrets and personal data in a module's literals and comments.

    Args:
        text: a module's source.
        further: finders beside the usual ones.

    Returns:
        The source with its findings; None where it would be another program, so that it must stay as it is. Text that
        is no Python is cleaned as any text.
    """
    findings = with_parts(text, find_all(text, further))
    if not findings:
        return Scrubbed(text=text, findings=())
    spans = literal_spans(text)
    if spans is None:
        return Scrubbed(text=replaced(text, findings), findings=tuple(findings))
    findings = _within(findings, spans)
    cleaned = replaced(text, findings)
    if findings and not is_same_program(text, cleaned):
        return None
    return Scrubbed(text=cleaned, findings=tuple(findings))


def literal_spans(text: str) -> list[tuple[int, int]] | None:
    """The first and last places of a module's literals and comments, in order; None where it has no tokens."""
    starts = [0]
    for line in text.splitlines(keepends=True) if "\n" not in text else text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    spans: list[tuple[int, int]] = []
    depth, begin = 0, 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text, newline="\n").readline):
            name = tokenize.tok_name[token.type]
            start = starts[token.start[0] - 1] + token.start[1]
            end = starts[token.end[0] - 1] + token.end[1]
            # from 3.12 on the parts of an f-string are tokens; the whole of it counts, with its expressions
            if name in ("FSTRING_START", "TSTRING_START"):
                begin = start if depth == 0 else begin
                depth += 1
            elif name in ("FSTRING_END", "TSTRING_END"):
                depth -= 1
                if depth == 0:
                    spans.append((begin, end))
            elif depth == 0 and name in ("STRING", "COMMENT"):
                spans.append((start, end))
    except (tokenize.TokenError, SyntaxError, IndexError):
        return None
    return spans


def _within(findings: Sequence[Finding], spans: Sequence[tuple[int, int]]) -> list[Finding]:
    """The findings that lie in one span each."""
    firsts = [start for start, _ in spans]
    kept = []
    for finding in findings:
        place = bisect_right(firsts, finding.start) - 1
        if place >= 0 and finding.end <= spans[place][1]:
            kept.append(finding)
    return kept


def is_same_program(text: str, other: str) -> bool:
    """Tell if two modules differ in the texts of literals and in comments alone."""
    first, second = parse(text), parse(other)
    if isinstance(first, Drop) or isinstance(second, Drop):
        return isinstance(first, Drop) and isinstance(second, Drop)
    return _shape(first) == _shape(second)


def _shape(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
            node.value = type(node.value)()
    return ast.dump(tree)
