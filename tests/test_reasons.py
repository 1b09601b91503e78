"""The enumeration of reasons and the code agree: no word outside it, no member without a use, and the page says it all.

That each reason happens is ``test_every_reason_happens.py``.
"""

from __future__ import annotations

import ast
import doctest
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from trace_mine.tracer.inside import reasons
from trace_mine.tracer.inside.reasons import Meaning, Reason, ReasonStage, ended_with, integrity_of, reason_of
from trace_mine.tracer.reasons_page import page
from trace_mine.tracer.schema import INTEGRITIES, STATUSES

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    path for room in ("tracer", "corpus") for path in (ROOT / room).rglob("*.py") if path.name != "reasons.py"
)

CALLS: dict[str, tuple[int | None, str | None]] = {
    "Drop": (None, "reason"),
    "Dropped": (None, "reason"),
    "Failed": (0, "reason"),
    "SetupError": (0, "reason"),
    "CannotOpen": (0, "reason"),
    "Restart": (1, "reason"),
    "keep_as_one_command": (2, "reason"),
    "count_once": (1, "reason"),
    "give_up": (2, "reason"),
    "_emit_rest": (3, "reason"),
    "_naming": (2, "reason"),
    "with_whole": (2, "reason"),
}
"""Where a call takes a reason: by position, by name."""

NAMES = frozenset({"reason", "why"})
"""Variables and parameters that hold a reason, or a reason and its evidence."""

FUNCTIONS = frozenset({
    "_refusal", "refusal", "keeps", "past_budget", "_reason_to_stop",
    "_refused_node",
})  # fmt: skip
"""Functions that return a reason, or a reason and its evidence."""


def told(source: str) -> Iterator[str]:
    """The words that a source gives as reasons, at the places named above and in comparisons with a reason."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield from _of_call(node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _of_assignment(target, node.value)
        elif isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args][::-1]
            for argument, default in zip(arguments, node.args.defaults[::-1], strict=False):
                if argument.arg in NAMES:
                    yield from _words(default)
            if node.name in FUNCTIONS:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Return) and inner.value is not None:
                        yield from _words(_first(inner.value))
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(isinstance(side, ast.Attribute) and side.attr == "reason" for side in sides):
                for side in sides:
                    yield from _words(side)


def _of_call(node: ast.Call) -> Iterator[str]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    position, keyword = CALLS.get(name, (None, None))
    if position is not None and len(node.args) > position:
        yield from _words(node.args[position])
    for each in node.keywords:
        if keyword is not None and each.arg == keyword:
            yield from _words(each.value)


def _of_assignment(target: ast.expr, value: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name) and target.id in NAMES:
        yield from _words(_first(value))
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, other in zip(target.elts, value.elts, strict=True):
            if isinstance(one, ast.Name) and one.id in NAMES:
                yield from _words(other)


def _first(node: ast.expr) -> ast.expr:
    """The reason of a pair of reason and evidence."""
    return node.elts[0] if isinstance(node, ast.Tuple) and node.elts else node


def _words(node: ast.expr) -> Iterator[str]:
    """The words that the expression may be, as texts or as members; what is put together of parts is no word."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.value
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason":
        yield getattr(Reason, node.attr).value
    elif isinstance(node, ast.IfExp):
        yield from _words(node.body)
        yield from _words(node.orelse)
    elif isinstance(node, ast.BoolOp | ast.Tuple | ast.Set):
        for inner in node.values if isinstance(node, ast.BoolOp) else node.elts:
            yield from _words(inner)


def mentions(source: str) -> set[str]:
    """What in a source may be the use of a reason: texts (but docstrings), members, names of syntax nodes."""
    tree = ast.parse(source)
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            found |= {node.value, node.value.replace("-", "_"), node.value.partition(":")[0]}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "Reason":
                found.add(getattr(Reason, node.attr).value)
            elif node.value.id == "ast":
                found.add(node.attr)
    return found


def test_every_word_in_the_code_is_a_member() -> None:
    # the sandbox speaks of statuses, which ``ended_with`` turns into reasons; harvest and export count what is no
    # snippet, with words of their own
    files = [path for path in FILES if not {"sandbox", "harvest", "export"} & {*path.parts}]
    found = {path: [*told(path.read_text(encoding="utf-8"))] for path in files}
    for path, words in found.items():
        for word in words:
            assert reason_of(word), path
    # most words and members are seen at the places named above; were the calls renamed, few would be
    members = {
        node.attr
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    }
    words = {word for words in found.values() for word in words}
    assert len(words | {getattr(Reason, name).value for name in members}) > 60


def test_every_member_is_used() -> None:
    used = set().union(*(mentions(path.read_text(encoding="utf-8")) for path in FILES))
    used |= {ended_with(status) for status in STATUSES if status not in ("ok", "exit", "syntax")}
    used |= {integrity_of(integrity).value for integrity in INTEGRITIES if integrity != "clean"}
    assert "signal" in used
    unused = {reason.name for reason in Reason if reason.value not in used} - {Reason.SIGNAL.name}
    assert not unused


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise Failed('no_such_word', evidence)", ["no_such_word"]),
        ("driver.give_up(node, frame, 'one' if full else 'two')", ["one", "two"]),
        ("Drop(evidence='e', reason='word')", ["word"]),
        ("Drop(reason=Reason.WALL if late else Reason.CPU)", ["wall", "cpu"]),
        ("reason, evidence = 'word', 'e'", ["word"]),
        ("why = ('word', f'{n} things')", ["word"]),
        ("def f(node, reason='word'): pass", ["word"]),
        ("def refusal(output):\n    if output:\n        return 'word'\n    return None", ["word"]),
        ("def refusal(self):\n    return Reason.CLASS_CELL", ["class_cell"]),
        ("failed.drop.reason not in ('one', 'two')", ["one", "two"]),
        ("Ignored(reason='a sentence for people')", []),
    ],
)
def test_the_search_sees_what_it_should(source: str, words: list[str]) -> None:
    assert [*told(source)] == words


def test_a_word_names_its_member() -> None:
    assert all(reason_of(reason.value) is reason for reason in Reason)
    assert reason_of("signal:11") is Reason.SIGNAL
    for word in ("", "no_such_word", "signal:", "signal:x", "WALL"):
        with pytest.raises(ValueError, match="expected the word of a Reason"):
            reason_of(word)


@pytest.mark.parametrize(
    ("status", "word"),
    [("wall", "wall"), ("output-limit", "output_limit"), ("signal:9", "signal:9"), ("exception", "tracer_error")],
)
def test_a_status_becomes_a_word(status: str, word: str) -> None:
    assert ended_with(status) == word and type(ended_with(status)) is str


def test_members_are_written_as_their_words() -> None:
    assert json.dumps({Reason.CPU: [Reason.WALL]}) == '{"cpu": ["wall"]}'
    assert f"{Reason.TRY_STAR} {Reason.CPU!s}" == "TryStar cpu" and sorted([Reason.WALL, "cpu"]) == ["cpu", "wall"]
    assert pickle.loads(pickle.dumps(Reason.WALL)) is Reason.WALL


def test_a_member_says_one_thing_at_a_stage() -> None:
    for reason in Reason:
        stages = [meaning.stage for meaning in reason.meanings]
        assert stages and len(set(stages)) == len(stages), reason
        assert stages == sorted(stages, key=[*ReasonStage].index), reason


@pytest.mark.parametrize("why", ["", "no capital.", "No full stop"])
def test_a_meaning_is_a_sentence(why: str) -> None:
    with pytest.raises(ValueError, match=r"expected Meaning\.why to be a sentence"):
        Meaning(stage=ReasonStage.FILE, why=why)


def test_the_page_is_what_the_code_says() -> None:
    written = (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m trace_mine.tracer.reasons_page > docs/reasons.md"
    assert all(f"| `{reason}` | " in written for reason in Reason)
    assert "(reasons.md)" in (ROOT / "docs" / "mining.md").read_text(encoding="utf-8")


def test_its_example_runs() -> None:
    assert doctest.testmod(reasons).attempted and doctest.testmod(reasons).failed == 0
