"""Every regular expression of the package takes a time that grows with the length of its text.

Two checks of each. Its shape: no two unbounded repeats may share a stretch of text, unless the first gives nothing back
(``*+``). And texts made of its own characters, long enough that a quadratic pattern takes hours, in a process whose CPU
time is limited.
"""

from __future__ import annotations

import ast
import json
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 13):
    from re import _constants as constants
    from re import _parser as parser
else:
    from re import _constants as constants
    from re import _parser as parser

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("tracer", "corpus", "trace_mine")
CALLS = ("compile", "match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer")
UNBOUNDED = 200
"""Repeats of at most so many are bounded; SPDX headers have that many characters."""
SAMPLE = [chr(code) for code in range(256)] + ["\u2028", "\u4e00", "\U0001f600"]
"""Characters by which two classes of characters are compared."""

TRUSTED = {
    "tracer/sandbox/pinned_machine.py": "runs over this interpreter's own version",
    "corpus/schema.py": "runs over our own page",
}
"""Files whose patterns are let off, with the reason."""


def patterns_of(path: Path) -> Iterator[tuple[str, str, int, bool]]:
    """(place, pattern, flags, is it searched for) of each call of ``re`` in a file, module constants inserted.

    A pattern that is only ever matched from a text's beginning is tried once, any other one at each character.
    """
    source = path.read_text(encoding="utf-8")
    if not re.search(r"\bimport re\b", source):
        return  # half of the files; whoever collects tests parses the others
    tree = ast.parse(source)
    assigned = {
        node.targets[0].id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    texts = {name: value.value for name, value in assigned.items() if isinstance(value, ast.Constant)}
    methods: dict[str, set[str]] = defaultdict(set)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            methods[node.value.id].add(node.attr)
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re"):
            continue
        flags = 0
        for argument in (*node.args[1:], *(keyword.value for keyword in node.keywords)):
            for part in ast.walk(argument):
                if isinstance(part, ast.Attribute) and isinstance(getattr(re, part.attr, None), re.RegexFlag):
                    flags |= getattr(re, part.attr)
        names = [name for name, value in assigned.items() if value is node]
        uses = {use for name in names for use in methods[name]} or {node.func.attr}
        place = f"{path.relative_to(ROOT)}:{node.lineno}"
        yield place, _text(node.args[0], texts), flags, not uses <= {"match", "fullmatch"}


def _text(node: ast.expr, texts: dict[str, Any]) -> str:
    """The pattern that an argument is; names of other values stand in it as ``x``."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name) and isinstance(texts.get(node.id), str):
        return texts[node.id]
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
        return "".join(_text(part, texts) or "x" for part in parts)
    return ""


PATTERNS = [
    found
    for room in ROOMS
    for path in sorted((ROOT / room).rglob("*.py"))
    if room != "trace_mine" or path.parent == ROOT / room
    for found in patterns_of(path)
]
GRIDS = "corpus/mined/snippets/grids.py"
OTHERS_PATTERNS = "corpus/cleaning/repository_files.py"
"""Compiles the patterns of ``detect-secrets``, in a jail."""
IN_A_JAIL = "corpus/mined/harvest/inside/spelling.py"


def all_patterns() -> list[tuple[str, str, int, bool]]:
    from trace_mine.corpus.mined.snippets.grids import NAMES

    named = [(f"{GRIDS}:{kind}", pattern, 0, False) for kind, pattern in NAMES.items()]
    return [each for each in PATTERNS if each[1] and each[0].partition(":")[0] not in TRUSTED] + named


def test_each_pattern_is_seen() -> None:
    """A pattern that is computed escapes the checks; the only ones are those of ``NAMES``, and in jails a
    repository's own and those of ``detect-secrets``.
    """
    assert [place.partition(":")[0] for place, pattern, _, _ in PATTERNS if not pattern] == [
        OTHERS_PATTERNS,
        IN_A_JAIL,
        GRIDS,
    ]
    assert len(all_patterns()) > 30


# the shape


class Ambiguous(Exception):
    """Two repeats share a stretch of text."""


def characters(node: tuple[Any, Any], flags: int) -> set[str]:
    """The characters of SAMPLE that one item may begin with."""
    pattern = parser.SubPattern(parser.State(), [node])
    pattern.state.flags = flags | re.UNICODE
    compiled = re.compile(_source(node), flags)
    return {char for char in SAMPLE if compiled.match(char)}


def _source(node: tuple[Any, Any]) -> str:
    """A pattern for a single-character item."""
    op, value = node
    if op is constants.LITERAL:
        return re.escape(chr(value))
    if op is constants.NOT_LITERAL:
        return f"[^{re.escape(chr(value))}]"
    if op is constants.ANY:
        return "."
    assert op is constants.IN
    return f"[{''.join(map(_class_item, value))}]"


def _class_item(item: tuple[Any, Any]) -> str:
    op, value = item
    if op is constants.NEGATE:
        return "^"
    if op is constants.LITERAL:
        return re.escape(chr(value))
    if op is constants.RANGE:
        return f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
    assert op is constants.CATEGORY
    return {
        constants.CATEGORY_DIGIT: r"\d",
        constants.CATEGORY_NOT_DIGIT: r"\D",
        constants.CATEGORY_SPACE: r"\s",
        constants.CATEGORY_NOT_SPACE: r"\S",
        constants.CATEGORY_WORD: r"\w",
        constants.CATEGORY_NOT_WORD: r"\W",
    }[value]


SINGLE = (constants.LITERAL, constants.NOT_LITERAL, constants.ANY, constants.IN)
WIDTHLESS = (constants.AT, constants.ASSERT, constants.ASSERT_NOT)
REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT)


def check(items: Any, flags: int, open_repeats: set[str]) -> set[str]:
    """The characters of the unbounded repeats that could go on where the items end.

    Args:
        items: a parsed pattern.
        flags: its flags.
        open_repeats: the same for what stands before the items.

    Raises:
        Ambiguous: a repeat could take what one before it takes, so that there are many ways to share a text.
    """
    before = set(open_repeats)
    for op, value in items:
        if op in SINGLE:
            # what stands before must give way to this character, unless it could take that too
            before = before if characters((op, value), flags) & before else set()
        elif op in REPEATS:
            low, high, inner = value
            is_possessive = op is constants.POSSESSIVE_REPEAT
            if len(inner) == 1 and inner[0][0] in SINGLE and is_unbounded(high):
                taken = characters(inner[0], flags)
                if taken & before:
                    raise Ambiguous(f"a repeat takes {sorted(taken & before)[:3]!r}, as one before it does")
                after = set() if is_possessive else taken
            else:
                after = check(inner, flags, before)
                if is_unbounded(high) and not is_possessive:
                    after = check(inner, flags, after)  # once more: what one turn leaves open, the next one begins with
                after = set() if is_possessive else after
            before = after | (before if low == 0 else set())
        elif op is constants.SUBPATTERN:
            before = check(value[-1], flags, before)
        elif op is constants.ATOMIC_GROUP:
            check(value, flags, before)
            before = set()
        elif op is constants.BRANCH:
            before = set().union(*(check(branch, flags, before) for branch in value[1]))
        # what is left has no width: anchors and assertions
    return before


def is_unbounded(high: Any) -> bool:
    return high is constants.MAXREPEAT or high > UNBOUNDED


def check_search(items: Any, flags: int) -> None:
    """Raises Ambiguous where a search may run over one stretch of text from each character of it, and fail.

    That is so for a repeat that takes all characters that must stand before it, and has something behind it.
    """
    required: list[set[str]] = []
    sequence = [*items]
    while sequence:
        op, value = sequence.pop(0)
        if op is constants.SUBPATTERN:
            sequence = [*value[-1], *sequence]
        elif op is constants.AT or (op in (constants.ASSERT, constants.ASSERT_NOT) and value[0] < 0):
            if not required:
                return  # one beginning for each line, or for each stretch
        elif op in SINGLE:
            required.append(characters((op, value), flags))
        elif op in REPEATS:
            low, high, inner = value
            is_single = len(inner) == 1 and inner[0][0] in SINGLE
            taken = characters(inner[0], flags) if is_single else set()
            rest = parser.SubPattern(parser.State(), sequence)
            may_fail = rest.getwidth()[0] > 0 or any(op in WIDTHLESS for op, _ in sequence)
            if is_single and is_unbounded(high) and may_fail and all(chars & taken for chars in required):
                raise Ambiguous("a search that runs over a text from each of its characters")
            if low and is_single:
                required.append(taken)


@pytest.mark.parametrize(
    ("place", "pattern", "flags", "is_searched"), all_patterns(), ids=lambda value: str(value)[:60]
)
def test_no_two_repeats_share_a_text(place: str, pattern: str, flags: int, is_searched: bool) -> None:
    check(parser.parse(pattern, flags), flags, set())
    if is_searched:
        check_search(parser.parse(pattern, flags), flags)


@pytest.mark.parametrize(
    "pattern",
    [
        r"[ \t]+([\w., \t]+?)[ \t]*$",
        r"([A-Za-z_]\w*)[\w.]*[ \t]+import",
        r"(.*?)\s*(?:=(.*))?$",
        r"doctest:\s*([^\n'\"]*)$",
        r"(a+)+b",
        r"(?:a|b+)*c",
        r"\d+(x?)\d+",
        r"\w*_\w*!",
        r"[ \t]*#",
        r"x.*y",
        r"#x:[^']*$",
    ],
)
def test_ambiguous_shapes_are_seen(pattern: str) -> None:
    with pytest.raises(Ambiguous):
        check(parser.parse(pattern), 0, set())
        check_search(parser.parse(pattern), 0)


# the time

LENGTH = 20_000
CPU_SECONDS = 0.5
"""Of one text: a linear pattern takes milliseconds for it, a quadratic one more than a second."""

PROGRAM = """
import json, re, signal, sys
for place, pattern, flags, is_searched, texts in json.load(sys.stdin):
    compiled = re.compile(pattern, flags)
    for head, unit, tail in texts:
        print(place, repr(pattern), repr(head), repr(unit), repr(tail), flush=True)
        text = head + unit * (%d // len(unit)) + tail
        signal.setitimer(signal.ITIMER_PROF, %f)  # its signal ends the process
        compiled.match(text)
        compiled.fullmatch(text)
        if is_searched:
            for _ in compiled.finditer(text):
                pass
"""


def texts_of(pattern: str, flags: int) -> list[tuple[str, str, str]]:
    """(beginning, what is repeated, end) of texts: literals and characters of the pattern, and what breaks it off."""
    literals: list[str] = []
    repeated: set[str] = set()

    def collect(items: Any) -> None:
        run = ""
        for op, value in items:
            if op is constants.LITERAL:
                run += chr(value)
                continue
            if run:
                literals.append(run)
            run = ""
            if op in (constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT):
                if len(value[2]) == 1 and value[2][0][0] in SINGLE:
                    chars = sorted(characters(value[2][0], flags))
                    repeated.update(char for char in " a1._/\t\n-#'x`" if char in chars)
                collect(value[2])
            elif op is constants.SUBPATTERN:
                collect(value[-1])
            elif op is constants.ATOMIC_GROUP:
                collect(value)
            elif op is constants.BRANCH:
                for branch in value[1]:
                    collect(branch)
        if run:
            literals.append(run)

    collect(parser.parse(pattern, flags))
    heads = ["", "".join(literals), *literals[:4]]
    units = [
        *sorted(repeated),
        *literals[:4],
        *(literal + char for literal in literals[:2] for char in sorted(repeated)),
    ]
    return [(head, unit, tail) for head in dict.fromkeys(heads) for unit in units for tail in ("\0'",)]


def timed(patterns: list[tuple[str, str, int, bool]]) -> subprocess.CompletedProcess[str]:
    chosen = [(*each, texts_of(each[1], each[2])) for each in patterns]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM % (LENGTH, CPU_SECONDS)],
        input=json.dumps(chosen),
        capture_output=True,
        text=True,
    )


def test_a_quadratic_pattern_is_found_by_its_time() -> None:
    done = timed([("here:1", r"\w*(\w+)!", 0, False), ("here:2", r"a+b", 0, False), ("here:3", r"a +$", 0, True)])
    assert done.returncode == -signal.SIGPROF and done.stdout.splitlines()[-1].startswith("here:1")
    done = timed([("here:2", r"a+b", 0, False), ("here:3", r" +$", 0, True)])
    assert done.returncode == -signal.SIGPROF and done.stdout.splitlines()[-1].startswith("here:3")


def test_no_pattern_takes_more_than_linear_time() -> None:
    done = timed(all_patterns())
    assert done.returncode == 0, f"the last one took too long: {done.stdout.splitlines()[-1:]} {done.stderr[-500:]}"
