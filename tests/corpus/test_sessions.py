"""Several sessions of one snippet: each with draws of its own, counted to the unit, the same for any number of jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import command_here
import pytest

MAIN = 'if __name__ == "__main__":\n'
FILES = {
    "toss.py": f"import random\n\n{MAIN}    coin = random.choice(['heads', 'tails'])\n    print(coin)\n",
    "plain.py": f"{MAIN}    x = 2\n    print(x)\n",
    "early.py": f"import random\nint('no number')\n\n{MAIN}    print(random.random() < 0.5)\n",
}


def mine(root: Path, out: Path, *arguments: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    return command_here.mine(out, root, "--view", "branch+every:0", *arguments)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "scripts"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.slow
def test_sessions_draw_for_themselves_and_are_all_counted(root: Path, tmp_path: Path) -> None:
    rows, stats = mine(root, tmp_path / "out", "--sessions", "8", "--jobs", "1")
    tosses = [row for row in rows if row["path"] == "toss.py"]
    assert {row["text"].splitlines()[-1] for row in tosses} == {"heads", "tails"}  # 1 in 128 seeds would not
    assert len(tosses) == 2 and [row["path"] for row in rows].count("plain.py") == 1
    assert stats["found"] == 24 and stats["duplicates"] == 6
    assert stats["drops"] == {"no_choices": 14}  # plain.py, and early.py, which ends before its draw
    again, _ = mine(root, tmp_path / "again", "--sessions", "8", "--jobs", "2")
    assert again == rows
    one, stats = mine(root, tmp_path / "one")
    assert one == [row for row in rows if row["text"] in {each["text"] for each in one}] and stats["found"] == 3


def test_more_sessions_need_something_hidden(root: Path, tmp_path: Path) -> None:
    told = command_here.command(root, "--sessions", 2, "--out", tmp_path / "out")
    assert told.returncode == 2 and "expected one session a snippet" in told.stderr


def test_draws_that_change_what_a_module_holds_are_shown_as_they_fall(tmp_path: Path) -> None:
    """A session whose module was left with another list than its own was a drop wherever the list had changed."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "cups.py").write_text(
        "import random\n\ncups = [1, 0]\n\n\ndef turn():\n    if random.random() < .5:\n        cups.reverse()\n"
    )
    (folder / "game.py").write_text("from cups import cups, turn\n\nturn()\nprint(cups)\n")
    rows, stats = mine(folder, tmp_path / "out", "--sessions", "6", "--jobs", "1", "--sources", "script")
    assert stats["drops"] == {}
    assert {row["text"].splitlines()[-1] for row in rows} == {"[1, 0]", "[0, 1]"}  # 1 in 32 seeds would not
    for row in rows:
        (asked,) = (each for each in row["beliefs"] if len(each["outcomes"]) > 1)
        assert asked["method"] == "exact" and asked["probabilities"] == [0.5, 0.5]
