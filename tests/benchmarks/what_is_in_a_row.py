"""What the rows of datasets hold, by measures that say how much of a row a model can learn from.

    python tests/benchmarks/what_is_in_a_row.py DATASET... [--same]

Each DATASET is a folder that ``trace-mine`` wrote. With ``--same`` only snippets that all of them have are measured, so
that two versions are compared on the same ones. A table is printed, a line for each measure and a column for each
dataset. Nothing is run: the rows' own columns are read, and columns that an old dataset lacks count as empty.
"""

from __future__ import annotations

import argparse
import ast
import collections
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet

Row = Mapping[str, Any]

MANY_ROWS = 5
"""A line that so many rows of a repository share tells nothing of one of them."""
_words = re.compile(r"\w+|[^\w\s]")
_comment = re.compile(r"(?:#[^\n]*\n)+")


def rows_of(folder: Path) -> list[Row]:
    """All rows of a dataset, or of one Parquet file."""
    files = [folder] if folder.is_file() else sorted(folder.rglob("*.parquet"))
    if not files:
        raise SystemExit(f"expected Parquet files below {folder}, got none; name a dataset that trace-mine wrote")
    return [row for file in files for row in pyarrow.parquet.read_table(file).to_pylist()]


def key_of(row: Row) -> tuple[object, ...]:
    """What a snippet is known by in datasets of several versions."""
    return row["repository"], row["path"], row["name"], row["line"], row["entry"]


def bare(source: str) -> str:
    """A command without the comment lines that it begins with."""
    found = _comment.match(source)
    return source[found.end() :] if found else source


def characters_by_role(rows: Iterable[Row]) -> collections.Counter[str]:
    """How many characters have each role; of commands, those of shown definitions stand under ``source``."""
    counts: collections.Counter[str] = collections.Counter()
    for row in rows:
        for segment in row["segments"]:
            role, step = segment["role"], row["steps"][segment["step"]]
            is_source = role == "command" and step["kind"] == "source"
            counts["source" if is_source else role] += segment["end"] - segment["start"]
    return counts


def _statements(text: str) -> set[str]:
    """The simple statements and headers of a source, in one spelling."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return, ast.Raise, ast.Assert)):
            found.add(_shape(ast.unparse(node)))
        for field in ("test", "iter"):
            inner = getattr(node, field, None)
            if isinstance(inner, ast.expr):
                found.add(_shape(ast.unparse(inner)))
    return found


def _shape(text: str) -> str:
    """A statement without the numbers that a session gives to names, and with a returned value as what returns it."""
    text = re.sub(r"\b([A-Za-z_]\w*?)_\d+\b", r"\1", text)
    text = re.sub(r"^returned = |^return ", "", text)
    return re.sub(r"\s+", "", text)


def body_statements(row: Row) -> tuple[int, int]:
    """How many statements of opened bodies a row has, and of how many the source stands earlier in its text."""
    known: set[str] = set()
    total = earlier = 0
    for step in row["steps"]:
        source = bare(step["source"])
        if step["depth"] > 0 and step["kind"] in ("statement", "condition", "returned"):
            total += 1
            earlier += _shape(source) in known
        else:
            known |= _statements(source)
    return total, earlier


def shared_characters(rows: list[Row]) -> tuple[int, int]:
    """Characters of all lines, and of those that ``MANY_ROWS`` rows of their repository have."""
    by_repository: dict[str, list[Row]] = collections.defaultdict(list)
    for row in rows:
        by_repository[row["repository"]].append(row)
    total = shared = 0
    for group in by_repository.values():
        lines = [[_line(line) for line in row["text"].splitlines()] for row in group]
        in_rows = collections.Counter(line for each in lines for line in set(each))
        for each in lines:
            total += sum(map(len, each))
            shared += sum(len(line) for line in each if in_rows[line] >= MANY_ROWS)
    return total, shared


def _line(line: str) -> str:
    return re.sub(r"^(?:>>>|\.\.\.) ?", "", line).strip()


def idle_commands(row: Row) -> tuple[int, int]:
    """How many commands a row has that are no reveal, and how many of them show nothing, write nothing, decide nothing
    and tell no source.
    """
    total = idle = 0
    for step in row["steps"]:
        if step["kind"] in ("reveal", "source"):
            continue
        total += 1
        shows = bool(step["output"]) or step["kind"] == "condition"
        source = bare(step["source"])
        defines = source.startswith(("def ", "class ", "@", "async ")) or "\ndef " in source
        writes = bool(step["wrote"]) and not source.startswith("del ")
        idle += not (shows or writes or defines or step["raised"])
    return total, idle


def names_itself(row: Row) -> bool | None:
    """True if a row's text names the function that it documents; None where no call is opened, or it documents none."""
    if row["entry"] != "doctest" or not row["opened_calls"]:
        return None
    return re.search(rf"\b{re.escape(row['name'].rsplit('.', 1)[-1])}\b", row["text"]) is not None


def holds_source(row: Row) -> bool | None:
    """True if the definition of each opened function stands in a row's text, under its name or, where a variable has
    that, one with a number; None where it opens none.
    """
    names = [each["name"].rsplit(".", 1)[-1] for each in row.get("source") or ()]
    if not names:
        return None if not row["opened_calls"] else False
    return all(name.startswith("<") or re.search(rf"\bdef {re.escape(name)}(?:_\d+)?\b", row["text"]) for name in names)


def near_duplicates(rows: list[Row]) -> tuple[float, float]:
    """The shares of rows that a row before resembles: 5-grams of words with Jaccard >= .7, and >= .5."""
    grams = [frozenset(_grams(row["text"])) for row in rows]
    holders: dict[tuple[str, ...], list[int]] = collections.defaultdict(list)
    high = low = 0
    for number, mine in enumerate(grams):
        common: collections.Counter[int] = collections.Counter()
        for gram in mine:
            common.update(holders[gram])
        best = max((both / (len(mine) + len(grams[other]) - both) for other, both in common.items()), default=0.0)
        high += best >= 0.7
        low += best >= 0.5
        for gram in mine:
            holders[gram].append(number)
    return high / len(rows), low / len(rows)


def _grams(text: str, size: int = 5) -> Iterable[tuple[str, ...]]:
    words = _words.findall(text)
    return (tuple(words[at : at + size]) for at in range(max(len(words) - size + 1, 1)))


def state_facts(rows: Iterable[Row]) -> float:
    """Changes of variables that are told in states, for 1,000 words and signs of text."""
    facts = tokens = 0
    for row in rows:
        before: dict[str, str] = {}
        for state in map(json.loads, row["states"]):
            facts += sum(before.get(name) != value for name, value in state.items())
            before = state
        tokens += len(_words.findall(row["text"]))
    return 1000 * facts / tokens


def measured(rows: list[Row]) -> dict[str, str]:
    """Each measure of a dataset's rows, by its name."""
    roles = characters_by_role(rows)
    characters = sum(roles.values())
    body = [body_statements(row) for row in rows]
    total, shared = shared_characters(rows)
    idle = [idle_commands(row) for row in rows]
    named = [each for each in map(names_itself, rows) if each is not None]
    holding = [each for each in map(holds_source, rows) if each is not None]
    high, low = near_duplicates(rows)

    def share(part: float, whole: float) -> str:
        return f"{100 * part / whole:.1f}%" if whole else "-"

    return {
        "rows": str(len(rows)),
        "characters a row": f"{characters / len(rows):.0f}",
        **{f"characters: {role}": share(number, characters) for role, number in sorted(roles.items())},
        "body statements that stand earlier in the row": share(sum(e for _, e in body), sum(t for t, _ in body)),
        f"characters in lines of {MANY_ROWS} rows and more": share(shared, total),
        "commands that show, write, decide nothing": share(sum(i for _, i in idle), sum(t for t, _ in idle)),
        "doctest rows with calls that name what they document": f"{sum(named)} of {len(named)}",
        "rows with calls that hold the source of all": f"{sum(holding)} of {len(holding)}",
        "resembles a row before, J >= .7": f"{100 * high:.1f}%",
        "resembles a row before, J >= .5": f"{100 * low:.1f}%",
        "state facts for 1,000 tokens": f"{state_facts(rows):.1f}",
        "opened calls": str(sum(row["opened_calls"] for row in rows)),
        "steps": str(sum(len(row["steps"]) for row in rows)),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--same", action="store_true", help="only snippets that all datasets have")
    options = parser.parse_args()
    datasets = [rows_of(folder) for folder in options.datasets]
    if options.same:
        common = set.intersection(*({key_of(row) for row in rows} for rows in datasets))
        datasets = [[row for row in rows if key_of(row) in common] for rows in datasets]
    tables = [measured(rows) for rows in datasets]
    width = max(map(len, (name for table in tables for name in table)))
    for name in dict.fromkeys(name for table in tables for name in table):
        print(name.ljust(width), *(table.get(name, "-").rjust(12) for table in tables))


if __name__ == "__main__":
    main()
