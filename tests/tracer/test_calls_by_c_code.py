"""Functions of the program's own that C code calls: for keys, for matches, for parts of arguments and for slices."""

from __future__ import annotations

import pytest

from trace_mine.tracer.schema import Trace

FLAT = {"closed", "result_differs", "path_differs", "replay_differs", "unstable", "replay_mismatch", "unfaithful"}

OPENED = {
    "keys of a list's sort": (
        "class Held:\n    def __init__(self):\n        self.words = ['bb', 'a', 'ccc']\n"
        "def size(word):\n    number = len(word)\n    return -number\n"
        "xs = ['a', 'ccc', 'bb']\nxs.sort(key=size)\nprint(xs)\nheld = Held()\n"
        "held.words.sort(key=size, reverse=True)\nprint(held.words)\nxs.sort(key=lambda x: size(x))\nprint(xs)",
        ["number = len(word)", "size"],
        10,
    ),
    "a substitution": (
        "import re\ndef double(match):\n    number = int(match.group())\n    return str(2 * number)\n"
        "print(re.sub(r'\\d+', double, 'a1b22'))\npattern = re.compile('b*')\n"
        "def bars(match):\n    width = len(match.group())\n    return '|' * (width + 1)\n"
        "text = pattern.sub(bars, 'abbc')\nprint(text)\nprint(re.sub('x', double, 'none'))",
        ["number = int(match.group())", "width = len(match.group())"],
        6,
    ),
    "a partial": (
        "from functools import partial\ndef add(a, b, *, c=0, d=0):\n    total = a + b + c + d\n    return total\n"
        "two = partial(add, 2)\nprint(two(3))\nmore = partial(two, c=4)\nprint(more(5, d=1))\n"
        "print(partial(add)(1, 2))\n"
        "print(more(5, c=7))\n"
        "class Box:\n    def __init__(self, n):\n        self.n = n\n    def plus(self, m):\n"
        "        total = self.n + m\n"
        "        return total\n"
        "box = Box(3)\nbox.plus_two = partial(box.plus, 2)\nprint(box.plus_two())",
        ["total = a + b + c + d", "total = self.n + m"],
        3,
    ),
    "slices": (
        "class Row:\n    def __init__(self, items):\n        self.items = items\n"
        "    def __getitem__(self, index):\n        found = self.items[index]\n"
        "        return Row(found) if isinstance(index, slice) else found\n"
        "def low():\n    print('low')\n    return 1\n"
        "row = Row([1, 2, 3, 4])\nprint(row[1:3].items)\nprint(row[::2].items, row[low():].items)\nprint(row[:-1][0])",
        ["found = self.items[index]", "index = slice(1, 3, None)"],
        8,
    ),
    "a metaclass": (
        "class Single(type):\n    def __init__(cls, *args, **named):\n        cls.__instance = None\n"
        "        super().__init__(*args, **named)\n"
        "    def __call__(cls):\n        if cls.__instance is None:\n"
        "            cls.__instance = super(Single, cls).__call__()\n        return cls.__instance\n"
        "class Zone(metaclass=Single):\n    def __init__(self):\n        self.name = 'zone'\n"
        "class Factory(type):\n    def make(cls, *args, **named):\n        return type.__call__(cls, *args, **named)\n"
        "    def __call__(cls, name, offset=0):\n        key = name, offset\n        made = cls.made.get(key)\n"
        "        if made is None:\n            made = cls.made.setdefault(key, cls.make(name, offset=offset))\n"
        "        return made\n"
        "class Shift(metaclass=Factory):\n    made = {}\n    def __init__(self, name, offset):\n"
        "        self.name = name\n        self.offset = offset\n"
        "print(Zone() is Zone(), Zone().name)\n"
        "shift = Shift('a', offset=3)\nprint(shift.offset, Shift('a', 3) is shift)",
        ["self.name = 'zone'", "key = name, offset", "self.offset = offset", "# Zone()\n... cls = Zone"],
        8,
    ),
    "an iterator that a call makes": (
        "class Count:\n    def __init__(self, n):\n        self.n = n\n    def __iter__(self):\n        return self\n"
        "    def __next__(self):\n        if not self.n:\n            raise StopIteration\n        self.n -= 1\n"
        "        return self.n\n"
        "print(list(Count(3)))\nprint(tuple(Count(2)), sum(Count(3)), ' '.join(map(str, Count(2))))",
        ["self.n -= 1"],
        6,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=3)) as made:
        yield made


@pytest.mark.parametrize("name", OPENED)
def test_calls_are_opened(tracer, kit, name):
    source, shown, opened = OPENED[name]
    trace = tracer.trace(kit.script(f"{source}\n"))
    assert isinstance(trace, Trace), trace
    print(trace.text, trace.kept_whole, trace.opened_calls)
    assert trace.failed_checks == {} and not FLAT & trace.kept_whole.keys()
    assert all(each in trace.text.replace("_1", "") for each in shown)
    assert trace.opened_calls >= opened
    assert trace.own_frames == trace.opened_frames + sum(trace.unopened_frames.values())


CLOSED = {
    "a number of matches": "import re\ndef f(match):\n    x = 'y'\n    return x\nprint(re.sub('a', f, 'aaa', 1))",
    "a text in place of a function": "import re\nprint(re.sub('a', 'b', 'aaa'))",
    "a program's own slice": (
        "slice = 3\nclass Row:\n    def __getitem__(self, index):\n        return str(index)\nprint(Row()[1:2])"
    ),
    "a keyword that both have": (
        "from functools import partial\ndef f(a=1):\n    x = a\n    return x\nprint(partial(f, a=2)(a=3))"
    ),
    "what a key does to its list": (
        "xs = [2, 1]\ndef f(x):\n    n = len(xs)\n    return n + x\nxs.sort(key=f)\nprint(xs, f(1))"
    ),
    "a list that a key changes": (
        "xs = [2, 1]\ndef f(x):\n    xs.append(x)\n    return x\n"
        "try:\n    xs.sort(key=f)\nexcept ValueError as error:\n    print(error)"
    ),
}


@pytest.mark.parametrize("name", CLOSED)
def test_what_can_not_be_opened_has_a_session_all_the_same(tracer, kit, name):
    trace = tracer.trace(kit.script(f"{CLOSED[name]}\n"))
    assert isinstance(trace, Trace) and trace.failed_checks == {}
