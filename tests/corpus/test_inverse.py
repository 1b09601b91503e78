"""Calls with hidden inputs, the whole way with the real tracer and sandbox: rows, beliefs, replay, counts, resume."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brute_force
import command_here
import pytest

Make = Callable[..., Path]
FEED = Path(__file__).resolve().parents[2] / "docs" / "examples" / "feed.py"

REPOSITORY = {
    "src/shop/__init__.py": "from .core import *\n",
    "src/shop/core.py": '''\
_MISSING = object()
PAD = "__pad__"


def half(n):
    """
    >>> half(3)
    1
    >>> half(2), half(3), half(8), half(9)
    (1, 1, 4, 4)
    """
    m = n // 2
    return m


def first(xs, default=_MISSING):
    if xs:
        return xs[0]
    if default is _MISSING:
        raise ValueError("nothing there")
    return default


def pairs(xs, pad=PAD):
    if not xs:
        return []
    if pad is PAD:
        return list(zip(xs, xs[1:]))
    return [*zip(xs, xs[1:]), (xs[-1], pad)]


def put(xs, x):
    xs.append(x)


def say(word, times=1):
    print(word * times)


def evens(n: int):
    for i in range(n):
        if not i % 2:
            yield i


def order(xs: list[int]):
    xs.sort()
    return xs


def opaque(x):
    return object()


def nothing(x):
    pass


def coin(n):
    from random import random
    return random() < 0.5


def lucky(n):
    from random import random
    return n + (random() < 0.25)


def once(x):
    return x


def shout(word, mark):
    return word.upper() + "!"


def never(x):
    raise KeyError("no")


def endless(n):
    while n:
        pass
    return n
''',
    "tests/test_core.py": """\
import pytest
import shop
from shop import first, pairs, put, say


def test_all():
    assert first([1, 2]) == first([1]) == 1
    with pytest.raises(ValueError):
        first([])
    assert first((), default=_MISSING)
    assert first([2]) == 2
    assert pairs('abc') and pairs([]) == [] and pairs([1, 2]) and pairs('xy', pad=None)
    put([], 1), put([1], 2), put([1], x=2)
    say('a'), say('a', 2), say('aa'), say('')
    assert list(shop.evens(3)) == [0, 2] == list(shop.evens(4))
    assert list(shop.evens(1)) == [0]
    assert shop.order([2, 1]) == shop.order([1, 2]) == shop.order([2, 1]) == [1, 2] != shop.order([3])
    shop.opaque(1), shop.opaque(2), shop.nothing(1), shop.nothing(2), shop.once(1)
    shop.shout('a', 1), shop.shout('a', 2), shop.shout('b', 2), shop.never(1), shop.never(2)
    shop.coin(1), shop.coin(2), shop.coin(2)
    shop.lucky(1), shop.lucky(2), shop.lucky(2), shop.endless(0), shop.endless(1)
""",
}


def mine(out: Path, *arguments: object) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    rows, stats = command_here.mine(out, *arguments, "--timeout", 3)
    return {row["name"].removeprefix("shop.core."): row for row in rows}, stats


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The repository's folder, the dataset's, its rows and its statistics."""
    base = tmp_path_factory.mktemp("inverse")
    root = base / "shop"
    for name, text in {**REPOSITORY, "pyproject.toml": '[project]\nname = "shop"\nversion = "1.0"\n'}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root, base / "out", *mine(base / "out", root, "--view", "inverse", "--jobs", 1)


def law(row: dict[str, Any], step: int) -> dict[str, float]:
    """The belief at the output of a step, counted from the end where it is negative."""
    index = step % len(row["steps"])
    (belief,) = (b for b in row["beliefs"] if row["segments"][b["segment"]]["step"] == index)
    return dict(zip(belief["outcomes"], belief["probabilities"], strict=True))


def test_every_function_is_a_row_or_a_counted_drop(mined: Any) -> None:
    _, out, rows, stats = mined
    assert set(rows) == {"half", "first", "pairs", "put", "say", "evens", "order", "lucky", "shout"}
    assert stats["drops"] == {"nothing_told": 4, "thin_prior": 1, stats_wall(stats): 1}
    assert stats["found"] == stats["rows"] + stats["duplicates"] + sum(stats["drops"].values()) == 15
    assert stats["by_source"]["call"]["rows"] == 9
    assert stats["beliefs"]["reveals"] == sum(len(row["beliefs"]) for row in rows.values())
    assert stats["beliefs"]["mean_entropy_bits"] > 0
    told = [json.loads(line) for line in (out / "errors.jsonl").read_text().splitlines()]
    assert {error["name"].rpartition(".")[2] for error in told} == {
        "opaque", "nothing", "never", "once", "endless", "coin",
    }  # fmt: skip


def stats_wall(stats: dict[str, Any]) -> str:
    """An endless call ends by one limit or the other, or leaves no belief where another input is what was drawn."""
    return next(reason for reason in ("wall", "cpu", "no_belief") if reason in stats["drops"])


def test_a_session_states_its_prior_and_asks_last(mined: Any) -> None:
    row = mined[2]["half"]
    assert ">>> n = choice([3, 3, 2, 8, 9])\n" in row["text"]
    view = json.loads(row["view"])
    assert (view["policy"], view["prior"]) == ("inverse", "mined")
    assert view["inputs"] == {"n": ["3", "3", "2", "8", "9"]}
    assert (view["calls"], view["left_out"]) == (5, 0)
    assert row["entry"] == "call" and (row["path"], row["name"]) == ("src/shop/core.py", "shop.core.half")
    last = row["steps"][-1]
    assert (last["source"], last["kind"]) == ("print('n', n)", "reveal")
    n = int(last["output"].removeprefix("n "))
    expected = {"n 3": 2 / 3, "n 2": 1 / 3} if n < 4 else {"n 8": 0.5, "n 9": 0.5}
    assert law(row, -1) == pytest.approx(expected, abs=1e-12)


def test_beliefs_are_bayes_by_brute_force(mined: Any) -> None:
    root, _, rows, _ = mined
    checked = {name: row for name, row in rows.items() if brute_force.can_be_checked(row)}
    assert set(checked) == set(rows) - {"lucky"}
    for name, row in checked.items():
        assert brute_force.worst_difference(row, brute_force.runs_of(row, str(root))) < 1e-12, name
    lucky = rows["lucky"]
    shown = next(step["output"] for step in lucky["steps"] if step["output"])
    weights = {"1": {"n 1": 1.0}, "3": {"n 2": 1.0}, "2": {"n 1": 0.25 / 1.75, "n 2": 1.5 / 1.75}}
    assert law(lucky, -1) == pytest.approx(weights[shown], abs=1e-12)


def test_the_oracle_can_fail(mined: Any) -> None:
    root, _, rows, _ = mined
    runs = brute_force.runs_of(rows["half"], str(root))
    wrong = [(weight * (1.5 if n else 1.0), texts) for n, (weight, texts) in enumerate(runs)]
    assert brute_force.worst_difference(rows["half"], wrong) > 1e-3


def test_rows_replay_in_a_plain_doctest(mined: Any) -> None:
    root, _, rows, _ = mined
    for name, row in rows.items():
        told = subprocess.run(
            [sys.executable, str(FEED), str(root)],
            input=json.dumps({"text": row["text"], "setup": json.loads(row["setup"])}),
            capture_output=True,
            text=True,
        )
        assert told.returncode == 0, (name, told.stdout, told.stderr)


def test_a_dataset_with_choices_replays_as_a_whole(mined: Any) -> None:
    root, out, rows, _ = mined
    command = [sys.executable, str(FEED.with_name("replay_rows.py")), str(out), f"shop={os.path.relpath(root)}"]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0 and f"'replays': {len(rows)}" in told.stdout, told.stdout + told.stderr


def test_the_input_is_asked_for_as_it_was_drawn(mined: Any) -> None:
    """``order`` sorts what it gets: without a copy every answer would be the sorted one."""
    row = mined[2]["order"]
    expected = {"xs [3]": 1.0} if "\nxs [3]\n" in row["text"] else {"xs [2, 1]": 2 / 3, "xs [1, 2]": 1 / 3}
    assert law(row, -1) == pytest.approx(expected, abs=1e-12)
    put = mined[2]["put"]
    assert ">>> given_xs\n[" in put["text"] and put["steps"][-1]["source"] == "print('x', x)"


@pytest.mark.slow
def test_nothing_of_the_input_is_shown_before_it_is_asked_for(mined: Any, tmp_path: Path) -> None:
    rows, _ = mine(tmp_path / "out", mined[0], "--view", "inverse+every:1+full", "--jobs", 1)
    shown = 0
    for row in rows.values():
        names = {name for target in json.loads(row["view"])["inputs"] for name in target.split(", ")}
        reveals = [step["source"] for step in row["steps"] if step["kind"] == "reveal"]
        asked = [f"print({name!r}, " for name in names]
        last = reveals[len(reveals) - len(names) :]
        assert all(source.startswith(tuple(asked)) for source in last)
        assert [step["source"] for step in row["steps"]][-len(names) :] == last
        assert not names & set(reveals)
        shown += len(reveals) - len(names)
    assert shown, "other variables are shown"


@pytest.mark.slow
def test_any_number_of_jobs_gives_the_same_bytes_and_a_finished_unit_is_not_done_again(
    mined: Any, tmp_path: Path
) -> None:
    root, out, _, _ = mined
    mine(tmp_path / "out", root, "--view", "inverse", "--jobs", 2)

    def content(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted((folder / "data").glob("*"))}

    assert content(tmp_path / "out") == content(out)
    before = {path: path.stat().st_mtime_ns for path in (out / ".ledger").glob("*/*")}
    mine(out, root, "--view", "inverse", "--jobs", 2)
    assert before and {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_a_declared_grid(mined: Any, tmp_path: Path) -> None:
    rows, stats = mine(tmp_path / "out", mined[0], "--view", "inverse:grid", "--jobs", 1)
    view = json.loads(rows["evens"]["view"])
    assert (view["prior"], view["chosen_by"]) == ("grid", {"n": "annotation"})
    assert view["inputs"] == {"n": [str(n) for n in range(-2, 9)]}
    shown = next(step["output"] for step in rows["evens"]["steps"] if step["output"])
    if shown == "[]":
        assert law(rows["evens"], -1) == pytest.approx({f"n {n}": 1 / 3 for n in (-2, -1, 0)}, abs=1e-12)
    assert brute_force.worst_difference(rows["evens"], brute_force.runs_of(rows["evens"], str(mined[0]))) < 1e-12
    assert stats["found"] == stats["rows"] + stats["duplicates"] + sum(stats["drops"].values())
    assert all(json.loads(row["view"])["prior"] == "grid" for row in rows.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--view", "inverse", "--sources", "doctest"], "expected the entry call"),
        (["--view", "inverse", "--sources", "doctest,call"], "got doctest,call with the view 'inverse'; leave entries"),
        (["--view", "branch+inverse:grid", "--sources", "docs"], "expected the entry call"),
        (["--view", "inverse:n=1|2"], "write inverse or inverse:grid"),
        (["--view", "inverse+inverse:grid"], "one prior"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], message: str) -> None:
    told = command_here.command("module:heapq", *arguments, "--out", tmp_path / "traces")
    assert told.returncode == 2 and message in told.stderr, told.stderr
    assert not (tmp_path / "traces").exists()
