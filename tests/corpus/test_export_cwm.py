"""What is exported as Code World Model's format, read by its guide alone and compared with ``sys.settrace`` itself."""

from __future__ import annotations

import doctest
import json
import re

import pytest
from command_here import main_here

import cwm_frames

# no comprehension: from 3.12 on settrace tells each turn of it as a line, which the record leaves out
MODULE = '''\
def collatz(n):
    """
    >>> steps = collatz(6)
    >>> steps
    [6, 3, 10, 5, 16, 8, 4, 2, 1]
    >>> collatz(1)
    [1]
    """
    path = [n]
    while n != 1:
        if n % 2:
            n = 3 * n + 1
        else:
            n = n // 2
        path.append(n)
    return path

def safe(text, default=None):
    """
    >>> safe("7"), safe("x", -1)
    (7, -1)
    """
    try:
        number = int(text)
    except ValueError:
        return default
    finally:
        text = ""
    return number

def checked(values):
    """
    >>> checked([1, "<|frame_sep|>"])
    Traceback (most recent call last):
    ...
    ValueError: <|frame_sep|>
    >>> checked([2])
    2
    """
    total = 0
    for value in values:
        total = total + positive(value)
    return total

def positive(value):
    if not isinstance(value, int):
        raise ValueError(value)
    return value

def evens(limit):
    """
    >>> list(evens(5))
    [0, 2, 4]
    """
    number = 0
    while number < limit:
        yield number
        number += 2

def depth(tree):
    """
    >>> depth([1, [2, [3]], []])
    3
    """
    deepest = 0
    for each in tree:
        if isinstance(each, list):
            deepest = max(deepest, depth(each))
    return deepest + 1

def squares(n, *rest, scale=1, **named):
    """
    >>> squares(2, 5, scale=3, also=1)
    {0: 0, 1: 3, 'rest': (5,), 'also': 1}
    """
    found = {}
    for i in range(n):
        found[i] = scale * i * i
    found["rest"] = rest
    found.update(named)
    return found
'''


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """For each docstring of MODULE the text of its trace, by the function's name."""
    folder = tmp_path_factory.mktemp("cwm")
    (folder / "kit").mkdir()
    (folder / "kit" / "m.py").write_text(MODULE)
    arguments = ["--sources", "doctest", "--jobs", "1", "--environment", "none", "--keep-duplicates"]
    assert main_here([str(folder / "kit"), *arguments, "--out", str(folder / "rows")]) == 0
    assert main_here(["export", str(folder / "rows"), "--format", "cwm", "--out", str(folder / "cwm")]) == 0
    lines = [json.loads(line) for file in (folder / "cwm" / "data").glob("*.jsonl") for line in open(file)]
    return {line["name"].rpartition(".")[2]: line["text"] for line in lines}


NAMES = re.findall(r"^def (\w+)\(.*\n    \"\"\"", MODULE, re.MULTILINE)


def examples_of(name: str) -> list[str]:
    """The examples of a function's docstring."""
    source = MODULE[MODULE.index(f"def {name}(") :]
    return [each.source for each in doctest.DocTestParser().get_examples(source.split('"""')[1])]


def test_each_docstring_is_exported(exported):
    assert sorted(exported) == sorted(NAMES) and len(NAMES) == 6


@pytest.mark.parametrize("name", NAMES)
def test_the_guide_s_format_tells_what_settrace_tells(name, exported):
    context, frames = cwm_frames.read(exported[name])
    lines = context.split("\n")
    assert all(frame.line in lines for frame in frames)
    after = "\n".join(lines[next(n for n, line in enumerate(lines) if cwm_frames.MARKER in line) + 1 :])
    assert after.strip() == "".join(examples_of(name)).strip()
    depth, told = 0, []
    for frame in frames:
        depth += frame.kind == "call"
        # the first scope is all examples together: how it is entered and left says nothing of them
        if depth > 1 or frame.kind in ("line", "exception"):
            told.append(cwm_frames.Frame(frame.kind, frame.line, {} if _is_example(depth, frame) else frame.told))
        depth -= frame.kind == "return"
    assert depth == 0
    assert told == cwm_frames.traced(MODULE, examples_of(name))


def _is_example(depth: int, frame: cwm_frames.Frame) -> bool:
    return depth == 1 and frame.kind == "line"


def test_a_frame_that_differs_is_seen(exported):
    text = exported["collatz"].replace('"n": "10"', '"n": "11"', 1)
    assert text != exported["collatz"]
    assert cwm_frames.read(text)[1] != cwm_frames.read(exported["collatz"])[1]
    with pytest.raises((AssertionError, KeyError)):
        cwm_frames.read(text.replace("<|arg_sep|>", "<|frame_sep|>", 1))
