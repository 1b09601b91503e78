"""Names of asyncio's tasks in beliefs, against a new plain interpreter for each way in which two draws may fall."""

from __future__ import annotations

import collections
import itertools
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from trace_mine.tracer.schema import Piece, Snippet, Trace
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.views import parse_view

BEGINNING = """\
import asyncio, random
async def child():
    return asyncio.current_task().get_name()
"""
BODIES = {
    "tasks": """
if random.random() < 0.5:
    await asyncio.create_task(child())
names.append(await asyncio.create_task(child()))
""",
    "in a loop": """
for _ in range(2):
    if random.random() < 0.5:
        names.append(await asyncio.create_task(child()))
""",
    "gathered": """
names += await asyncio.gather(*[child() for _ in range(1 + (random.random() < 0.5))])
""",
    "ensured": """
if random.random() < 0.5:
    await asyncio.ensure_future(child())
names.append(await asyncio.ensure_future(child()))
""",
    "named": """
name = 'mine' if random.random() < 0.5 else None
names += [await asyncio.create_task(child(), name=name), await asyncio.create_task(child())]
""",
    "of the class": """
if random.random() < 0.5:
    await asyncio.Task(child())
names.append(await asyncio.Task(child()))
""",
    "of a factory": """
asyncio.get_running_loop().set_task_factory(lambda loop, coro, **k: asyncio.Task(coro, loop=loop, **k))
if random.random() < 0.5:
    await asyncio.create_task(child())
names.append(await asyncio.create_task(child()))
""",
    "of no coroutine": """
try:
    asyncio.Task(3 if random.random() < 0.5 else child())
except TypeError as error:
    names.append(str(error))
names.append(await asyncio.create_task(child()))
""",
    "in a group": """
async with asyncio.TaskGroup() as group:
    made = [group.create_task(child()) for _ in range(1 + (random.random() < 0.5))]
names += [each.result() for each in made]
""",
    "waited for": """
if random.random() < 0.5:
    await asyncio.wait_for(child(), 5)
names.append(await asyncio.create_task(child()))
""",
}


def script_of(body: str) -> str:
    inside = textwrap.indent(body.strip("\n"), "    ")
    main = f"async def main():\n    names = []\n{inside}\n    return names\n"
    return f"{BEGINNING}{main}print(asyncio.run(main()))\nprint(asyncio.run(main()))\n"


def law_of(source: str) -> dict[str, float]:
    """The law of what the script prints: each way of four draws is as likely."""
    law: dict[str, float] = collections.defaultdict(float)
    for numbers in itertools.product((0.25, 0.75), repeat=4):
        forced = f"import random\nrandom.random = iter({numbers}).__next__\n{source}"
        ran = subprocess.run([sys.executable, "-c", forced], capture_output=True, text=True, check=True)
        law[ran.stdout] += 1 / 16
    return law


@pytest.mark.parametrize("name", BODIES)
def test_names_of_tasks_are_those_of_a_plain_interpreter(name: str, tmp_path: Path) -> None:
    source = script_of(BODIES[name])
    tmp_path.chmod(0o755)
    (tmp_path / "script.py").write_text(source)
    (tmp_path / "script.py").chmod(0o644)
    snippet = Snippet(
        kind="script",
        name="script",
        path="script.py",
        line=1,
        end_line=source.count("\n"),
        pieces=(Piece(source=source, line=1),),
        code="__name__ = '__main__'\n__file__ = 'script.py'",
    )
    view = parse_view("branch+every:0+print")
    with Tracer(TracerConfig(view=view, seed=1, repository=tmp_path, own=("",), sys_path=("",))) as tracer:
        made = tracer.trace(snippet)
    assert isinstance(made, Trace), made
    assert not {"support_lost", "beliefs_end_early"} & made.kept_whole.keys()
    law = law_of(source)
    first, second = made.beliefs
    shown = made.text[made.segments[first.segment].start : made.segments[first.segment].end].strip("\n")
    of_first: dict[str, float] = collections.defaultdict(float)
    of_second: dict[str, float] = collections.defaultdict(float)
    for text, weight in law.items():
        one, other = text.splitlines()
        of_first[one] += weight
        if one == shown:
            of_second[other] += weight
    for belief, expected in ((first, of_first), (second, of_second)):
        assert belief.method == "exact"
        ours = {text.strip("\n"): p for text, p in zip(belief.outcomes, belief.probabilities, strict=True)}
        assert ours == pytest.approx({text: weight / sum(expected.values()) for text, weight in expected.items()})


def test_the_class_is_asyncios_own_to_a_program() -> None:
    source = "import asyncio\nfrom trace_mine.tracer.inside.draws.patches import install\ninstall()\n" + (
        "async def f(): return asyncio.current_task()\n"
        "task = asyncio.run(f())\n"
        "print(type(task) is asyncio.Task is asyncio.tasks.Task, type(task), isinstance(task, asyncio.Future), task)\n"
    )
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    plain = source.replace("\ninstall()\n", "\n\n", 1)
    before = subprocess.run([sys.executable, "-c", plain], capture_output=True, text=True, check=True)
    assert ran.stdout.partition(" result=")[0] == before.stdout.partition(" result=")[0]
