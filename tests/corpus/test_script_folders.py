"""A folder of ordinary scripts, mined and verified: which become rows, and what is said of the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import command_here
import pyarrow.parquet as pq
import pytest

NOTEBOOK = {"cells": [{"cell_type": "code", "source": "%matplotlib inline\nfrom helpers import double\ndouble(21)"}]}
FILES = {
    "prints.py": "print('hello')\nprint(6 * 7)\n",
    "uses.py": "from helpers import double\nfor n in (1, 2):\n    print(double(n))\n",
    "helpers.py": "def double(n):\n    return 2 * n\n",
    "reads.py": "import os\nprint(open('data.csv').read().split(','), os.path.basename(__file__))\n",
    "data.csv": "a,b",
    "writes.py": "with open('out.txt', 'w') as file:\n    file.write('x')\nprint(open('out.txt').read())\n",
    "rolls.py": "import random\nprint(random.randint(1, 1000), random.random() < 2)\n",
    "asks.py": "name = input()\nprint('hello', name)\n",
    "counts.py": "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('n', type=int)\n"
    "print(parser.parse_args().n + 1)\n",
    "needs.py": "import sys\nprint(sys.argv[1])\n",
    "waits.py": "print(input())\n",
    "tools/__init__.py": "",
    "tools/part.py": "VALUE = 3\n",
    "tools/__main__.py": "from .part import VALUE\nprint(VALUE)\n",
    "jobs/above.py": "from pathlib import Path\nROOT = Path(__file__).resolve().parent.parent\n"
    "print((ROOT / 'data.csv').read_text(), Path('above.py').exists(), (ROOT / 'jobs') == Path(__file__).parent)\n",
    "only.py": "def f(): ...\n",
    "scripts.yaml": "- {path: asks.py, stdin: Ada}\n- {path: asks.py, name: again, stdin: Bo}\n"
    '- {path: counts.py, arguments: [41]}\n- {path: "\\e[31mnowhere.py"}\n',
    "tour.ipynb": json.dumps(NOTEBOOK),
}


def command(*arguments: object) -> tuple[int, str]:
    """The exit code, and what was printed on both streams."""
    told = command_here.command(*arguments)
    return told.returncode, told.stderr + told.stdout


def mined(out: Path, *arguments: object) -> tuple[int, str, dict[str, Any]]:
    options = ("--sources", "doctest,script,test", "--environment", "none", "--jobs", 1, "--keep-duplicates")
    code, told = command(*options, *arguments, "--out", out)
    return code, told, json.loads((out / "stats.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("folders") / "loose"
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def test_a_folder_of_scripts(tmp_path: Path, folder: Path) -> None:
    code, told, stats = mined(tmp_path / "traces", folder)
    assert code == 0
    rows = {row["name"]: row for row in pq.read_table(tmp_path / "traces" / "data").to_pylist()}
    texts = {name: row["text"] for name, row in rows.items()}
    assert {*texts} == {
        *("prints", "uses", "reads", "writes", "rolls", "asks.py#1", "again", "counts", "tools.__main__", "tour.ipynb"),
        "above",
    }
    assert stats["drops"] == {"bad_manifest": 1, "needs_arguments": 1, "needs_input": 1}
    assert stats["found"] == stats["rows"] + stats["duplicates"] + sum(stats["drops"].values()) == 14
    assert stats["files"]["roles"] == {"script": 11, "notebook": 1, "imported": 2, "definitions": 1, "module": 1}
    told = " ".join(told.split())  # a terminal of 80 columns wraps
    assert "16 .py and .ipynb files: 11 scripts, 1 notebook, 2 imported by others, 1 only definitions" in told
    assert "only.py (only definitions)" in told
    assert "loose: scripts.yaml:4: expected the path" in told and "\x1b" not in told
    assert "['a', 'b'] reads.py" in texts["reads"]
    assert "a,b True True" in texts["above"], "its own folder to work in, and its repository above ``__file__``"
    assert "hello Ada" in texts["asks.py#1"] and "hello Bo" in texts["again"]
    assert "\n42\n" in texts["counts"] and "\n42\n" in texts["tour.ipynb"]
    assert rows["tour.ipynb"]["num_skipped"] == 1
    # what a row has is enough to run it again
    code, told = command("verify", tmp_path / "traces", "--sample", 20, "--repository", folder, "--json")
    report = json.loads(told)
    assert (code, report["verified"], report["rows"]) == (0, 11, 11), report


def test_a_script_that_is_named_brings_its_folder(tmp_path: Path, folder: Path) -> None:
    code, _, stats = mined(tmp_path / "traces", folder / "uses.py", folder / "reads.py")
    assert (code, stats["rows"], stats["files"]["roles"]) == (0, 2, {"script": 2})


def test_a_file_that_only_defines_says_so(tmp_path: Path, folder: Path) -> None:
    code, told, stats = mined(tmp_path / "traces", folder / "only.py")
    assert (code, stats["found"]) == (1, 0)
    assert "1 .py file: 1 only definitions; add lines that call what is defined" in told


def test_patterns_choose_the_scripts(tmp_path: Path, folder: Path) -> None:
    code, told, stats = mined(tmp_path / "traces", folder, "--scripts", "pr*.py", "--sources", "script")
    assert (code, stats["rows"], stats["files"]["roles"]["script"]) == (0, 1, 1)
    assert "not matched by --scripts" in told
    assert command(folder, "--scripts", "../x.py", "--out", tmp_path / "other")[0] == 2
