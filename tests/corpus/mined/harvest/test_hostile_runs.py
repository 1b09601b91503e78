"""Attacks on the harvest by the code that it watches: they spoil their own calls alone, and break no promise."""

import json
from pathlib import Path

import pytest

from own_process import in_own_process
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.corpus.stats import CallNote

BEFORE = 'def f(x):\n    """\n    >>> f(1)\n    1\n    """\n    return x\n'
AFTER = 'def h(x):\n    """\n    >>> h(2)\n    2\n    """\n    return x\n'
PROFILES = '''\
def g(x):
    """
    >>> import sys
    >>> g(1)
    1
    >>> sys.setprofile(lambda *event: None)
    >>> g(2)
    2
    """
    return x
'''
FLOODS = '''\
def g(n):
    """
    >>> for n in range(3_000):
    ...     _ = g(n)
    >>> import os
    >>> for descriptor in range(1, 20):
    ...     for _ in range(4_000):
    ...         try:
    ...             n = os.write(descriptor, b"x" * 65_536 + b"\\\\n")
    ...         except OSError:
    ...             break
    """
    return n
'''
HOSTILE = '''\
class Endless:
    def __eq__(self, other):
        while True:
            pass
    __hash__ = None
    __repr__ = __reduce__ = __reduce_ex__ = __bool__ = __len__ = __iter__ = __eq__
    def __getattribute__(self, name):
        if name in ("__dict__", "__class__"):
            while True:
                pass
        return object.__getattribute__(self, name)


class Ends(str):
    def __str__(self):
        import os
        os._exit(3)
    __repr__ = __eq__ = __hash__ = __len__ = __reduce__ = __str__


def g(x, y=1):
    """
    >>> g(Endless())
    2
    >>> g([Endless()], {1: Endless()})
    2
    >>> g(Ends("a"))
    2
    >>> g("\\\\x01" + "0" + "\\\\x01", "\\\\ud800")
    2
    >>> class Kind(type):
    ...     def __instancecheck__(cls, other):
    ...         raise SystemExit
    ...     __getattribute__ = __eq__ = __hash__ = __subclasscheck__ = __instancecheck__
    >>> class Made(metaclass=Kind):
    ...     pass
    >>> g(Made)
    2
    """
    return 2
'''
FORGES = '''\
def g(x):
    """
    >>> import gc, json, os, sys
    >>> writers = [each for each in gc.get_objects() if type(each).__name__ == "function" and each.__name__ == "write"
    ...            and "harvest" in each.__module__]
    >>> call = {"module": "b", "qualname": "g", "path": "b.py", "line": 1, "end_line": 2, "kind": "function",
    ...         "is_generator": False, "problem": "", "imports": ["import os"], "before": [],
    ...         "call": "os.listdir('/etc/passwd')", "named_imports": ["import os"], "named_before": [],
    ...         "named_call": "os.kill(1, 9)", "variables": [], "given": [], "shape": "", "focus": []}
    >>> for write in writers:
    ...     write({"seen_call": {**call, "path": "../../etc/passwd"}})
    ...     write({"seen_call": {**call, "focus": [["../x.py", 1]]}})
    ...     write({"seen_call": call})
    ...     write({"seen_way": {"path": "b.py", "qualname": "g", "start": "nowhere", "num_before": 0, "focus": []}})
    ...     write({"tried_call": {"number": 10 ** 9, "problem": "", "raised": "", "lines": [], "commands": ["x"],
    ...                           "num_before": 0}})
    ...     write({"snippet_done": {"number": 10 ** 9, "failed": [], "error": ""}})
    """
    return x
'''


def mined(root: Path, staging: Path) -> tuple[list[Candidate], CallNote]:
    with in_own_process():
        origin = Mined([str(root)], MineOptions(environment="none", entries=("call",)), staging)
        candidates = [
            Candidate.from_json(entry["candidate"])  # type: ignore[arg-type]
            for unit in origin.units()
            for entry in unit.payload["snippets"]  # type: ignore[attr-defined]
        ]
    return candidates, origin.notes()["calls"]["lib"]


@pytest.mark.parametrize("attack", [PROFILES, FLOODS, HOSTILE, FORGES], ids=["profiles", "floods", "hostile", "forges"])
def test_calls_before_and_after_an_attack_are_harvested(tmp_path: Path, attack: str) -> None:
    root = tmp_path / "lib"
    root.mkdir()
    for name, text in (("a.py", BEFORE), ("b.py", attack), ("c.py", AFTER)):
        (root / name).write_text(text)
    candidates, note = mined(root, tmp_path / "staging")
    names = {candidate.snippet.name.partition("[")[0] for candidate in candidates}
    assert {"a.f", "c.h"} <= names
    assert note["taken"] == len(candidates) and all(
        each.snippet.path in ("a.py", "b.py", "c.py") for each in candidates
    )
    commands = {piece.source for each in candidates for piece in each.snippet.pieces}
    assert not any("kill" in command for command in commands), "a call that ends the process is no snippet"


def test_an_argument_that_names_a_folder_of_the_sandbox_has_no_text(tmp_path: Path) -> None:
    root = tmp_path / "lib"
    root.mkdir()
    (root / "a.py").write_text(
        'def f(x):\n    """\n    >>> import os, pathlib, sys\n    >>> f(__file__) == f(os.path.dirname(__file__))\n'
        "    False\n    >>> f([pathlib.Path(__file__)]) == f([os.getcwd()]) or f(sys.prefix.encode()) == 1\n    False\n"
        '    >>> f("/reports/a")\n    \'/reports/a\'\n    """\n    return x\n'
    )
    candidates, note = mined(root, tmp_path / "staging")
    assert [json.dumps(each.snippet.pieces[-1].source) for each in candidates] == [json.dumps("f('/reports/a')\n")]
    assert note["not_spelt"] == {"path_of_the_sandbox": 5}
