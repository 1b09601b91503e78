"""The index of benchmark problems: what matches, what does not, and files of all kinds."""

from __future__ import annotations

import ast
import gzip
import json
import textwrap
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.corpus.decontamination.__main__ import main
from trace_mine.corpus.decontamination.benchmark_file import default_place, sources_digest
from trace_mine.corpus.decontamination.benchmark_index import BenchmarkIndex, index_of, marks_of
from trace_mine.corpus.decontamination.code_keys import function_key, functions_of, gram_keys
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.mined.tracing import close_tracer, trace_unit
from trace_mine.corpus.rows import Row
from trace_mine.corpus.work import Dropped

PROBLEMS = Path(__file__).resolve().parents[2] / "data" / "problems.jsonl"
(PROBLEM,) = [json.loads(line) for line in PROBLEMS.read_text().splitlines()]
SOLUTION = PROBLEM["prompt"] + PROBLEM["canonical_solution"]

RENAMED = '''
@decorated
def f(values: list[int], n: int = 1) -> int:
    """Something else."""
    most = 0
    for a, b in zip(values, values[1:]):
        d = abs(b - a)
        if d > most:
            most = d
    return most // n
'''


def key(source: str) -> str | None:
    (function, *_) = functions_of(ast.parse(source))
    return function_key(function, source)


def marks(source: str, index: BenchmarkIndex) -> list[tuple[int, int, str]]:
    return [(first, last, index.problems[n]) for first, last, n in marks_of(ast.parse(source), source, index)]


@pytest.fixture(scope="module")
def index() -> BenchmarkIndex:
    return index_of([PROBLEMS])


def test_a_function_under_other_names_is_the_problem(index: BenchmarkIndex) -> None:
    default_kept = RENAMED.replace(" = 1", "")
    assert marks(default_kept, index) == [(2, 10, "Made/0")]
    assert marks(textwrap.indent(default_kept, "    ").replace("\n    @", "\nclass A:\n    @", 1), index) == [
        (3, 11, "Made/0")
    ]


def test_another_function_is_not(index: BenchmarkIndex) -> None:
    assert marks(RENAMED.replace(" = 1", "").replace("most // n", "most * n"), index) == []
    assert key("def f(a, b):\n    return a + b\n") is None


def test_a_short_function_needs_its_name() -> None:
    short = "def {}(a):\n    b = a * a\n    return b + 1 - a\n"
    assert key(short.format("f")) != key(short.format("g")) != None  # noqa: E711
    assert key(short.format("f")) == key(short.format("f").replace("b", "total"))


@pytest.mark.parametrize(
    ("source", "matches"),
    [
        ('def g(x):\n    """\n    >>> widest_gap([1, 5, 6, 14, 15], 2)\n    4\n    """\n    return x\n', True),
        ('def g(x):\n    """\n    >>> widest_gap([1, 5, 6, 14,   15],2)\n    4\n    """\n    return x\n', True),
        ('def g(x):\n    """\n    >>> widest_gap([1, 5, 6, 14, 15], 2)\n    5\n    """\n    return x\n', False),
        ("def test_it():\n    assert widest_gap([10, 20, 40, 80, 160], 7) == 11\n", True),
        # one short example is anybody's
        ("def test_it():\n    assert widest_gap([1], 2) == 0\n", False),
    ],
)
def test_examples_and_assertions(source: str, matches: bool, index: BenchmarkIndex) -> None:
    assert bool(marks(source, index)) == matches


def test_prose_is_told_by_thirteen_words(index: BenchmarkIndex) -> None:
    words = "careful walker needs to cross the widest gap between neighbouring towers of this"
    assert any(each in index.words for each in gram_keys(f">>> x = '{words}'"))
    assert not any(each in index.words for each in gram_keys(words.replace("walker", "runner")))
    loops = (
        "for i in range(len(x)):\n    for j in range(len(x)):\n        if i != j and x[i] == x[j]:\n            return"
    )
    assert not [*gram_keys(loops)], "code that anybody writes says nothing"


NAMES = st.sampled_from(["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"])


@settings(deadline=None)
@given(st.lists(NAMES, min_size=6, max_size=6, unique=True))
def test_names_of_locals_do_not_count(names: list[str]) -> None:
    tree = ast.parse(SOLUTION)

    table = dict(zip(("heights", "start", "best", "left", "right", "gap"), names, strict=True))

    class Rename(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.Name:
            node.id = table.get(node.id, node.id)
            return node

        def visit_arg(self, node: ast.arg) -> ast.arg:
            node.arg = table.get(node.arg, node.arg)
            return node

    assert key(ast.unparse(Rename().visit(tree))) == key(SOLUTION)


# files

RECORDS: list[dict[str, Any]] = [
    {"task_id": 11, "code": RENAMED, "test_list": ["assert f([10, 20, 40, 80, 160], 7) == 11"]},
    {"id": "sample_0", "code": "def f(s):\n    return s\n", "input": "['a', 'b', 'c', 'd'], 12", "output": "'abcd'"},
]


@pytest.mark.parametrize("name", ["b.jsonl", "b.jsonl.gz", "b.json", "b.parquet"])
def test_each_kind_of_file_is_read(tmp_path: Path, name: str) -> None:
    path, text = tmp_path / name, "".join(json.dumps(record) + "\n" for record in RECORDS)
    if name.endswith(".parquet"):
        columns = dict.fromkeys(column for record in RECORDS for column in record)
        records = [{name: json.dumps(record.get(name, "")).strip('"') for name in columns} for record in RECORDS]
        records[0]["code"] = RENAMED
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(json.dumps(RECORDS) if name.endswith(".json") else text)
    index = index_of([path])
    assert index.problems == ["b/11", "b/sample_0"] and index.functions
    assert marks(RENAMED, index) == [(2, 10, "b/11")]
    example = "def test_it():\n    assert f(['a', 'b', 'c', 'd'], 12) == 'abcd'\n"
    assert marks(example, index) == [(1, 2, "b/sample_0")]


@pytest.mark.parametrize("data", [b"", b"no json", b"\xff\xfe", b"[" * 100_000, b"1\n2\n"])
def test_what_is_no_benchmark_is_wrong_usage(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "b.jsonl").write_bytes(data)
    with pytest.raises(CorpusError, match="expected"):
        index_of([tmp_path / "b.jsonl"])


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="benchmark problems") as raised:
        sources_digest([tmp_path / "b.jsonl"])
    assert raised.value.exit_code == 2


def test_an_index_is_its_json(index: BenchmarkIndex) -> None:
    assert BenchmarkIndex.from_json(json.loads(json.dumps(index.to_json()))) == index
    for data in ([], {}, {**index.to_json(), "version": 0}, {**index.to_json(), "problems": []}):
        with pytest.raises(ValueError, match="expected"):
            BenchmarkIndex.from_json(data)


def test_the_index_holds_hashes_and_names_alone(index: BenchmarkIndex) -> None:
    text = json.dumps(index.to_json())
    assert not [word for word in ("walker", "heights", "gap") if word in text]


# mining

MODULE = f"""{SOLUTION}

def caller(n):
    '''
    >>> caller(3)
    1
    '''
    return widest_gap(range(n), 1)


def other(n):
    '''
    >>> other(3)
    4
    '''
    return n + 1
"""


def test_problems_are_dropped_and_what_runs_them(tmp_path: Path) -> None:
    repository = tmp_path / "a"
    repository.mkdir()
    (repository / "pyproject.toml").write_text('[project]\nname = "a"\nlicense = "MIT"\n')
    (repository / "a.py").write_text(MODULE)
    options = MineOptions(entries=("doctest",), environment="none", decontaminate=(PROBLEMS,))
    try:
        units = Mined([str(repository)], options, tmp_path / "staging").units()
        items = [item for unit in units for item in trace_unit(unit.payload)]
    finally:
        close_tracer()
    drops = {item.name: (item.reason, item.evidence) for item in items if isinstance(item, Dropped)}
    assert drops == {
        "a.widest_gap": ("benchmark", "lines 1-12 are Made/0"),
        "a.caller": ("benchmark", "widest_gap is Made/0"),
    }
    assert [item.columns["name"] for item in items if isinstance(item, Row)] == ["a.other"]


def test_the_default_place_is_used_where_an_index_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert MineOptions().benchmarks == () and "benchmarks" not in MineOptions().as_config()
    assert main([str(PROBLEMS)]) == 0
    options = MineOptions()
    assert options.benchmarks == (default_place(),) and default_place().is_relative_to(tmp_path)
    assert options.as_config()["benchmarks"] == options.benchmarks_digest != MineOptions(decontaminate=(PROBLEMS,))
    assert index_of(options.benchmarks) == index_of([PROBLEMS])
    assert main([str(tmp_path / "nowhere.jsonl")]) == 2


def test_texts_that_are_json_are_looked_into() -> None:
    """LiveCodeBench keeps tests as JSON in a text: escapes in it would part words and calls."""
    call = ">>> parted_by_separators('a,b;c', ',;')\\n['a', 'b', 'c']"
    index = BenchmarkIndex()
    index.add(
        "live/1", {"question_content": "?", "public_test_cases": f'[{{"input": "{call}", "testtype": "functional"}}]'}
    )
    text = ">>> parted_by_separators('a,b;c', ',;')\n['a', 'b', 'c']\n"
    assert [*marks_of(None, text, index)] == [(1, 2, 0)]
    index.add("live/2", {"public_test_cases": "[" * 100_000})  # begins like JSON, and is too deep for it
    assert index.problems == ["live/1", "live/2"]
