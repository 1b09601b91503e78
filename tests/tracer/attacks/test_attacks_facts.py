"""Each fact of a machine, asked for in both worlds: neutral in the recording one, something else in the replaying one.

And the snippets that show them: no row has a fact of this machine in it.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import socket
import sys
from pathlib import Path

import pytest

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.replays.jails import replaying_jail
from trace_mine.tracer.sandbox import SandboxUnavailable, Worker
from trace_mine.tracer.sandbox.facts import FACTS, MODULES, UNTOLD, Fact
from trace_mine.tracer.schema import Drop, Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer
from trace_mine.tracer.two_worlds import jail_of

DOCS = Path(__file__).parents[3] / "docs" / "facts.md"
ASK = f"""
import warnings
warnings.simplefilter("ignore")
import {MODULES}
answers = {{}}
for name, question in QUESTIONS.items():
    try:
        answers[name] = repr(eval(question))
    except Exception as error:
        answers[name] = f"{{type(error).__name__}}: {{error}}"
import json
print(json.dumps(answers))
"""


def asked(worker: Worker) -> dict[str, str]:
    questions = {fact.name: fact.asks for fact in FACTS}
    source = f"QUESTIONS = {questions!r}\n{ASK}"
    outcome = worker.ask(source)
    assert outcome.status == "ok", outcome.stderr
    return json.loads(outcome.stdout)


class Worlds:
    """The answers of two runs in the recording world, and of one in the replaying world."""

    def __init__(self, level: int) -> None:
        self.level = level
        answers = []
        config = TracerConfig()
        for jail in (jail_of(config, replaying=False), replaying_jail(config, "replayer")):
            try:
                with Worker(jail, Limits(), minimum_level=level, maximum_level=level) as worker:
                    answers.append([asked(worker), asked(worker)])
            except SandboxUnavailable as error:
                pytest.skip(f"level {level} does not work here: {error}")
        (self.recorded, self.again), (self.replayed, _) = answers


# facts are pinned and told in the same way at each level
@pytest.fixture(scope="module", params=[3, pytest.param(2, marks=pytest.mark.slow)])
def worlds(request):
    return Worlds(request.param)


def host_texts() -> set[str]:
    """What tells this machine from others, as text."""
    build = re.search(r"\((.*?)\)", sys.version).group(1)
    return {
        platform.release(),
        socket.gethostname(),
        build,
        f"{datetime.datetime.now(datetime.UTC).year}",
        os.path.realpath(sys.executable),
        sys.base_prefix if sys.base_prefix != "/usr" else os.path.realpath(sys.executable),  # every machine has /usr
        os.path.expanduser("~"),
        os.confstr("CS_GNU_LIBC_VERSION") or "no glibc",
    }


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_a_fact_is_recorded_alike_and_replayed_otherwise(worlds, fact: Fact):
    name = fact.name
    if worlds.level in fact.levels:
        assert worlds.recorded[name] != worlds.replayed[name], "no replay would tell"
        assert "Error:" not in worlds.recorded[name], "an honest program meets an error of ours"
    varies = worlds.level == 2 and name in ("random devices", "process id", "home folder", "temporary folder")
    if not varies:
        assert worlds.recorded[name] == worlds.again[name]


def test_nothing_of_the_host_is_recorded(worlds):
    hidden = {fact.name for fact in FACTS if worlds.level in fact.levels}
    shown = {
        (name, text)
        for name, answer in worlds.recorded.items()
        for text in host_texts()
        if name in hidden and re.search(rf"(?<![\w.]){re.escape(text)}(?!\w)", answer)
    }
    assert shown == set()


def test_the_recording_world_answers_for_no_machine(worlds):
    """By value: a number of the host's may be alike in two runs and differ in a third by chance."""
    processors = 5 if os.cpu_count() == 3 else 3
    for name, answer in {
        "load": "(0.25, 0.5, 0.75)",
        "processors": f"({processors}, {processors})",
        "processors of the process": repr(set(range(processors))),
        "memory": "1999872",
        "free memory": "999936",
        "platform": "'Linux-5.10.0-0-generic-x86_64-with-glibc2.29'",
        "parent's process id": "100",
        "resource limits": "(-1, -1)",
        "open files allowed": "(1024, 4096)",
        "size of a folder": "12288",
        "times of a file": "1697408000.0",
        "network address": str(0x0300_0000_0001),
    }.items():
        assert worlds.recorded[name] == answer, name


@pytest.fixture(scope="module")
def tracer():
    with Tracer(TracerConfig()) as made:
        yield made


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_a_snippet_that_prints_a_fact_gives_no_row_of_it(tracer, fact: Fact):
    source = f"import {MODULES}\nprint({fact.asks})\nx = 2\n"
    result = tracer.trace(script_snippet(source, "script.py", ()))
    assert isinstance(result, Drop), result.text
    assert result.reason in ("replay_mismatch", "sandbox_denied", "shows_path"), (result.reason, result.evidence)


def test_honest_programs_go_on_working(tracer):
    """What is asked of the machine, but not shown, keeps nobody's row from being written."""
    source = """
import datetime, os, pickle, platform, random, tempfile, threading, time, uuid
now = datetime.datetime.now()
class Moment(datetime.datetime):
    pass
print(type(now) is datetime.datetime, type(Moment.now()) is Moment, Moment.now(datetime.timezone.utc).tzinfo)
print(pickle.loads(pickle.dumps(now)) == now, pickle.loads(pickle.dumps(datetime.datetime.now)) is not None)
print(datetime.datetime.fromtimestamp(0, datetime.timezone.utc), now <= datetime.datetime.now())
print(os.cpu_count() > 0, uuid.uuid1() != uuid.uuid1(), uuid.uuid4().version, uuid.uuid1().version)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "one")
    open(path, "w").close()
    os.link(path, path + "-too")
    print(os.path.samefile(path, path + "-too"), os.path.getmtime(path) >= os.path.getmtime(folder) - 1)
start = time.monotonic()
print(threading.Event().wait(0.01), time.monotonic() - start >= 0.01)
random.seed(5)
uuid.uuid1()
print(random.randrange(1000), platform.system(), platform.python_implementation())
"""
    result = tracer.trace(script_snippet(source, "script.py", ()))
    assert isinstance(result, Trace), result
    assert "True True UTC" in result.text and "False True" in result.text


def test_the_page_lists_the_facts():
    page = DOCS.read_text(encoding="utf-8")
    for fact in FACTS:
        levels = ", ".join(str(level) for level in sorted(fact.levels, reverse=True))
        asks = fact.asks.replace("|", "\\|")
        assert f"| {fact.name} | `{asks}` | {fact.recorded} | {levels} |" in page
    for line in UNTOLD:
        assert f"* {line}" in page
