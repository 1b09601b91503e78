"""The index of benchmarks: hashes of their functions, examples and runs of words, with the problem that each is of.

It is made of files that the user has, in whatever columns these keep their texts (``prompt`` with
``canonical_solution``, ``code`` with ``test_list``, ``question_content``); no problem is copied into it.
"""

from __future__ import annotations

import ast
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trace_mine.corpus.decontamination.code_keys import (
    Example,
    Function,
    assert_examples,
    doctest_examples,
    function_key,
    functions_of,
    gram_keys,
)
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.json_texts import json_texts
from trace_mine.corpus.mined.files import parse
from trace_mine.tracer.schema import Drop

VERSION = 1
SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
NAME_COLUMNS = ("task_id", "question_id", "problem_id", "id", "name", "question_title")
CODE_COLUMNS = ("canonical_solution", "solution", "code", "completion", "answer")
"""Columns of code that may be the rest of a ``prompt``."""


@dataclass(slots=True)
class BenchmarkIndex:
    """Keys (``code_keys``) to problems.

    Attributes:
        problems: the names of the problems.
        functions, words: by key, the number of the problem in ``problems``.
        examples: by key, the problem's number, and if the example tells it alone.
    """

    problems: list[str] = field(default_factory=list)
    functions: dict[str, int] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)
    examples: dict[str, tuple[int, bool]] = field(default_factory=dict)

    def add(self, name: str, record: Mapping[str, object]) -> None:
        """Add a problem: a record of a benchmark's file."""
        number = len(self.problems)
        self.problems.append(name)
        entry_point = record.get("entry_point")
        renamed = entry_point if isinstance(entry_point, str) else ""
        for text in dict.fromkeys(_codes(record)):
            tree = parse(text)
            if isinstance(tree, Drop):
                continue
            for function in functions_of(tree):
                if key := function_key(function, text):
                    self.functions.setdefault(key, number)
            for example in assert_examples(tree, renamed):
                self.examples.setdefault(example.key, (number, example.tells))
        for text in dict.fromkeys(json_texts(record, looks_inside=True)):
            for _, example in doctest_examples(text):
                self.examples.setdefault(example.key, (number, example.tells))
            for key in gram_keys(text):
                self.words.setdefault(key, number)
        self._add_call(number, record)

    def _add_call(self, number: int, record: Mapping[str, object]) -> None:
        """Add the example of a record with ``input`` and ``output``, as CRUXEval has them."""
        given, result = record.get("input"), record.get("output")
        if isinstance(given, str) and isinstance(result, str):
            for _, example in doctest_examples(f">>> f({given})\n{result}\n"):
                self.examples.setdefault(example.key, (number, example.tells))

    def to_json(self) -> dict[str, object]:
        """The index as JSON; ``from_json`` is the inverse."""
        return {
            "version": VERSION,
            "problems": self.problems,
            "functions": self.functions,
            "words": self.words,
            "examples": {key: [number, tells] for key, (number, tells) in self.examples.items()},
        }

    @staticmethod
    def from_json(data: object) -> BenchmarkIndex:
        """The index whose ``to_json`` is ``data``.

        Raises:
            ValueError: it is none.
        """
        if not isinstance(data, dict) or data.get("version") != VERSION:
            raise ValueError(f"expected an index of benchmarks of version {VERSION}, got another object; build it anew")
        try:
            index = BenchmarkIndex(
                problems=[str(name) for name in data["problems"]],
                functions={str(key): int(number) for key, number in data["functions"].items()},
                words={str(key): int(number) for key, number in data["words"].items()},
                examples={str(key): (int(number), bool(tells)) for key, (number, tells) in data["examples"].items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"expected an index of benchmarks, got another object ({error}); build it anew") from None
        numbers = {*index.functions.values(), *index.words.values(), *(n for n, _ in index.examples.values())}
        if any(not 0 <= number < len(index.problems) for number in numbers):
            raise ValueError("expected the number of a problem for each key, got another one; build it anew")
        return index


def index_of(files: Sequence[Path]) -> BenchmarkIndex:
    """Make the index of files of benchmarks; a file that is an index itself is taken as it is.

    Raises:
        CorpusError: a file is missing, can't be read, or has no problems.
    """
    index = BenchmarkIndex()
    for path in files:
        try:
            records = [record for record in _records(path) if isinstance(record, dict)]
        except (OSError, ValueError, EOFError, RecursionError) as error:
            raise CorpusError(
                f"expected a benchmark as {', '.join(SUFFIXES)}, got {path.name}: {type(error).__name__}: "
                f"{str(error)[:200]}; give a file of problems, one record each",
                exit_code=2,
            ) from None
        if not records:
            raise CorpusError(f"expected problems, got none in {path.name}; give another file", exit_code=2)
        if len(records) == 1 and records[0].keys() >= {"version", "words", "functions"}:
            _merge(index, BenchmarkIndex.from_json(records[0]))
            continue
        for number, record in enumerate(records):
            index.add(_name(record, path, number), record)
    return index


def _merge(index: BenchmarkIndex, other: BenchmarkIndex) -> None:
    start = len(index.problems)
    index.problems += other.problems
    for mine, others in ((index.functions, other.functions), (index.words, other.words)):
        for key, number in others.items():
            mine.setdefault(key, number + start)
    for key, (number, tells) in other.examples.items():
        index.examples.setdefault(key, (number + start, tells))


def _records(path: Path) -> Iterator[object]:
    if path.name.endswith(".parquet"):
        import pyarrow.parquet

        yield from pyarrow.parquet.read_table(path).to_pylist()
        return
    opened = gzip.open(path, "rt", encoding="utf-8") if path.name.endswith(".gz") else open(path, encoding="utf-8")
    with opened as file:
        if path.name.removesuffix(".gz").endswith(".json"):
            data = json.load(file)
            yield from data if isinstance(data, list) else [data]
        else:
            yield from (json.loads(line) for line in file if line.strip())


def _name(record: Mapping[str, object], path: Path, number: int) -> str:
    file = path.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        file = file.removesuffix(suffix)
    chosen = next((str(record[name]) for name in NAME_COLUMNS if record.get(name) not in (None, "")), str(number))
    return chosen[:200] if "/" in chosen else f"{file}/{chosen[:200]}"


def _codes(record: Mapping[str, object]) -> Iterator[str]:
    """The texts of a record that may be code, and its prompt with each text that may be the rest of it."""
    prompt = record.get("prompt")
    for column in CODE_COLUMNS:
        text = record.get(column)
        if isinstance(prompt, str) and isinstance(text, str):
            yield prompt + text
    yield from json_texts(record, looks_inside=True)


def marks_of(tree: ast.Module | None, text: str, index: BenchmarkIndex) -> Iterator[tuple[int, int, int]]:
    """The places of a file that are a problem's: first and last line, and the problem's number.

    Args:
        tree: the syntax tree of a Python file; None for other text, whose examples alone are looked at.
        text: the file's text.
        index: of the problems.
    """
    if tree is None:
        for line, number in _telling(doctest_examples(text), index):
            yield line + 1, line + 2, number
        return
    for function in functions_of(tree):
        if (problem := _problem_of(function, text, index)) is not None:
            first = min([function.lineno, *(each.lineno for each in function.decorator_list)])
            yield first, function.end_lineno or first, problem


def _problem_of(function: Function, text: str, index: BenchmarkIndex) -> int | None:
    """The number of the problem that a function is, or has the examples of."""
    key = function_key(function, text)
    if key is not None and key in index.functions:
        return index.functions[key]
    examples = [*doctest_examples(ast.get_docstring(function) or "")]
    examples += [(0, example) for example in assert_examples(function)]
    return next((number for _, number in _telling(iter(examples), index)), None)


def _telling(examples: Iterator[tuple[int, Example]], index: BenchmarkIndex) -> Iterator[tuple[int, int]]:
    """The lines of examples that tell a problem, alone or with another one of the same problem."""
    seen: dict[int, str] = {}
    for line, example in examples:
        number, tells = index.examples.get(example.key, (-1, False))
        if number < 0:
            continue
        if tells or seen.get(number, example.key) != example.key:
            yield line, number
        seen.setdefault(number, example.key)
