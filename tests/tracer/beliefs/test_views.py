"""Views through the real sandbox: what is hidden, what is believed, and that the text tells nothing else."""

from __future__ import annotations

import functools
import itertools
import json
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop, Piece, Snippet, Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.views import View, ViewError, parse_view, with_hidden_inputs

ROOT = Path(__file__).parents[3]
SHELL = (ROOT / "docs/examples/shell_game.py").read_text()
GAMES = {
    "early return": """
from random import random
def first(p):
    for i in range(4):
        if random() < p:
            return i
    return 9
x = first(0.5)
y = first(0.25)
print(x < 2)
print(y)
""",
    "walk": """
import random
def walk(limit):
    x = 0
    while abs(x) < limit:
        x += 1 if random.random() < 0.5 else -1
    return x
w = walk(2)
print(w > 0)
print(w)
""",
    "hidden length": """
import random
n = random.randint(1, 3)
total = 0
for i in range(n):
    total += i + 1
print(total > 1)
print(total)
""",
    "hidden callee": """
from random import choice
def up(x):
    y = x + 1
    return y
def down(x):
    y = x - 1
    return y
f = choice([up, down])
z = f(5)
print(z > 4)
print(z)
""",
    "hidden exception": """
from random import randint
d = randint(0, 2)
try:
    q = 6 // d
    r = q + 1
except ZeroDivisionError:
    r = 0
print(r > 3)
print(r)
""",
    "handlers": """
from random import choice
log = []
def get(k):
    try:
        return {"a": 1}[k]
    except KeyError:
        log.append(k)
        raise
def safe(k):
    try:
        return get(k)
    except KeyError as error:
        return str(error)
    finally:
        log.append("end")
class Box:
    def __enter__(self):
        return self
    def __exit__(self, kind, error, trace):
        log.append(trace is not None)
        return True
x = safe("b")
with Box() as box:
    get("c")
try:
    get("d")
except KeyError as error:
    log.append(error.args)
n = choice([1, 2])
print(x, log, n > 1)
print(n)
""",
    "an end": """
import sys
from random import choice
x = choice([1, 2])
if x > 1 and choice([True, False]):
    sys.exit(x)
print(x)
""",
    "exceptions that are shown": """
from random import random, choice
def at(v, k):
    v = v[:choice([1, 2, 3])]
    w = v[k] + 1
    for i in range(2):
        w += 4 // choice([0, 1, 2])
        if random() < 0.5:
            v.append(w)
    v[2] = w
    return v
def around(v):
    try:
        return at(v, 0)
    finally:
        v.clear()
z = at([4, 5, 6], 1)
print(z)
""",
    "causes of exceptions": """
from random import choice
def f(d):
    for k in 'ab':
        try:
            n = d[choice('ab')]
        except KeyError:
            n = 1 // choice([0, 1])
    return n
print(f({'a': 1}))
""",
    "hidden case": """
from random import choice
kind = choice(['a', 'b', 'c'])
match kind:
    case 'a':
        n = 1
    case 'b':
        n = 2
    case _:
        n = 3
print(n > 1)
print(kind)
""",
    "hidden local": """
from random import random
def f(n):
    if random() < 0.5:
        a = n
    b = n + 1
    return b
x = f(3)
print(x)
def g():
    c = {} if random() < 0.5 else 4
    return [c, c][0]
y = str(g())
print(y)
""",
    "break": """
from random import random
found = -1
for i in range(3):
    if random() < 0.4:
        found = i
        break
print(found >= 0)
print(found)
""",
}


@functools.cache
def trace(source: str, view: str, seed: int = 0) -> Trace:
    # the sessions of a snippet draw for themselves, in the same jails
    made = tracer_for(view).trace(replace(script_snippet(source, "game.py", ()), session=seed))
    assert isinstance(made, Trace), made
    return made


_tracers: dict[str, Tracer] = {}


def tracer_for(view: str) -> Tracer:
    if view not in _tracers:
        _tracers[view] = Tracer(TracerConfig(view=parse_view(view)))
    return _tracers[view]


@pytest.fixture(scope="module", autouse=True)
def closed():
    yield
    for tracer in _tracers.values():
        tracer.close()
    _tracers.clear()
    trace.cache_clear()


def law(made: Trace, step: str) -> dict[str, float]:
    """The belief at the output of the first command with this source."""
    index = next(n for n, each in enumerate(made.steps) if each.source == step)
    segment = next(n for n, s in enumerate(made.segments) if s.step == index and s.role in ("value", "error"))
    belief = next(b for b in made.beliefs if b.segment == segment)
    assert belief.method == "exact" and set(belief.stderr) == {0.0}
    return dict(zip(belief.outcomes, belief.probabilities, strict=True))


def test_the_shell_game() -> None:
    made = trace(SHELL, "branch")
    assert ">>> if random() < 0.5:\n...     cups[0], cups[1] = cups[1], cups[0]\n" in made.text
    assert law(made, "print(cups[0])") == {"ball": 0.5, "empty": 0.5}
    (choice,) = made.choices
    assert (choice.kind, choice.outcomes, choice.probabilities) == ("random", ("< 0.5", ">= 0.5"), (0.5, 0.5))
    (draw,) = made.setup["choices"]
    assert (draw < 0.5) == (choice.taken == 0) == ("\nempty\n" in made.text)


# these draw often, so that hundreds of native runs stand against each belief
LONG = ("early return", "walk", "hidden length")
SOME_SLOW = [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in GAMES]


@pytest.mark.parametrize("name", SOME_SLOW)
def test_every_reveal_has_a_belief_that_native_runs_confirm(name: str) -> None:
    """Over many seeds the shown text is distributed as the beliefs say, given the text before it."""
    source = GAMES[name]
    shown: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    told: dict[tuple[str, str], dict[str, float]] = {}
    for seed in range(24):
        made = trace(source, "branch+every:0", seed)
        for belief in made.beliefs:
            segment = made.segments[belief.segment]
            key = (name, made.text[: segment.start])
            law_ = dict(zip(belief.outcomes, belief.probabilities, strict=True))
            assert told.setdefault(key, law_) == pytest.approx(law_)  # a function of the visible text
            shown[key][made.text[segment.start : segment.end].removesuffix("\n")] += 1
            assert belief.method == "exact"
    assert told
    for key, counts in shown.items():
        total = counts.total()
        statistic = sum((counts[o] - total * p) ** 2 / (total * p) for o, p in told[key].items())
        assert statistic < 25 + 4 * len(told[key])


@pytest.mark.parametrize("name", SOME_SLOW)
def test_a_command_never_tells_what_is_hidden(name: str) -> None:
    """Sessions that look the same so far have the same next command: no classifier can do better than chance."""
    following: dict[str, set[str]] = defaultdict(set)
    for seed, view in itertools.product(range(10), ("branch+every:0", "branch+every:2+full+print")):
        made = trace(GAMES[name], view, seed)
        for index, step in enumerate(made.steps):
            start = next(s.start for s in made.segments if s.step == index)
            following[view + made.text[:start]].add(step.source)
    assert all(len(commands) == 1 for commands in following.values())


def test_what_is_hidden_is_not_in_the_commands() -> None:
    """Blanking: with all outputs taken out, sessions of all seeds are one session until a reveal differs."""
    for name, source in GAMES.items():
        opening = {trace(source, "branch+every:0", seed).steps[0].source for seed in range(6)}
        assert len(opening) == 1, name
        commands = set()
        for seed in range(12):
            steps = trace(source, "branch+every:0", seed).steps
            silent = sum(1 for _ in itertools.takewhile(lambda step: not step.output, steps))
            # with the command that shows something: where one session shows a traceback, another may go on in silence
            commands.add(tuple(step.source for step in steps[: silent + 1]))
        longest = max(commands, key=len)
        assert all(longest[: len(each)] == each for each in commands), name


def test_early_returns_stay_whole_and_straight_bodies_open() -> None:
    assert ">>> x = first(0.5)\n" in trace(GAMES["early return"], "branch").text
    opened = trace(GAMES["walk"], "branch+every:0").text  # with reveals of x the loop opens, turn by turn
    assert ">>> while abs(x) < limit:\n" in opened and ">>> w = x\n" in opened


def test_reveals_as_the_view_says() -> None:
    full = trace(SHELL, "branch+every:1+full+print")
    assert any(step.source == "print('cups', cups)" for step in full.steps)
    none = trace(SHELL, "branch+every:0")
    assert not any(step.kind == "reveal" for step in none.steps)
    assert json.loads(json.dumps(dict(full.view)))["policy"] == "branch"


def test_skip_makes_loops_and_calls_one_command() -> None:
    source = "def f(n):\n    t = 0\n    for i in range(n):\n        t += i\n    return t\n"
    source += "x = f(4)\nfor k in range(3):\n    x += k\nprint(x)\n"
    made = trace(source, "skip+every:1")
    assert ">>> x = f(4)\n" in made.text and ">>> for k in range(3):\n" in made.text
    assert made.kept_whole["skipped"] == 1 and not made.beliefs


def test_inverse_hides_an_input_and_asks_for_it() -> None:
    source = "n = 3\nsquare = n * n\nprint(square % 4)\n"
    view = parse_view("inverse:n=1|2|3|4+every:0")
    made = Tracer(TracerConfig(view=view, seed=1))
    with made as tracer:
        found = tracer.trace(script_snippet(with_hidden_inputs(source, view), "game.py", ()))
    assert isinstance(found, Trace)
    assert found.steps[0].source == "n = __import__('random').choice([1, 2, 3, 4])"
    last = dict(zip(found.beliefs[-1].outcomes, found.beliefs[-1].probabilities, strict=True))
    odd = found.steps[2].output == "1"
    assert last == pytest.approx({"n 1": 0.5, "n 3": 0.5} if odd else {"n 2": 0.5, "n 4": 0.5})


def test_inverse_shows_no_input_before_its_end() -> None:
    """Not by its own name, not by a parameter's, and nothing after it was asked for."""
    source = "def up(k):\n    j = k + 1\n    m = j * 2\n    return m\nn = 3\ns = up(n) % 4\nprint(s)\n"
    view = parse_view("inverse:n=1|2|3|4+every:1+full")
    with Tracer(TracerConfig(view=view)) as tracer:
        found = tracer.trace(script_snippet(with_hidden_inputs(source, view), "game.py", ()))
    assert isinstance(found, Trace)
    reveals = [step.source for step in found.steps if step.kind == "reveal"]
    # the comment has the call by the author's names
    assert ">>> # up(n)\n... k = n\n" in found.text and found.text.count("#") == 1
    assert {"j", "m"} <= set(reveals) and not {"k", "n"} & set(reveals)
    assert found.steps[-1].source == "print('n', n)"


def test_a_value_that_differs_by_itself_costs_nothing() -> None:
    """Replays under recorded draws are not seeded anew: a seeded generator's draws would be others."""
    made = trace("from random import choice\nx = choice(range(50))\nk = id(object())\nprint(x)\n", "branch+every:0", 3)
    assert "replay_differs" not in made.kept_whole and law(made, "print(x)")[made.steps[-1].output] == pytest.approx(
        0.02
    )


def test_a_reveal_of_none_shows_nothing() -> None:
    made = trace("from random import choice\nx = choice([None, 1])\ny = x\nz = y\nprint(z)\n", "branch+every:1+full")
    assert not made.kept_whole and ">>> x\n" in made.text
    assert law(made, "print(z)") == {"None": 1.0}


@pytest.mark.parametrize(
    "unseeded",
    ["r = random.Random()", "random.seed()\nr = random", "r = random.Random(5)\nr.seed()"],
    ids=["new", "seeded anew", "once seeded"],
)
def test_seeding_from_the_system_is_no_draw_of_the_program(unseeded: str) -> None:
    # the sandbox seeds such generators with pinned bits, which were taken for a draw of 2**256 outcomes that no replay
    # had; all that called Random() was a drop
    made = trace(f"import random\n{unseeded}\nprint(r.random() < 0.25)\nprint(r.randrange(3))\n", "branch+every:0")
    assert law(made, "print(r.random() < 0.25)") == pytest.approx({"True": 0.25, "False": 0.75})
    assert law(made, "print(r.randrange(3))") == pytest.approx(dict.fromkeys("012", 1 / 3))
    assert [len(choice.outcomes) for choice in made.choices] == [2, 3] and not made.kept_whole


def test_what_a_module_does_when_it_is_imported_makes_no_program_suspect(tmp_path: Path) -> None:
    # beliefs are found in many worlds, the first of which imported the module while its guard watched the program
    (tmp_path / "lib.py").write_text("def f():\n    return 1\n\n\ncode = f.__code__.replace(co_name='g')\nVALUE = 3\n")
    tmp_path.chmod(0o755)
    snippet = Snippet(
        kind="doctest",
        name="lib",
        path="lib.py",
        line=1,
        end_line=2,
        module="lib",
        pieces=(Piece(source="from random import random\n", line=1), Piece(source="VALUE > random() * 4\n", line=2)),
    )
    with Tracer(TracerConfig(repository=tmp_path, sys_path=(".",), view=parse_view("branch+every:0"))) as tracer:
        made = tracer.trace(snippet)
    assert isinstance(made, Trace), made
    assert law(made, "VALUE > random() * 4") == pytest.approx({"True": 0.75, "False": 0.25})


def test_what_paths_write_to_the_stream_of_errors_is_not_added_up() -> None:
    # one path writes less than a run may, 64 of them more
    draws = "".join(f"if random() < 0.5:\n    n += {2**bit}\n" for bit in range(6))
    source = f"import sys\nfrom random import random\nn = 0\n{draws}sys.stderr.write('x' * 40_000)\n"
    source += "sys.stderr.buffer.write(b'x' * 9), sys.stderr.fileno(), sys.stderr.flush()\nprint(n % 2)\nprint(n)\n"
    made = trace(
        f"def f():\n    {source.replace(chr(10), chr(10) + '    ')}\n    return n\nf() > 31\n", "branch+every:0"
    )
    assert isinstance(made, Trace)
    assert all(belief.method == "exact" for belief in made.beliefs) and made.beliefs


def test_sessions_replay_under_their_recorded_draws_alone() -> None:
    for name, source in GAMES.items():
        made = trace(source, "branch+every:2", seed=3)
        feed = subprocess.run(
            [sys.executable, str(ROOT / "docs/examples/feed.py")],
            input=json.dumps({"text": made.text, "setup": dict(made.setup)}),
            capture_output=True,
            text=True,
        )
        assert feed.returncode == 0, (name, feed.stdout, feed.stderr)


def test_the_command_prints_beliefs() -> None:
    command = [sys.executable, "-m", "trace_mine.tracer", "--view", "branch", "docs/examples/shell_game.py"]
    done = subprocess.run([*command[:5], "--beliefs", command[5]], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "0.5 ball" in done.stdout and "0.5 empty" in done.stdout and "(exact)" in done.stdout
    assert done.stderr.startswith("sandbox: level ")
    assert all(line.startswith("trace-run: ") for line in done.stderr.splitlines()[1:])
    told = subprocess.run([*command[:5], "--json", command[5]], cwd=ROOT, capture_output=True, text=True, check=True)
    made = json.loads(told.stdout)
    belief = made["beliefs"][0]
    segment = made["segments"][belief["segment"]]
    assert made["text"][segment["start"] : segment["end"]].strip() in belief["outcomes"] == ["ball", "empty"]
    assert belief["method"] == "exact" and made["choices"][0]["taken"] in (0, 1)


def test_a_script_has_no_calls_to_draw_inputs_from() -> None:
    command = [sys.executable, "-m", "trace_mine.tracer", "--view", "inverse", "docs/examples/shell_game.py"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 2 and "expected inverse:NAME=A|B" in told.stderr


def test_declared_inputs() -> None:
    laws = {"inputs": [[["y", 0.25], ["n", 0.75]]], "environ": {"MODE": [["fast", 0.5], [None, 0.5]]}}
    source = "import os\na = input('go? ')\nm = os.environ.get('MODE', 'slow')\nprint(a == 'y', m)\n"
    with Tracer(TracerConfig(view=parse_view("branch+every:0"), laws=laws)) as tracer:
        made = tracer.trace(script_snippet(source, "game.py", ()))
    assert isinstance(made, Trace) and not isinstance(made, Drop)
    assert sorted(law(made, "print(a == 'y', m)").values()) == pytest.approx([0.125, 0.125, 0.375, 0.375])


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "branch+every:x",
        "written+branch",
        "inverse:n",
        "inverse:n=1",
        "inverse:n=1|x",
        "inverse+inverse:grid",
        "inverse:grid+inverse:n=1|2",
    ],
)
def test_wrong_views_are_told(text: str) -> None:
    with pytest.raises(ViewError, match="expected"):
        parse_view(text)


def test_views_say_what_they_are() -> None:
    assert parse_view("written") == View() and not View().hides and View().is_default
    priors = {
        text: parse_view(text).as_json().get("prior") for text in ("branch", "inverse", "inverse:grid", "inverse:n=1|2")
    }
    assert list(priors.values()) == [None, "mined", "grid", "declared"]
    assert parse_view("branch").every == 4 and parse_view("skip+branch").skips
    with pytest.raises(ViewError, match="top level"):
        with_hidden_inputs("m = 1\n", parse_view("inverse:n=1|2"))


@pytest.mark.slow
def test_which_variable_is_shown_tells_nothing() -> None:
    """Whether the swap happened against which variable the next reveal shows, over 200 sessions."""
    source = "from random import random\na = 1\nb = 2\nif random() < 0.5:\n    a, b = b, a\nc = 3\nc = 4\n"
    table: Counter[tuple[str, int]] = Counter()
    with Tracer(TracerConfig(view=parse_view("branch+every:5"))) as tracer:
        for number in range(200):
            made = tracer.trace(script_snippet(source, f"game{number}.py", ()))
            assert isinstance(made, Trace)
            shown = next(step.source for step in made.steps if step.kind == "reveal")
            table[(shown, made.choices[0].taken)] += 1
    names = sorted({name for name, _ in table})
    assert len(names) >= 2
    for name in names:
        hits = [table[(name, taken)] for taken in (0, 1)]
        assert abs(hits[0] - hits[1]) < 4 * sum(hits) ** 0.5


def test_handlers_lose_no_state() -> None:
    """A command that raised is written again so that it binds the exception: the states bind it, too."""
    made = trace(GAMES["handlers"], "branch")
    assert Reason.SUPPORT_LOST.value not in made.kept_whole and "except BaseException as caught" in made.text
    last = max(made.beliefs, key=lambda belief: len(belief.outcomes))
    assert last.method == "exact" and last.probabilities == (0.5, 0.5)
