"""The texts of a snippet that are edited, and further calls of a function."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from trace_mine_inject.inputs import further_calls
from trace_mine_inject.texts import EditableText, Unfit, texts_of

MODULE = '''"""A module.

>>> helped(3)
4
"""
import functools


def helped(n):
    n += 1
    return n


class Base:
    def pay(self, price):
        return price


class Account(Base):
    """
    >>> Account().pay(2)
    """

    def __init__(self):
        self.__seen = []

    def pay(self, price):
        self.__seen.append(price)
        return super().pay(price) + len(self.__seen)

    @property
    def total(self):
        return 1

    @total.setter
    def total(self, value):
        self.value = value

    @classmethod
    def made(cls):
        return cls()

    @functools.cached_property
    def worth(self):
        return 3

    def inner(self):
        return [super().pay(n) for n in (1, 2)], __class__

    def long(self):
        return """a
        b"""


@functools.lru_cache
def kept(n):
    n += 1
    return n


async def later(n):
    n += 1
    return n
'''


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(MODULE)
    return tmp_path / "shop.py"


def given(shop: Path, of: str, *pieces: str, edited: str = "function", **others: object) -> Any:
    """A snippet of the line that begins with a text."""
    line = next(n for n, each in enumerate(MODULE.splitlines(), 1) if each.strip().startswith(of))
    program = {"pieces": [*pieces], "lines": [1] * len(pieces), "file": str(shop), "function": (str(shop), line)}
    return {**program, "edited": edited, "is_script": False, "is_notebook": False, "name": "shop", **others}


def pieces_of(text: EditableText | Unfit) -> list[str]:
    assert isinstance(text, EditableText), text
    pieces, origins = text.wrap(text.text, "", text.origins)
    assert len(origins) == sum(piece.removesuffix("\n").count("\n") + 1 for piece in pieces)
    return pieces


def test_a_method_means_the_same_outside_of_its_class(shop: Path) -> None:
    pay, own = texts_of(given(shop, "self.__seen.append", "account = Account()\n", "account.pay(2)\n"))
    pieces = pieces_of(pay)
    assert pieces[:2] == [
        "def pay(self, price):\n    self._Account__seen.append(price)\n"
        "    return super(Account, self).pay(price) + len(self._Account__seen)\n",
        "Account.pay = pay\n",
    ]
    namespace: dict[str, Any] = {}
    exec(MODULE, namespace)
    expected = namespace["Account"]().pay(2)
    for piece in pieces:
        exec(piece, namespace)
    assert (namespace["account"].pay(2), expected) == (4, 3)
    assert pieces_of(own) == ["account = Account()\n", "account.pay(2)\n"]


@pytest.mark.parametrize(
    ("of", "before", "after"),
    [
        ("@total.setter", ["total = Account.total\n"], ["Account.total = total\n"]),
        ("@property", [], ["Account.total = Account.total.getter(total.fget)\n"]),
        ("@classmethod", [], ["Account.made = made\n"]),
        (
            "@functools.cached_property",
            [],
            ["Account.worth = worth\n", "worth.__set_name__(Account, 'worth')\n"],
        ),
    ],
)
def test_decorated_methods_are_bound_as_their_class_had_them(
    shop: Path, of: str, before: list[str], after: list[str]
) -> None:
    text, _ = texts_of(given(shop, of, "Account()\n"))
    pieces = pieces_of(text)
    assert [*pieces[: len(before)], *pieces[len(before) + 1 : -1]] == [*before, *after]
    namespace: dict[str, Any] = {}
    exec(MODULE, namespace)
    for piece in pieces:
        exec(piece, namespace)
    account = namespace["Account"]()
    account.total = 5
    assert (account.value, account.total, account.worth, account.worth) == (5, 1, 3, 3)
    assert type(namespace["Account"].made()) is namespace["Account"]


def test_a_class_and_a_module_mean_what_the_snippet_names(shop: Path) -> None:
    found = [*texts_of(given(shop, "class Account", "Account().made().pay(2)\n"))]
    names = [each.own if isinstance(each, EditableText) else str(each) for each in found]
    # those that are named, the others, the first values last; what can't leave the class is said once, at the end
    assert names == ["pay", "made", "total", "total", "worth", "__init__", "layout", ""]
    text, _ = texts_of(given(shop, '"""A module.', "helped(3)\n"))
    assert isinstance(text, EditableText) and text.own == "helped"
    text, _ = texts_of(given(shop, "def kept", "kept(1)\n"))
    assert isinstance(text, EditableText) and text.text.startswith("@functools.lru_cache\ndef kept(n):\n")
    text, _ = texts_of(given(shop, "async def later", "asyncio.run(later(3))\n"))
    assert isinstance(text, EditableText) and text.text.startswith("async def later(n):\n")


def test_what_can_not_be_edited_says_why(shop: Path) -> None:
    assert next(str(each) for each in texts_of(given(shop, "def inner", "a.inner()\n"))) == "method"
    assert next(str(each) for each in texts_of(given(shop, "import functools", "1\n"))) == "no_function"


def test_statements_of_one_line_and_of_notebooks_keep_their_origins(shop: Path) -> None:
    cells = {"is_notebook": True, "is_script": True, "edited": "pieces", "lines": [1, 3, 5]}
    (text,) = texts_of(given(shop, "import functools", "x = 1", "for n in (1, 2):\n    x += n", "x; y = x;", **cells))
    assert isinstance(text, EditableText)
    assert text.text == "x = 1\nfor n in (1, 2):\n    x += n\nx; y = x;\n"
    assert text.origins == [1, 3, 4, 5, 0]
    assert pieces_of(text) == ["x = 1\n", "for n in (1, 2):\n    x += n\n", "x; y = x;\n"]


def shown_by(texts: Sequence[str]) -> str | None:
    output = io.StringIO()
    namespace: dict[str, Any] = {"f": lambda xs, n, name="": print(sum(xs) // n, name)}
    try:
        with contextlib.redirect_stdout(output):
            for text in ("f([1, 2, 3], 1)", *texts):
                exec(text, namespace)
    except Exception:
        return None
    return output.getvalue()


def test_further_calls_run_show_something_and_are_others() -> None:
    pieces = ["f([1, 2, 3], 1)\n"]
    calls = further_calls(pieces, 8, random.Random(0), shown_by)
    assert len(calls) == len({*calls}) == 8
    assert all(call.startswith("f([") and ", 0)" not in call for call in calls), calls
    assert calls == further_calls(pieces, 8, random.Random(0), shown_by)
    assert calls != further_calls(pieces, 8, random.Random(1), shown_by)
    assert further_calls(["xs = [1, 2]\n", "f(xs, 2, 'ab')\n"], 1, random.Random(0), shown_by)[0].startswith("xs = [")


def test_calls_stand_there_again_where_further_ones_are_wanted() -> None:
    def longer(texts: Sequence[str]) -> str:
        return "".join(("shown", *texts))

    def silent(texts: Sequence[str]) -> str:
        return ""

    assert further_calls(["f(True)\n"], 4, random.Random(0), longer) == ["f(False)"]
    calls = further_calls(["f(True)\n"], 4, random.Random(0), longer, again=True)
    assert calls == ["f(False)", "f(True)", "f(False)", "f(True)"]
    assert further_calls(["f()\n"], 2, random.Random(0), longer, again=True) == ["f()"] * 2
    assert further_calls(["f()\n"], 2, random.Random(0), silent, again=True) == []


@pytest.mark.parametrize("piece", ["f()", "x = 3", "f([", "f({1: x})"])
def test_what_has_no_literals_to_change_gets_no_calls(piece: str) -> None:
    assert further_calls([piece], 3, random.Random(0), lambda texts: "".join(texts)) == []
