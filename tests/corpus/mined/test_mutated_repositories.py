"""Mutants of archives, packaging files, licences, source and documents: none ends a run, none goes over its limits.

``python tests/corpus/mined/test_mutated_repositories.py 5000`` prints what became of so many of them.
"""

from __future__ import annotations

import io
import os
import random
import shutil
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from trace_mine.corpus.engines import ENGINES
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.mined.reader import READING_LIMITS, UNPACKING_LIMITS, RepositoryReader
from trace_mine.corpus.produce import open_ledger, produce
from trace_mine.dataset_folders import Quiet
from trace_mine.tracer.schema import Outcome

ROOT = Path(__file__).resolve().parents[3]
BATCH = 250
"""Mutants that are the repositories of one run."""

PYTHON = '''\
"""A module.

>>> double(2)  # doctest: +ELLIPSIS
4
"""
from __future__ import annotations
import os, sys as system
from collections import Counter

def double(n: int = 0x10, *rest: "list[int]", key=None) -> int:
    """
    >>> double(3)
    6
    >>> double(4)  # doctest: +SKIP
    8
    """
    return 2 * n

class TestDouble:
    def setup_method(self): self.n = [1, (2, 3), {"a": -1.5e3}]
    def test_double(self):
        assert double(2) == 4 and double(3, key="k") == 6

if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(double(1))
    elif a:
        pass
    double(5)
'''
MARKDOWN = (
    "# Project\n\nSome text.\n\n```python\n>>> from m import double\n>>> double(2)\n4\n```\n\n~~~\n>>> 1 + 1\n2\n~~~\n"
)
TOML = """\
[project]
name = "mutant"
version = "1.0"
license = {text = "MIT"}
classifiers = ["License :: OSI Approved :: MIT License", 'Programming Language :: Python']
[tool.setuptools.packages.find]
where = ["src"]
[tool.poetry]
packages = [{include = "m", from = "lib"}]
a.b."c d".e = 1979-05-27T07:32:00Z
x = [1, 2.5, 0xff, inf, true, \"\"\"many
lines\"\"\"]
"""
CFG = """\
[metadata]
name = mutant
version = attr: m.__version__
license = MIT
classifiers =
    License :: OSI Approved :: MIT License
[options]
package_dir =
    = src
[options.packages.find]
where = src
"""
METADATA = """\
Metadata-Version: 2.4
Name: mutant
Version: 1.0
License-Expression: MIT OR (Apache-2.0 AND BSD-3-Clause)
Classifier: License :: OSI Approved :: MIT License
License: The text
        of a licence
Description-Content-Type: text/markdown

# The body
"""
SETUP = "from setuptools import setup\nsetup(name='mutant', version='1.0', license='MIT', packages=['m'])\n"

TOKENS = (
    *(char.encode() for char in "()[]{}'\".=#-\t \\/|9\0\n"),
    *(b'"""', b"\r\n", b">>> ", b"... ", b"import ", b"from ", b"# doctest: ", b"# coding: ", b"utf-16", b"punycode"),
    *(
        b"\xff\xfe",
        b"\xf0\x9f",
        b"\xc2\x85",
        b"\xe2\x80\xa8",
        b"\x1b[31m",
        b"0x",
        b"elif a:\n    b\n",
        b"lambda: ",
        b"not ",
    ),
    *(b"@a\n", b"SPDX-License-Identifier: ", b"..", b"../", b"License: ", b"ref: ", b"f'{", b"async ", b"a:"),
    *(b"Copyright ", b"Permission is hereby granted, "),
)
"""Pieces that a mutation inserts, some of them thousands of times."""


def archive_of(members: Mapping[str, bytes], kind: str) -> bytes:
    data = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members.items():
                file.writestr(name, content)
    else:
        with tarfile.open(fileobj=data, mode=f"w:{kind}") as tar:  # type: ignore[call-overload]
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


MEMBERS = {
    "p-1.0/pyproject.toml": TOML.encode(),
    "p-1.0/m.py": PYTHON.encode(),
    "p-1.0/" + "long/" * 30 + "name.py": b"x = 1\n",
    "p-1.0/ä.py": b"y = 1\n",
}

SEEDS: dict[str, tuple[str, bytes]] = {
    "zip": ("zip", archive_of(MEMBERS, "zip")),
    "tar": ("tar", archive_of(MEMBERS, "")),
    "tar.gz": ("tar.gz", archive_of(MEMBERS, "gz")),
    "toml": ("pyproject.toml", TOML.encode()),
    "cfg": ("setup.cfg", CFG.encode()),
    "metadata": ("PKG-INFO", METADATA.encode()),
    "licence": ("LICENSE", (ROOT / "LICENSE").read_bytes()),
    "setup": ("setup.py", SETUP.encode()),
    "python": ("m.py", PYTHON.encode()),
    "test": ("test_m.py", PYTHON.encode()),
    "markdown": ("README.md", MARKDOWN.encode()),
}
"""By kind, the file that is mutated (for archives, the suffix) and its content before."""


def mutate(data: bytes, draw: random.Random) -> bytes:
    """The data after one to six changes of random kinds at random places."""
    for _ in range(draw.randint(1, 6)):
        data = draw.choice(MUTATIONS)(data, draw)[: 1 << 20]
    return data


def _place(data: bytes, draw: random.Random) -> int:
    return draw.randrange(len(data) + 1)


def _flip(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        if changed:
            changed[draw.randrange(len(changed))] = draw.choice((0, 0xFF, draw.randrange(256)))
    return bytes(changed)


def _cut(data: bytes, draw: random.Random) -> bytes:
    first, last = sorted((_place(data, draw), _place(data, draw)))
    return data[:first] + data[last:] if draw.random() < 0.7 else data[:last]


def _insert(data: bytes, draw: random.Random) -> bytes:
    place = _place(data, draw)
    times = draw.choice((1, 1, 3, 100, 1500, 20_000, 100_000))
    token = b"".join(draw.choices(TOKENS, k=draw.choice((1, 1, 2, 3))))
    return data[:place] + (token * times)[:200_000] + data[place:]


def _repeat(data: bytes, draw: random.Random) -> bytes:
    first, last = sorted((_place(data, draw), _place(data, draw)))
    piece = data[first:last][:2000]
    return data[:last] + (piece * draw.choice((1, 10, 300)))[:200_000] + data[last:]


def _splice(data: bytes, draw: random.Random) -> bytes:
    other = draw.choice([*SEEDS.values()])[1]
    place, start = _place(data, draw), _place(other, draw)
    return data[:place] + other[start : start + draw.randrange(400)] + data[place:]


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip,
    _flip,
    _cut,
    _insert,
    _insert,
    _repeat,
    _splice,
)


@dataclass(slots=True)
class Usage:
    """What the reader's processes used at most, and how often one ended with what."""

    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    memory_bytes: int = 0
    ends: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        self.cpu_seconds = max(self.cpu_seconds, outcome.cpu_seconds)
        self.wall_seconds = max(self.wall_seconds, outcome.wall_seconds)
        self.memory_bytes = max(self.memory_bytes, outcome.peak_memory_bytes)
        self.ends[outcome.status] += 1


@contextmanager
def metered() -> Iterator[Usage]:
    """A context in which all readers' processes are measured."""
    usage = Usage()
    start = RepositoryReader.__init__

    def started(self: RepositoryReader, *arguments: Any, **options: Any) -> None:
        start(self, *arguments, **options)
        run = self._worker.run

        def measured(*given: Any) -> Outcome:
            outcome = run(*given)
            usage.add(outcome)
            return outcome

        self._worker.run = measured  # type: ignore[method-assign]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RepositoryReader, "__init__", started)
        yield usage


def write_mutants(folder: Path, numbers: range) -> None:
    """Write a repository or an archive for each number, and a good one beside them."""
    for number in numbers:
        draw = random.Random(number)
        kind = [*SEEDS][number % len(SEEDS)]
        name, seed = SEEDS[kind]
        data = mutate(seed, draw)
        if kind in ("zip", "tar", "tar.gz"):
            (folder / f"mutant{number}-1.0.{name}").write_bytes(data)
            continue
        root = folder / f"mutant{number}"
        root.mkdir()
        (root / "setup.cfg").write_text(f"[metadata]\nname = mutant{number}\n")
        (root / "fine.py").write_text(f'"""\n>>> {number}\n{number}\n"""\n')
        (root / name).write_bytes(data)
    good = folder / "good"
    good.mkdir()
    (good / "pyproject.toml").write_text('[project]\nname = "good"\n')
    (good / "good.py").write_text('"""\n>>> "good"\n"good"\n"""\n')


def mine_mutants(numbers: range) -> tuple[Counter[str], Usage]:
    """Mine the mutants with these numbers in one run; what became of them by kind and outcome, and what it took.

    Raises:
        AssertionError: the good repository's row is not there, the counts don't add up, or a limit was passed.
    """
    counts: Counter[str] = Counter()
    folder = Path(tempfile.mkdtemp(prefix="mutants-"))
    try:
        folder.chmod(0o755)
        inputs = folder / "repositories"
        inputs.mkdir()
        write_mutants(inputs, numbers)
        options = MineOptions(tracer_factory="corpus_fakes:start_fake")
        with metered() as usage, open_ledger(folder / "out", overwrite=False) as ledger:
            origin = Mined([str(inputs)], options, ledger.sources)
            stats = produce(ledger, origin, options.as_config(), engine=ENGINES["loky"](1), watcher=Quiet()).stats
    finally:
        shutil.rmtree(folder)
    assert stats["by_repository"]["good"]["rows"] == 1
    assert stats["found"] == stats["rows"] + stats["duplicates"] + sum(stats["drops"].values())
    assert usage.cpu_seconds <= READING_LIMITS.cpu_seconds + 1
    assert usage.memory_bytes <= max(READING_LIMITS.memory_bytes, UNPACKING_LIMITS.memory_bytes) + (256 << 20)
    counts["repositories"] = len(numbers) + 1
    counts.update({f"snippet {reason}": number for reason, number in stats["drops"].items()})
    counts.update({f"file {reason}": number for reason, number in stats["files"]["unreadable"].items()})
    counts.update({"rows": stats["rows"], "duplicates": stats["duplicates"]})
    return counts, usage


@pytest.mark.slow
def test_a_sample_of_mutants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    counts, usage = mine_mutants(range(99))
    assert counts["rows"] > 60 and usage.ends["ok"] > 80


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_five_thousand_mutants() -> None:
    for first in range(1000, 6000, BATCH):
        mine_mutants(range(first, first + BATCH))


def main(num_mutants: int) -> None:
    """Print what became of so many mutants."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests" / "corpus"), str(ROOT), *sys.path])
    sys.path.insert(0, str(ROOT / "tests" / "corpus"))
    counts: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    cpu_seconds = wall_seconds = memory_megabytes = 0.0
    for first in range(1000, 1000 + num_mutants, BATCH):
        started = time.monotonic()
        batch, usage = mine_mutants(range(first, min(first + BATCH, 1000 + num_mutants)))
        counts += batch
        ends += usage.ends
        cpu_seconds = max(cpu_seconds, usage.cpu_seconds)
        wall_seconds = max(wall_seconds, usage.wall_seconds)
        memory_megabytes = max(memory_megabytes, usage.memory_bytes / 1e6)
        print(first, f"{time.monotonic() - started:.0f} s", dict(batch), flush=True)
    print("outcomes:", dict(counts.most_common()))
    print("ends of the reader's processes:", dict(ends))
    print(f"at most: {cpu_seconds:.1f} s of CPU, {wall_seconds:.1f} s, {memory_megabytes:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]))
