"""Values that lie in C (numpy, pandas, torch) and members of enumerations, as text and as what a session shows."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from trace_mine.tracer.inside.observe import arrays
from trace_mine.tracer.inside.observe.describe import is_plain_member
from trace_mine.tracer.inside.observe.reveals import Reveals
from trace_mine.tracer.inside.observe.values import describe, snapshot

np: Any = pytest.importorskip("numpy")


def shown(**namespace: object) -> list[str]:
    """What a session shows of the one variable."""
    (name,) = namespace
    return sources(Reveals({"__name__": __name__, **namespace}, lambda filename: False), name)


def sources(reveals: Reveals, name: str) -> list[str]:
    return [each.source for each in reveals.sources(name, spelt=False)]


def test_arrays_are_told_by_shape_type_and_content() -> None:
    assert describe(np.arange(6).reshape(2, 3)) == "ndarray(shape=(2, 3), dtype=int64, [[0, 1, 2], [3, 4, 5]])"
    assert describe(np.zeros(2, "f4")) == "ndarray(shape=(2,), dtype=float32, [0.0, 0.0])"
    assert describe(np.float64(1.5)) == "float64(1.5)" and describe(np.int8(3)) == "int8(3)"
    assert describe(np.array(["a"])) == "ndarray(shape=(1,), dtype=<U1, ['a'])"
    assert "[True, False]" in describe(np.array([True, False]))


def test_a_change_in_the_middle_of_a_long_array_is_seen() -> None:
    array = np.zeros(10_000)
    before = snapshot(array)
    array[5_000] = 1
    assert snapshot(array) != before and len(str(before)) < 100


def test_equal_arrays_are_told_alike_however_they_lie_in_memory() -> None:
    array = np.arange(200).reshape(10, 20)
    assert describe(array) == describe(np.asfortranarray(array)) == describe(array.copy())


def test_what_a_session_shows_of_arrays() -> None:
    assert shown(a=np.arange(3)) == ["a"] and shown(a=np.zeros((9, 9))) == ["a.shape", "a.dtype"]
    assert shown(a=np.float64(2)) == ["a"]
    assert shown(a=np.array([object()])) == []


class Evil(np.ndarray):  # type: ignore[misc]
    """Everything that Python would ask is the program's."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(f"asked for {name}")

    def __repr__(self) -> str:
        raise AssertionError("asked for its repr")

    def tolist(self) -> list[object]:
        raise AssertionError("asked for its items")

    def __len__(self) -> int:
        raise AssertionError("asked for its length")


def test_no_code_of_the_program_s_runs() -> None:
    value = np.zeros(2).view(Evil)
    assert describe(value) == "Evil(shape=(2,), dtype=float64, [0.0, 0.0])" and shown(a=value) == []

    class Item:
        def __repr__(self) -> str:
            raise AssertionError("asked for its repr")

    assert describe(np.array([Item(), 1], dtype=object)) == "ndarray(shape=(2,), dtype=|O, [<Item>, 1])"


def test_names_alone_make_no_array() -> None:
    class ndarray:
        size = property(lambda self: pytest.fail("asked"))
        dtype = size

    class DataFrame:
        def __init__(self) -> None:
            self._mgr = self

        blocks = property(lambda self: pytest.fail("asked"))
        axes = blocks

    ndarray.__module__, DataFrame.__module__ = "numpy", "pandas"
    assert describe(ndarray()) == "<ndarray>" and shown(a=ndarray()) == []
    assert describe(DataFrame()) == "DataFrame(_mgr=<itself>)" and shown(a=DataFrame()) == []


def test_tables_and_columns() -> None:
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    text = describe(table)
    assert text.startswith("DataFrame(") and "[[1, 2]]" in text and "'a', 'b'" in text and "'x', 'y'" in text
    table["c"] = 1.5
    assert describe(table) != text and "1.5" in describe(table)
    assert "[1, 2]" in describe(table.a) and shown(t=table) == ["t"] and shown(s=table.a) == ["s"]
    assert shown(t=pd.DataFrame({"a": range(100)})) == ["t.shape", "t.head(3)"]


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    assert describe(torch.arange(3.0)) == "Tensor(shape=(3,), dtype=torch.float32, [0.0, 1.0, 2.0])"
    assert describe(torch.zeros(10, 10)) == "Tensor(shape=(10, 10), dtype=torch.float32)"
    assert shown(t=torch.zeros(2)) == ["t"] and shown(t=torch.zeros(9, 9)) == ["t.shape", "t.dtype"]


def test_other_values_are_none_of_them() -> None:
    for value in (1, "a", [1], object(), int, enum):
        assert arrays.array_text(value, repr) is None and arrays.shown_by("x", value) is None


class Colour(enum.Enum):
    RED = 1


class Rights(enum.IntFlag):
    READ = 1
    WRITE = 2


class Own(enum.Enum):
    A = 1

    def __repr__(self) -> str:
        raise AssertionError("asked for its repr")


class Shown(int):
    def __repr__(self) -> str:
        raise AssertionError("asked for its repr")


class Mixed(Shown, enum.Enum):
    A = 1


@pytest.mark.parametrize(
    ("value", "plain"),
    [(Colour.RED, True), (Rights.READ, True), (Own.A, False), (Mixed.A, False), (1, False)],
)
def test_members_of_enumerations_as_python_prints_them(value: object, plain: bool) -> None:
    assert is_plain_member(value) is plain
    if plain:
        assert shown(x=value) == ["x"] and describe(value) == repr(value)
    elif isinstance(value, enum.Enum):
        assert shown(x=value) == [] and describe(value).startswith(f"<{type(value).__name__}.A: ")


class Node:
    def __init__(self, n: int, child: Node | None = None) -> None:
        self.n = n
        self.child = child


def test_attributes_that_changed_two_levels_down() -> None:
    node = Node(1, Node(2, Node(3)))
    reveals = Reveals({"__name__": __name__, "x": node}, lambda filename: False)
    assert sources(reveals, "x") == ["x.n"]
    assert node.child is not None and node.child.child is not None
    node.child.n = 7
    assert sources(reveals, "x") == ["x.child.n"]
    node.child.child.n = 8  # a third level is another object's to show
    assert sources(reveals, "x") == []
    node.child = None
    assert sources(reveals, "x") == ["x.child is None"]
