"""Replay refuses what does not hold, and what depends on seed, clock or address never reaches a row."""

from __future__ import annotations

import sys

import pytest

from trace_mine.tracer.checks import Unstable
from trace_mine.tracer.inside.protocol.answers import NativeSummary, SessionCommand
from trace_mine.tracer.replays.registry import READERS
from trace_mine.tracer.replays.session import Session, commands_of, differences
from trace_mine.tracer.rounds import Native, Plan, told_apart
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import Drop
from trace_mine.tracer.session import Tracer, TracerConfig

GOOD = """>>> x = [1, 2]
>>> x
[1, 2]
>>> def f(n):
...     return n / 0
>>> print("a\\n\\nb")
a
<BLANKLINE>
b
>>> f(x[0])
Traceback (most recent call last):
    ...
ZeroDivisionError: division by zero
"""
BAD = {
    "wrong value": GOOD.replace("[1, 2]\n>>> def", "[1, 3]\n>>> def"),
    "missing value": GOOD.replace("x\n[1, 2]\n", "x\n"),
    "extra output": GOOD.replace("...     return n / 0\n", "...     return n / 0\nNone\n"),
    "wrong exception": GOOD.replace("ZeroDivisionError", "ValueError"),
    "wrong message": GOOD.replace("by zero", "by one"),
    "no exception": GOOD.replace("n / 0", "n / 1"),
    "missing traceback": GOOD[: GOOD.index("Traceback")],
    "blank line lost": GOOD.replace("<BLANKLINE>\n", ""),
}
AT_PROMPT = ("stock", "fresh")
"""Readers that don't see if a command raised: a program may print a traceback on standard error and go on. ``doc`` does
see it."""
INCOMPLETE = ">>> x = 1\n>>> for i in range(2):\n"


@pytest.fixture(scope="module")
def plain(other_worker, plain_replayer):
    """A worker of each kind that readers read in, without a sandbox."""
    return {"other world": other_worker, "replayer": plain_replayer, "fresh replayer": plain_replayer}


@pytest.mark.parametrize("reader", READERS)
def test_true_session_replays(kit, plain, reader):
    assert replay(kit, plain, reader, GOOD) == []


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", BAD)
def test_false_session_is_refused(kit, plain, reader, name):
    assert BAD[name] != GOOD
    if name == "missing traceback" and reader in AT_PROMPT:
        assert replay(kit, plain, reader, BAD[name]) == []
        return
    assert replay(kit, plain, reader, BAD[name])


@pytest.mark.parametrize("reader", READERS)
def test_incomplete_command_is_refused(kit, plain, reader):
    if reader in AT_PROMPT:
        assert replay(kit, plain, reader, INCOMPLETE) == []  # a SyntaxError on standard error
        return
    assert replay(kit, plain, reader, INCOMPLETE)[-1].source == "for i in range(2):"


def replay(kit, workers, name, text):
    reader = READERS[name]
    session = Session(commands=commands_of(text), program=kit.program(""))
    return differences(session.commands, reader.read(workers[reader.jail], session, 0))


UNSTABLE = {
    "hash seed": ("names = {'a', 'b', 'c', 'd', 'e', 'f'}\n", "print(names)\n", "next(iter(names))\n", "names\n"),
    "string hash": ("h = hash('text')\n", "print(h % 1000)\n", "h\n"),
    "clock": ("import time\n", "now = time.time()\n", "print(now)\n", "now\n"),
    "address": ("class C: pass\n", "c = C()\n", "print(id(c))\n", "c\n", "id(c)\n", "repr(c)\n"),
    "random": ("import random\n", "x = random.random()\n", "print(x)\n", "x\n"),
}


@pytest.fixture(scope="module")
def sandboxed():
    try:
        made = Tracer(TracerConfig(python=sys.executable, follow=1))
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    yield made
    made.close()


@pytest.mark.parametrize("cause", UNSTABLE)
def test_unstable_output_is_never_in_a_row(kit, sandboxed, cause):
    for single in (False, True):
        for last in range(2, len(UNSTABLE[cause]) + 1):
            source = "".join(UNSTABLE[cause][:last])
            trace = sandboxed.trace(kit.script(source) if not single else examples(kit, UNSTABLE[cause][:last]))
            if isinstance(trace, Drop):
                assert trace.reason in ("replay_mismatch", "result_differs"), trace
                continue
            # every output that is left came out the same in another process, under another seed, clock and layout
            jails = {"replayer": sandboxed._replays.worker("replayer")}
            assert replay(kit, jails, "doc", trace.text) == []


def examples(kit, sources):
    from dataclasses import replace

    from trace_mine.tracer.schema import Piece

    pieces = tuple(Piece(source=source, line=1 + number) for number, source in enumerate(sources))
    return replace(kit.script("pass"), kind="doctest", pieces=pieces)


def test_sandboxed_session_equals_the_plain_one(kit, sandboxed):
    for name in ("branches", "aliasing", "classes", "generators", "try_kinds", "side_effects"):
        trace = sandboxed.trace(kit.script((kit.samples / f"{name}.py").read_text(encoding="utf-8"), name))
        assert not isinstance(trace, Drop), trace
        expected = (kit.golden / f"{name}.txt").read_text(encoding="utf-8").split("\n", 1)[1]
        assert trace.text == expected
        assert trace.integrity == "clean" and trace.sandbox["level"] >= 2


def test_what_the_program_itself_repeats_otherwise_is_called_unstable(kit, sandboxed):
    for lines in (
        ("names = {'a', 'b', 'c', 'd', 'e', 'f'}\n", "names\n"),
        ("import time\n", "time.time_ns()\n"),
        ("def stamp():\n    import time\n    now = time.time_ns()\n    return now\n", "stamp()\n"),
    ):
        trace = sandboxed.trace(examples(kit, lines))
        assert not isinstance(trace, Drop), trace
        assert trace.kept_whole.get("unstable"), (lines, trace.kept_whole)
        assert "replay_differs" not in trace.kept_whole


def test_a_replay_that_differs_in_a_stable_program_stays_our_fault():
    plan = Plan(follow=0, reasons=("closed", "replay_differs"))
    moving = Unstable(names=frozenset({"now"}), pieces=frozenset({3}))

    def native(unstable):
        summary = NativeSummary(pieces=(), passed=True, variables={}, outcomes=())
        return Native(result=summary, frames=(), unstable=unstable)

    def command(source, wrote):
        where = {"depth": 0, "path": "a.py", "line": 1, "piece": 0}
        shown = {"output": "", "error": None, "raised": False, "kind": "statement", "changes": {wrote: "1"}}
        return SessionCommand(source=source, wrote=(wrote,), **shown, **where)

    def told(unstable, pieces):
        return told_apart(plan, native(unstable), pieces).reasons[-1]

    assert told(None, {"x": 3}) == "replay_differs"
    assert told(Unstable(), {"x": 3}) == "replay_differs"
    assert told(moving, {"x": 0}) == "replay_differs"
    assert told(moving, {"x": 3, "y": 0}) == "replay_differs"
    assert told(moving, {"x": 3, "print(now_2 + 1)": 0}) == "unstable"
    made = [command("later = add(now)", "later"), command("apart = 1", "apart")]
    assert told_apart(plan, native(moving), {"later": 0}, made).reasons[-1] == "unstable"
    assert told_apart(plan, native(moving), {"apart": 0}, made).reasons[-1] == "replay_differs"
