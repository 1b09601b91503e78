"""Scripts of every ordinary kind run as ``python script.py`` runs them, in the native run, the session and the replays.

Each is run by the same interpreter outside, and its session must print the same lines in the same order.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import trace_mine
from trace_mine.errors import NoTraceError
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import Trace

FILES = {
    "data/table.csv": "name,n\nada,3\nalan,4\n",
    "helper.py": "SCALE = 10\n\n\ndef scaled(n):\n    return n * SCALE\n",
    "package/__init__.py": "from .inner import told\n",
    "package/inner.py": "def told():\n    return __name__\n",
}

SCRIPTS = {
    "data_beside": """
import csv
with open('data/table.csv') as file:
    rows = list(csv.DictReader(file))
print(rows[1]['n'])
""",
    "own_path": """
from pathlib import Path
here = Path(__file__).resolve().parent
print(here.name, sorted(path.name for path in here.iterdir() if path.suffix != '.pyc' and path.name[0] != '_'))
print((here / 'data' / 'table.csv').read_text().splitlines()[0])
""",
    "writes": """
import os
with open('made.txt', 'w') as file:
    file.write('one\\n')
os.makedirs('logs/deep')
os.rename('made.txt', 'logs/deep/kept.txt')
print(open('logs/deep/kept.txt').read().strip(), os.path.exists('made.txt'))
""",
    "neighbours": "import helper\nimport package\nprint(helper.scaled(4), package.told())\n",
    "main_module": """
'''Counts.

More of it.
'''
import __main__, sys
answer = 41
print(__doc__.splitlines()[0], __main__.answer, sys.modules['__main__'].__dict__ is globals())
print(__name__, __spec__, __package__, __main__.__file__ == __file__)
""",
    "pickles": """
import copy, dataclasses, enum, pickle, typing
class Point(typing.NamedTuple):
    x: int
    y: int
@dataclasses.dataclass
class Node:
    name: str
    next: 'Node | None' = None
class Colour(enum.Enum):
    RED = 1
print(pickle.loads(pickle.dumps(Point(1, 2))), pickle.loads(pickle.dumps(Node('a', Node('b')))))
print(pickle.loads(pickle.dumps(Colour.RED)) is Colour.RED, Colour.RED, repr(Colour.RED))
print(typing.get_type_hints(Node)['next'], copy.deepcopy(Node('c')) == Node('c'), Node)
""",
    "source": """
import inspect
def twice(n):
    # doubles
    return n + n
class Box:

    def get(self):
        return 1
print(inspect.getsource(twice))
print(inspect.getsource(Box), twice.__code__.co_firstlineno, twice(4))
""",
    "lines": """
import traceback
def fails():
    return 1 / 0
try:
    fails()
except ZeroDivisionError as error:
    print([frame.lineno for frame in traceback.extract_tb(error.__traceback__)])
""",
    "exits": """
import atexit, sys
atexit.register(print, 'bye')
@atexit.register
def closing():
    print('closing', total)
def main():
    print('main', sys.argv[1:])
    return 3
total = 7
raise SystemExit(main())
""",
    "arguments": """
import argparse
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument('name')
parser.add_argument('--times', type=int, default=1)
options = parser.parse_args()
print(options.name * options.times, parser.prog)
""",
    "coroutines": """
import asyncio
async def tell(n):
    await asyncio.sleep(0)
    return n * 2
async def main():
    print(await asyncio.gather(tell(1), tell(2)))
asyncio.run(main())
""",
    "interrupted": """
try:
    raise KeyboardInterrupt
except KeyboardInterrupt:
    print('stopped')
print('and goes on')
""",
    "input": """
import sys
name = input('name? ')
print(name.upper())
for line in sys.stdin:
    print(len(line), line.strip())
""",
    "unittests": """
import unittest
class Sums(unittest.TestCase):
    def test_sum(self):
        self.assertEqual(1 + 1, 2)
result = unittest.main(exit=False, argv=['x'], verbosity=0).result
print(result.testsRun, result.wasSuccessful())
""",
    "futures": """
# a comment first
from __future__ import division, annotations
def told(x: Undefined) -> int:
    return x
print(told.__annotations__)
""",
}
ARGUMENTS = {"arguments": ("ab", "--times", "2"), "exits": ("x", "y")}
INPUTS = {"input": "ada\nfirst\nsecond é\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    for name, text in FILES.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text, encoding="utf-8")
    return made


def natively(script: Path, *arguments: str, stdin: str = "") -> str:
    """What the script prints outside of any sandbox, in a copy of its folder."""
    with tempfile.TemporaryDirectory() as other:
        copied = shutil.copytree(script.parent, Path(other) / script.parent.name)
        return subprocess.run(
            [sys.executable, script.name, *arguments],
            cwd=copied,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        ).stdout


def traced(script: Path, *arguments: str, stdin: str | None = None) -> Trace:
    try:
        return trace_mine.run(script, *arguments, stdin=stdin)
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox here: {error}")


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_session_prints_what_python_prints(folder: Path, name: str) -> None:
    script = folder / f"{name}.py"
    script.write_text(SCRIPTS[name].lstrip("\n"), encoding="utf-8")
    arguments, stdin = ARGUMENTS.get(name, ()), INPUTS.get(name)
    before = content(folder)
    # a session ends a prompt's line, on which a pipe has what is printed next
    wanted = natively(script, *arguments, stdin=stdin or "").replace("? ", "? \n").splitlines()
    assert wanted
    trace = traced(script, *arguments, stdin=stdin)
    assert not trace.failed_checks and set(trace.verification.printed) >= {"doc", "stock"}
    lines = iter("\n".join(step.output for step in trace.steps).replace("<BLANKLINE>", "").splitlines())
    # each is looked for after the one before it
    missing = [line for line in wanted if line not in lines]
    assert not missing, trace.text
    assert content(folder) == before  # nothing that a run wrote came back


def test_calls_of_a_module_beside_the_script_are_opened(folder: Path) -> None:
    script = folder / "script.py"
    script.write_text("import helper\nprint(helper.scaled(4))\n", encoding="utf-8")
    trace = traced(script)
    assert trace.opened_calls == 1 and {step.path for step in trace.steps} == {"script.py", "helper.py"}


def test_no_run_sees_what_the_native_run_wrote(folder: Path) -> None:
    script = folder / "script.py"
    script.write_text("import os\nprint(os.path.exists('mark'))\nopen('mark', 'w').close()\n", encoding="utf-8")
    assert "False" in traced(script).text


@pytest.mark.parametrize(
    ("source", "evidence"),
    [
        ("import no_such_package\n", "Install no_such_package"),
        ("try:\n    import no_such.inner\nexcept ImportError as error:\n    print(error)\n", "Install no_such "),
        ("try:\n    open('/etc/hostname')\nexcept OSError as error:\n    print(error)\n", "--root DIR"),
        ("import socket\nsocket.create_connection(('example.org', 80))\n", "no network"),
        ("import urllib.request\nurllib.request.urlopen('http://example.org')\n", "no network"),
        ("open('/new', 'w')\n", "working folder alone"),
    ],
)
def test_a_failure_of_the_sandbox_s_own_is_no_trace(folder: Path, source: str, evidence: str) -> None:
    script = folder / "script.py"
    script.write_text(source, encoding="utf-8")
    with pytest.raises(NoTraceError) as failed:
        traced(script)
    assert failed.value.reason == "sandbox_denied" and evidence in failed.value.drop.evidence


def test_a_file_that_is_nowhere_is_the_program_s_own_failure(folder: Path) -> None:
    script = folder / "script.py"
    script.write_text("open('nowhere.txt')\n", encoding="utf-8")
    assert traced(script).exception == "FileNotFoundError"
