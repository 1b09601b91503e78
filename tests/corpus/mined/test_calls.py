"""Literal calls, the priors made of them, declared grids, and the sessions that ask for what was drawn."""

from __future__ import annotations

import ast
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.corpus.mined.files import decode
from trace_mine.corpus.mined.layout import Layout
from trace_mine.corpus.mined.snippets import Candidate, RepositoryContext
from trace_mine.corpus.mined.snippets.call_index import CallIndex, LiteralCall, literal_text
from trace_mine.corpus.mined.snippets.calls import find_calls
from trace_mine.corpus.mined.snippets.grids import GRIDS, MAX_INPUTS, declared_grid
from trace_mine.corpus.mined.snippets.priors import (
    MAX_CALL_CHARS,
    MAX_DISTINCT,
    MAX_DRAWS,
    MAX_PRIOR_CHARS,
    Signature,
    bind,
    mined_prior,
    signature,
)
from trace_mine.tracer.schema import Drop

PACKAGE = {
    "pkg/__init__.py": "from .core import *\nfrom .core import f as renamed\nfrom . import core as inner\n",
    "pkg/core.py": '''\
def f(x, k=2):
    """
    >>> f(1)
    1
    >>> f(2, k=3)  # doctest: +SKIP
    >>> y = [0]
    >>> f(y)
    """
    return x // k


def _hidden(x):
    return x


def wrapped(x):
    return x


wrapped = f
''',
    "pkg/use.py": """\
import pkg, pkg.core as c
from pkg.core import f, _hidden
from elsewhere import g

f(3)
pkg.f(4)
pkg.renamed(5)
pkg.inner.f(6)
c.f(7)
g(8)
wrapped(9)
_hidden(10)
c.wrapped(11)
f(n), f(*[12]), f(**{'x': 13}), f(f(14))


def shadowed(f):
    return f(15)


def inside():
    from pkg import f as h
    def f2(): return h(16)
    return h(17), f(18)


class Methods:
    def f(self):
        return f(19)


def test():
    f = print
    f(20)
    return lambda f: f(21)
""",
    "guide.md": ">>> import pkg\n>>> pkg.f(22)\n11\n>>> f(23)\n",
    "tests/test_f.py": "from pkg import *\n\n\ndef test_f():\n    assert list(f(24)) == sorted(f(25)) and f(-1.5)\n",
}


def context_of(root: Path, files: dict[str, str], prior: str = "mined") -> RepositoryContext:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return RepositoryContext(
        root, Layout(root, [name for name in files if name.endswith(".py")]), paths=[*files], prior=prior
    )


def candidates(root: Path, files: dict[str, str], prior: str = "mined") -> dict[str, Candidate]:
    context = context_of(root, files, prior)
    found = [each for name in files for each in find_calls(decode(name, files[name].encode()), context)]  # type: ignore[arg-type]
    return {each.snippet.name: each for each in found}


def session(root: Path, files: dict[str, str], prior: str = "mined") -> list[str]:
    (candidate,) = candidates(root, files, prior).values()
    assert candidate.drop is None, candidate.drop
    return [piece.source.rstrip("\n") for piece in candidate.snippet.pieces]


def test_calls_are_found_through_imports_and_nothing_else(tmp_path: Path) -> None:
    index = CallIndex(context_of(tmp_path, PACKAGE))
    found = [call.args[0] for call in index.calls("pkg/core.py", "f")]
    assert Counter(found) == Counter(
        ["1", "3", "4", "5", "6", "7", "14", "16", "17", "18", "19", "22", "24", "25", "-1.5"]
    )
    assert [call.args for call in index.calls("pkg/core.py", "_hidden")] == [("10",)]
    assert not index.calls("pkg/core.py", "wrapped") and not index.is_function("pkg/core.py", "wrapped")
    readers = {call.args[0]: call.reader for call in index.calls("pkg/core.py", "f")}
    assert (readers["24"], readers["25"], readers["14"]) == ("list", "sorted", None)


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("1_000", "1000"),
        ("-2.0", "-2.0"),
        ('[1, ("a", {"b": None})]', "[1, ('a', {'b': None})]"),
        ("range(-1, 5)", "range(-1, 5)"),
        ("{1}", "{1}"),
        ("u'a'", "'a'"),
        ("+1", "1"),
        ("range(3)", "range(0, 3)"),
        ("[range(3)]", "[range(3)]"),
        ("{[1]: 2}", "{[1]: 2}"),
        ("1e400", "1e309"),
        ("-1j", "-1j"),
        ("...", None),
        ("[1, ...]", None),
        ("range(10 ** 9)", None),
        ("range(1000000000)", None),
        ("{1, 2}", None),
        ("x", None),
        ("[x]", None),
        ("{**{}}", None),
        ("f'{1}'", None),
        ("list()", None),
        ("-True", None),
        ("[" * 20 + "]" * 20, None),
    ],
)
def test_literals(text: str, spelt: str | None) -> None:
    assert literal_text(ast.parse(text, mode="eval").body) == spelt


def function(text: str) -> Signature:
    (node,) = ast.parse(f"def f({text}): ...").body
    assert isinstance(node, ast.FunctionDef)
    return signature(node)


def call(text: str) -> LiteralCall:
    node = ast.parse(f"f({text})", mode="eval").body
    assert isinstance(node, ast.Call)
    return LiteralCall(
        args=tuple(map(ast.unparse, node.args)),
        keywords=tuple((str(keyword.arg), ast.unparse(keyword.value)) for keyword in node.keywords),
    )


@pytest.mark.parametrize(
    ("parameters", "arguments"),
    [
        ("a, b=2", "1"),
        ("a, b=2", "b=1, a=2"),
        ("a, b=2", "1, a=2"),
        ("a, b=2", "1, 2, 3"),
        ("a, b=2", ""),
        ("a, b=2", "1, c=2"),
        ("a, /, b", "a=1, b=2"),
        ("a, /, b, **rest", "1, a=3, b=2"),
        ("a, *b, c", "1, 2, 3, c=4"),
        ("a, *b, c", "1, 2, 3"),
        ("a, *, c=None, **rest", "1, c=4, d=5"),
        ("*b", ""),
    ],
)
def test_binding_is_what_python_does(parameters: str, arguments: str) -> None:
    names: dict[str, object] = {}
    exec(f"import inspect\ndef f({parameters}): ...\nbind = inspect.signature(f).bind", names)
    bound = bind(function(parameters), call(arguments))
    try:
        expected = eval(f"bind({arguments})", names).arguments
    except TypeError:
        assert bound is None
        return
    assert bound is not None
    ours = {key: ast.literal_eval(text) for key, text in bound.items()}
    spread = {f"**{key}": value for key, value in expected.pop("rest", {}).items()}
    starred = {f"*{key}": expected.pop(key, ()) for key in ["b"] if f"*{key}" in ours}
    assert ours == {**expected, **spread, **starred}


def test_a_prior_is_as_frequent_as_its_calls() -> None:
    calls = [call(text) for text in ("3", "3", "5", "x=3", "8", "", "9, 9")]
    prior = mined_prior(function("x"), calls)
    assert prior.drawn == ("x",) and not prior.constant
    assert Counter(prior.outcomes) == {("3",): 3, ("5",): 1, ("8",): 1}
    assert (prior.num_calls, prior.num_left_out) == (7, 2)


def test_arguments_that_agree_stay_and_defaults_are_filled_in() -> None:
    prior = mined_prior(function("x, k=2, *, flag=False"), [call("1, 2"), call("4"), call("4, flag=True")])
    assert prior.drawn == ("x", "flag") and prior.constant == (("k", "2"),)
    assert prior.outcomes == (("1", "False"), ("4", "False"), ("4", "True"))


def test_calls_that_bind_other_parameters_are_left_out() -> None:
    prior = mined_prior(function("x, key=MISSING"), [call("1"), call("2"), call("3, 4")])
    assert prior.drawn == ("x",) and Counter(prior.outcomes) == {("1",): 1, ("2",): 1}
    assert prior.num_left_out == 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3), st.booleans()), max_size=150))
def test_priors_are_short_and_nothing_in_them_is_new(numbers: list[tuple[int, int, bool]]) -> None:
    calls = [call(f"{'7' * 50 * is_long}{a}, {b}") for a, b, is_long in numbers]
    prior = mined_prior(function("a, b"), calls)
    assert len(set(prior.outcomes)) <= MAX_DISTINCT and len(prior.outcomes) <= MAX_DRAWS
    assert sum(sum(map(len, draw)) + 2 for draw in prior.outcomes) <= MAX_PRIOR_CHARS
    assert len(prior.outcomes) + prior.num_left_out == prior.num_calls == len(calls)
    if prior.drawn == ("a", "b"):
        assert not Counter(prior.outcomes) - Counter(each.args for each in calls)
    assert prior.drawn == () or len(set(prior.outcomes)) > 1


def test_a_long_call_is_left_out() -> None:
    prior = mined_prior(function("x"), [call("'" + "a" * MAX_CALL_CHARS + "'"), call("1"), call("2")])
    assert prior.outcomes == (("1",), ("2",)) and prior.num_left_out == 1


def test_one_argument_is_drawn_by_itself(tmp_path: Path) -> None:
    source = "def f(n, k=1):\n    return n // 2\n\n\nf(3)\nf(3)\nf(5)\n"
    assert session(tmp_path, {"m.py": source}) == [
        "from random import choice",
        "from m import f",
        "n = choice([3, 3, 5])",
        "f(n)",
        "print('n', n)",
    ]


def test_several_arguments_are_drawn_together_and_each_is_asked_for(tmp_path: Path) -> None:
    source = "def f(n, /, *more, key=None, **rest):\n    return n\n\n\nf(1, 2, 3, key='a', z=1)\nf(2, key=None, z=1)\n"
    (candidate,) = candidates(tmp_path, {"m.py": source}).values()
    assert [piece.source.rstrip("\n") for piece in candidate.snippet.pieces][2:] == [
        "n, more, key = choice([(1, (2, 3), 'a'), (2, (), None)])",
        "f(n, *more, key=key, z=1)",
        "print('n', n)",
        "print('more', more)",
        "print('key', repr(key))",
    ]
    assert candidate.snippet.asks == ("n", "more", "key")
    assert candidate.prior == {
        "prior": "mined",
        "inputs": {"n, more, key": ["(1, (2, 3), 'a')", "(2, (), None)"]},
        "calls": 2,
        "left_out": 0,
    }


def test_what_could_change_is_copied(tmp_path: Path) -> None:
    source = "def f(xs):\n    xs.sort()\n    return xs\n\n\nf([2, 1])\nf([1, 2])\n"
    commands = session(tmp_path, {"m.py": source})
    assert commands[0] == "from copy import deepcopy" and commands[4:] == ["f(deepcopy(xs))", "print('xs', xs)"]


def test_a_procedure_shows_what_it_changed(tmp_path: Path) -> None:
    source = "def push(xs, x):\n    xs.append(x)\n\n\npush([], 1)\npush([1], 2)\n"
    assert session(tmp_path, {"m.py": source})[3:] == [
        "xs, x = choice([([], 1), ([1], 2)])",
        "given_xs = deepcopy(xs)",
        "push(given_xs, x)",
        "given_xs",
        "print('xs', xs)",
        "print('x', x)",
    ]
    constant = "def push(xs, x):\n    xs.append(x)\n\n\npush([], 1)\npush([], 2)\n"
    assert session(tmp_path / "c", {"m.py": constant})[1:] == [
        "from m import push",
        "x = choice([1, 2])",
        "xs = []",
        "push(xs, x)",
        "xs",
        "print('x', x)",
    ]


def test_iterators_are_read(tmp_path: Path) -> None:
    source = "def g(n):\n    yield from range(n)\n\n\ng(1)\ng(2)\n"
    assert session(tmp_path, {"m.py": source})[3] == "list(g(n))"
    mapped = "def g(n):\n    return map(str, range(n))\n\n\nfor x in g(1): pass\nsorted(g(2))\nsorted(g(3))\n"
    assert session(tmp_path / "b", {"m.py": mapped})[3] == "sorted(g(n))"


def test_names_never_clash(tmp_path: Path) -> None:
    source = "def choice(list, choice, _, repr):\n    return list\n\n\nchoice(1, 2, 3, 4)\nchoice(2, 3, 4, 5)\n"
    commands = session(tmp_path, {"m.py": source})
    assert commands[1:4] == [
        "from m import choice as choice_",
        "list_, choice__, argument, repr_ = choice([(1, 2, 3, 4), (2, 3, 4, 5)])",
        "choice_(list_, choice__, argument, repr_)",
    ]


def test_reasons_for_not_running(tmp_path: Path) -> None:
    files = {
        "m.py": "def once(x): ...\ndef refused(): ...\nasync def later(x): ...\ndef never(x): ...\n"
        "once(1)\nonce(1)\nrefused(1)\nrefused(2)\nlater(1)\nlater(2)\n",
        "my-tool.py": "def f(x): ...\nf(1)\nf(2)\n",
    }
    found = candidates(tmp_path, files)
    assert {name: each.drop and each.drop.reason for name, each in found.items()} == {
        "m.once": "thin_prior",
        "m.refused": "thin_prior",
        "m.later": "async_function",
    } | {name: "not_importable" for name in found if name.startswith("my-tool")}
    assert all(each.prior is None and not each.snippet.asks for each in found.values())


def grid_of(text: str, *calls: str) -> dict[str, tuple[str, str]] | str:
    (node,) = ast.parse(f"def f({text}): ...").body
    assert isinstance(node, ast.FunctionDef)
    found = declared_grid(node, signature(node), [call(each) for each in calls])
    if isinstance(found, Drop):
        assert found.reason == "no_grid"
        return found.evidence
    kinds = {values: kind for kind, values in GRIDS.items()}
    return {grid.name: (kinds.get(grid.values, "thinned"), grid.chosen_by) for grid in found}


def test_grids_by_annotation_call_default_and_name() -> None:
    assert grid_of("x: int") == {"x": ("int", "annotation")}
    assert grid_of("x: 'Optional[str]'") == {"x": ("str", "annotation")}
    assert grid_of("x: Callable | list[str]") == {"x": ("texts", "annotation")}
    assert grid_of("x: typing.Iterable[int]") == {"x": ("list", "annotation")}
    assert grid_of("x", "'a'") == {"x": ("str", "call")}
    assert grid_of("thing=1.5") == {"thing": ("float", "default")}
    assert grid_of("is_odd, other=1") == {"is_odd": ("bool", "name")}
    assert grid_of("thing") == "nothing tells what thing is"
    assert grid_of("n: Callable") == "nothing tells what n is"
    assert grid_of(", ".join(f"is_{letter}" for letter in "abcdefg")) == "it has too many parameters"


def test_grids_of_several_parameters_are_thinned(tmp_path: Path) -> None:
    (node,) = ast.parse("def f(n: int, k: int, s: str): ...").body
    assert isinstance(node, ast.FunctionDef)
    found = declared_grid(node, signature(node), [])
    assert not isinstance(found, Drop)
    sizes = [len(grid.values) for grid in found]
    assert sizes[0] * sizes[1] * sizes[2] <= MAX_INPUTS and min(sizes) >= 2
    commands = session(tmp_path, {"m.py": "def f(n: int, k: int):\n    return n * k\n"}, prior="grid")
    assert commands[2:] == [
        "n = choice([-2, 0, 2, 4, 6, 8])",
        "k = choice([-2, 0, 2, 4, 6, 8])",
        "f(n, k)",
        "print('n', n)",
        "print('k', k)",
    ]


def test_a_grid_is_never_mixed_with_calls(tmp_path: Path) -> None:
    source = "def f(n):\n    return n\n\n\nf('a')\nf('b')\n"
    assert session(tmp_path, {"m.py": source})[2] == "n = choice(['a', 'b'])"
    (candidate,) = candidates(tmp_path, {"m.py": source}, prior="grid").values()
    assert candidate.prior == {
        "prior": "grid",
        "inputs": {"n": list(GRIDS["str"])},
        "chosen_by": {"n": "call"},
    }


@pytest.mark.parametrize("kind", GRIDS)
def test_grids_are_distinct_literals(kind: str) -> None:
    values = [ast.literal_eval(text) for text in GRIDS[kind]]
    assert len({json.dumps(value, default=repr) for value in values}) == len(values) >= 2
    assert all(literal_text(ast.parse(text, mode="eval").body) == text for text in GRIDS[kind])
