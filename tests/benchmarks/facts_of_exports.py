"""How many rows each format of ``trace-mine export`` takes, why not the others, and how densely it tells of the state.

    python tests/benchmarks/facts_of_exports.py DATASET... [--rows 100] [--seed 0]

Of the datasets' rows that many are drawn at random, as many of each entry as there are (doctest, test, call, ...) up to
an equal share; they are exported in every format and read back by the formats' readers. A fact is a variable of a scope
that the format tells to have another value than before: in ``repl`` one of the changes in ``states``. A call's result
is none, but in ``cruxeval``, which tells nothing else. Tokens are words and single signs, separators one each; all that
stands in a line counts, the program too. Nothing of a row is run, but for ``cruxeval``'s assertions, in the sandbox.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from trace_mine.corpus.export.codeexecutor import read_line
from trace_mine.corpus.export.cwm import read_cwm
from trace_mine.corpus.export.dataset import export_dataset
from trace_mine.corpus.export.event_lines import read_lines
from trace_mine.corpus.export.formats import EXPORTS
from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.session import Tracer

Line = Mapping[str, Any]
_tokens = re.compile(r"<\|\w+\|>|</?(?:line|state|dictsep|output|\d+)>|\w+|[^\w\s]")


def drawn(folders: Iterable[Path], number: int, seed: int) -> pyarrow.Table:
    """So many rows of the datasets, an equal share of each entry as far as it has them."""
    files = [file for folder in folders for file in sorted(folder.glob("data/*.parquet"))]
    table = pyarrow.concat_tables([pyarrow.parquet.read_table(file) for file in files], promote_options="default")
    by_entry: dict[str, list[int]] = collections.defaultdict(list)
    for index, entry in enumerate(table["entry"].to_pylist()):
        by_entry[entry].append(index)
    generator = random.Random(seed)
    for each in by_entry.values():
        generator.shuffle(each)
    chosen: list[int] = []
    while len(chosen) < number and any(by_entry.values()):
        chosen += [each.pop() for each in by_entry.values() if each][: number - len(chosen)]
    return table.take(sorted(chosen))


def facts_of(name: str, line: Line, states: Mapping[str, list[str]]) -> int:
    """The facts that a line of a format tells, as its reader finds them."""
    if name == "repl":
        return _changes(json.loads(state) for state in states[line["trace_id"]])
    if name == "cruxeval":
        return 1
    if name == "lines":
        return sum(each.word == "assign" for each in read_lines(line["text"]))
    if name == "codeexecutor":
        code, total = line["code"].split("\n"), 0
        scopes: dict[int, dict[str, str]] = {}
        for each in map(read_line, line["trace"]):
            if each.output is None:
                before = scopes.get(_function_at(code, each.index), {})
                total += sum(before.get(key) != value for key, value in each.state.items())
                scopes[_function_at(code, each.index)] = dict(each.state)
        return total
    total, open_scopes = 0, []
    for frame in read_cwm(line["text"]).frames:
        if frame.kind == "call":
            open_scopes.append({})
        if frame.variables is not None:
            total += sum(open_scopes[-1].get(key) != value for key, value in frame.variables.items())
            open_scopes[-1] = dict(frame.variables)
        if frame.kind == "return":
            open_scopes.pop()
    return total


def _function_at(code: list[str], index: int) -> int:
    """The line with the ``def`` around a line; -1: it stands in none. A line says nothing else of its scope."""
    margin = len(code[index]) - len(code[index].lstrip())
    for number in range(index - 1, -1, -1):
        text = code[number].lstrip()
        if text and len(code[number]) - len(text) < margin:
            margin = len(code[number]) - len(text)
            if text.startswith(("def ", "async def ")):
                return number
    return -1


def _changes(states: Iterator[Mapping[str, str]]) -> int:
    before: Mapping[str, str] = {}
    total = 0
    for state in states:
        total += sum(before.get(name) != value for name, value in state.items())
        before = state
    return total


def text_of(name: str, line: Line) -> str:
    """All that a line of a format says."""
    if name == "cruxeval":
        return f"{line['code']}\n{line['input']}\n{line['output']}"
    if name == "codeexecutor":
        return "\n".join([line["code"], *line["trace"]])
    sources = (
        "\n".join(each["text"] for each in line["source"] if each["name"] != "<module>") if name == "lines" else ""
    )
    return f"{sources}\n{line['text']}"


def held(lines: Iterable[Line]) -> tuple[int, int]:
    """How many of cruxeval's assertions hold in the sandbox, and how many there are."""
    right = total = 0
    with Tracer(TracerConfig()) as tracer:
        for line in lines:
            source = f"{line['code']}\nassert f({line['input']}) == {line['output']}\n"
            right += tracer.run_source(source, Limits()).status == "ok"
            total += 1
    return right, total


def main() -> None:
    """Print a line for each format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        table = drawn(options.datasets, options.rows, options.seed)
        (folder / "rows" / "data").mkdir(parents=True)
        pyarrow.parquet.write_table(table, folder / "rows" / "data" / "train-00000-of-00001.parquet")
        states = dict(zip(table["trace_id"].to_pylist(), table["states"].to_pylist(), strict=True))
        print(f"{len(table)} rows:", dict(collections.Counter(table["entry"].to_pylist())))
        for name, kind in EXPORTS.items():
            counts = export_dataset(folder / "rows", kind, folder / name)["data"]
            lines = [json.loads(line) for line in open(folder / name / "data" / "train.jsonl", encoding="ascii")]
            facts = sum(facts_of(name, line, states) for line in lines)
            tokens = sum(len(_tokens.findall(text_of(name, line))) for line in lines)
            rows = len({line["trace_id"] for line in lines})
            density = f"{tokens} tokens, {1000 * facts / tokens:.1f} facts for 1,000"
            print(
                f"{name:13} {len(lines)} lines of {rows} rows, {density}",
                f"not given {dict(counts.not_given)}",
                f"cut {dict(counts.cut)}",
                sep="; ",
            )
            if name == "cruxeval":
                right, total = held(lines)
                print(f"{name:13} {right} of {total} assertions hold")


if __name__ == "__main__":
    main()
