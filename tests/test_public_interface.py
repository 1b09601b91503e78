"""``import trace_mine``: what a stranger finds there costs nothing, is documented by examples that run, and never runs
a caller's code outside the sandbox.
"""

from __future__ import annotations

import ast
import doctest
import functools
import importlib.util
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

import trace_mine
from kept_jails import kept_jails
from own_process import in_own_process
from trace_mine.errors import CURES, OTHER_CURE
from trace_mine.function_source import needed_names
from trace_mine.literals import NotLiteralError, Speller
from trace_mine.tracer.inside.reasons import Reason, ReasonStage
from trace_mine.tracer.schema import Drop
from trace_mine.tracer.visible import marked_up

ROOT = Path(__file__).resolve().parent.parent
NAMES = sorted(set(trace_mine.__all__) - {"__version__"})
OF_RUNS = ("load_model", "load_tokenizer", "register_auto_classes")
"""Names whose examples open a run, and so need the extra [train]."""
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(autouse=True, scope="module")
def few_jails() -> Iterator[None]:
    with kept_jails():
        yield


# what is found


def test_dir_shows_the_public_names_and_nothing_else():
    assert dir(trace_mine) == sorted(trace_mine.__all__)
    assert {"run", "trace", "mine", "load", "Tracer", "View", "tasks", "load_model", "load_tokenizer"} <= set(NAMES)
    assert re.fullmatch(r"\d+\.\d+\.\d+", trace_mine.__version__)


def test_type_checkers_see_every_name():
    tree = ast.parse((ROOT / "trace_mine" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == trace_mine._MODULES


def test_importing_it_imports_nothing_else():
    code = "import sys; before = set(sys.modules); import trace_mine; dir(trace_mine); trace_mine.__version__\n"
    code += "print(sorted({name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['trace_mine']"


COMMANDS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
OF_EVERY_COMMAND = re.compile(
    r"trace_mine(\.\w+(\.synthetic)?(\.__main__|\.\w+_(command|arguments|options)|\.errors)?)?"
)
"""Modules of ours that say what a command takes: the rooms themselves, and files of options."""
LIGHT = {"trace_mine.tracer.visible", "trace_mine.tracer.command_line", "trace_mine.tracer.limits"} | {
    "trace_mine.tracer.parent_process",  # the standard library's os and signal
    "trace_mine.tracer.atomic",  # the standard library's os and tempfile
    "trace_mine.tracer.views",
}
TYPERS = {"typer", "click", "shellingham", "annotated_doc", "typing_extensions", "rich"}
"""Typer, and what its versions import."""


@pytest.mark.parametrize("option", ["--version", "--help"])
@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_question_to_a_command_imports_nothing_that_the_answer_does_not_need(command, option):
    pytest.importorskip("typer", reason="needs typer, which the tracer alone does without")
    module, _, function = COMMANDS[command].partition(":")
    code = f"import sys; before = set(sys.modules); sys.argv = [{command!r}, {option!r}]\n"
    code += f"from {module} import {function}\ncode = {function}()\n"
    code += "print(*sorted(set(sys.modules) - before), file=sys.stderr)\nsys.exit(code)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert command in done.stdout
    loaded = done.stderr.split()
    ours = {name for name in loaded if name.partition(".")[0] == "trace_mine"}
    assert {name for name in ours - LIGHT if not OF_EVERY_COMMAND.fullmatch(name)} == set()
    foreign = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"trace_mine"}
    assert foreign <= TYPERS
    assert not {"http.server", "ssl", "multiprocessing", "asyncio", "sqlite3"} & set(loaded)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="dir"):
        _ = trace_mine.nothing_of_this_name
    assert not hasattr(trace_mine, "__wrapped__")


def test_rooms_are_found_without_importing_them_first():
    code = "import trace_mine; print(trace_mine.tracer.__name__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "trace_mine.tracer"


def documented(name: str) -> doctest.DocTest:
    found = getattr(trace_mine, name)
    home = sys.modules[trace_mine._MODULES[name]]
    text = inspect.getdoc(found) or ""
    return doctest.DocTestParser().get_doctest(text, {"__name__": home.__name__}, name, home.__file__, 0)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the dataset and the run that the examples open."""
    folder = tmp_path_factory.mktemp("workplace")
    with in_own_process():
        trace_mine.mine("module:fractions", entries=["doctest"], limit=2, jobs=1, out=folder / "traces")
    if importlib.util.find_spec("torch") is None:
        return folder
    from trace_mine.train.recipes import recipe
    from trace_mine.train.running import train
    from trace_mine.train.settings import override

    few = ["max_steps=2", "batch_size=4", "evaluate_rows=2", "evaluate_at=[1]", "device=cpu"]
    train(override(recipe("quick"), few), folder / "runs" / "quick")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_a_docstring_with_an_example_that_runs(name, workplace, monkeypatch):
    if name in OF_RUNS:
        pytest.importorskip("torch", reason="needs the extra [train]")
    monkeypatch.chdir(workplace)
    test = documented(name)
    assert len(test.examples) >= 2, f"{name} has no example"
    told: list[str] = []
    assert doctest.DocTestRunner(verbose=False, optionflags=FLAGS).run(test, out=told.append).failed == 0, "".join(told)


def test_the_example_of_the_module_runs():
    test = doctest.DocTestParser().get_doctest(trace_mine.__doc__, {}, "trace_mine", None, 0)
    assert test.examples and doctest.DocTestRunner(verbose=False, optionflags=FLAGS).run(test).failed == 0


def test_python_m_prints_the_commands():
    from trace_mine.__main__ import COMMANDS

    scripts = re.findall(r'^(trace-\w+) = "([\w.]+)\.__main__:main"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert [(name, module) for name, (module, _) in COMMANDS.items()] == scripts
    done = subprocess.run([sys.executable, "-m", "trace_mine"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)
    wrong = subprocess.run([sys.executable, "-m", "trace_mine", "nothing"], cwd=ROOT, capture_output=True, text=True)
    assert wrong.returncode == 2


# run


def test_text_or_a_file(tmp_path):
    path = tmp_path / "script.py"
    path.write_text("import sys\nx = sys.argv[1:]\n", encoding="utf-8")
    assert trace_mine.run(path, "a", "b").states[-1]["x"] == "['a', 'b']"
    assert trace_mine.run(str(path)).states[-1]["x"] == "[]"
    assert trace_mine.run("1 + 1").text == ">>> 1 + 1\n2\n"


def test_what_is_no_program_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="check the path"):
        trace_mine.run(tmp_path / "none.txt")
    with pytest.raises(FileNotFoundError, match="check the path"):
        trace_mine.run("none.py")
    with pytest.raises(TypeError, match=r"trace\(function\)"):
        trace_mine.run(len)
    with pytest.raises(ValueError, match="expected a view"):
        trace_mine.run("x = 1\n", view="nothing")
    with pytest.raises(ValueError, match="are for mine"):
        trace_mine.run("x = 1\n", view="inverse")
    with pytest.raises(NotADirectoryError, match="existing folder"):
        trace_mine.run("x = 1\n", root=tmp_path / "nowhere")


def test_a_root_is_what_it_may_import_from(tmp_path):
    tmp_path.chmod(0o755)  # runs that root starts belong to another user
    (tmp_path / "helper.py").write_text("VALUE = 7\n", encoding="utf-8")
    source = "import helper\nx = helper.VALUE\n"
    assert trace_mine.run(source, root=tmp_path).states[-1]["x"] == "7"
    with pytest.raises(trace_mine.NoTraceError, match="Install helper in the environment"):
        trace_mine.run(source)


@pytest.mark.parametrize(
    ("source", "options", "outcome"),
    [
        ("def f(:\n", {}, "syntax"),
        ("", {}, "empty"),
        ("while True: pass\n", {"timeout": 0.3}, "cpu"),
        ("import os\nos.kill(os.getpid(), 9)\n", {}, "signal:9"),
        ("import time\nprint(time.time())\n", {}, "replay-mismatch"),
    ],
)
def test_a_program_without_a_session_says_why_and_what_to_do(source, options, outcome):
    with pytest.raises(trace_mine.NoTraceError) as caught:
        trace_mine.run(source, **options)
    error = caught.value
    assert error.outcome == outcome
    assert error.reason == error.drop.reason
    assert error.cure == CURES.get(error.reason, OTHER_CURE)
    assert error.cure in str(error) and error.why in str(error)
    assert error.drop.evidence.splitlines()[0] in str(error)


def test_cures_are_of_reasons_that_one_program_can_have():
    known = {str(reason) for reason in Reason if any(each.stage is ReasonStage.TRACING for each in reason.meanings)}
    assert set(CURES) <= known


def test_lenient_shows_what_failed():
    trace = trace_mine.run("import time\nprint(time.time())\n", lenient=True)
    assert "replay_mismatch" in trace.failed_checks
    assert "replay_mismatch" in repr(trace)


def test_the_error_is_safe_to_print():
    error = trace_mine.NoTraceError("a\x1b[31m", Drop(reason="wall", evidence="\x1b]0;title\x07"))
    assert "\x1b" not in str(error) and "\x07" not in str(error)


# what a trace shows


def test_states_are_aligned_with_steps():
    trace = trace_mine.run("x = 1\ny = [x]\nx = 2\n")
    assert len(trace.states) == len(trace.steps)
    assert [trace.states[n] for n, step in enumerate(trace.steps) if step.kind == "statement"] == [
        {"x": "1"},
        {"x": "1", "y": "[1]"},
        {"x": "2", "y": "[1]"},
    ]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}


def test_hostile_text_is_no_html_and_moves_no_terminal():
    hostile = "</pre><script>alert(1)</script>'\" onload=x \x1b[31m\u202e"
    trace = trace_mine.run(f"from random import choice\nx = choice([{hostile!r}, 'b'])\nprint(x)\n", view="branch")
    assert any(hostile.split()[0] in outcome for belief in trace.beliefs for outcome in belief.outcomes)
    parser = Tags()
    parser.feed(trace._repr_html_())
    assert parser.tags == {"style", "pre", "span"}
    assert parser.attributes == {"class", "title"}
    assert "\x1b" not in trace._repr_html_() + str(trace) + repr(trace)
    assert "\u202e" not in trace._repr_html_() + str(trace) + repr(trace)
    assert "beliefs" in repr(trace) and "choices" in repr(trace)


def test_a_tooltip_cannot_leave_its_attribute():
    assert marked_up([("value", "<b>", "\"><script>'")]) == (
        '<span class="value" title="&quot;&gt;&lt;script&gt;&#x27;">&lt;b&gt;</span>'
    )


# trace


START = 3
TABLE = {"a": [1, 2]}
Pair = __import__("collections").namedtuple("Pair", "x y")
touched: list[str] = []


def plus_start(x):
    return x + START


alias = plus_start


class Box:
    def __init__(self, value):
        self.value = value

    def __repr__(self):
        touched.append("repr")
        return f"Box({self.value})"


def doubled(function):
    @functools.wraps(function)
    def inner(*given):
        return 2 * function(*given)

    return inner


@doubled
def one_more(x):
    """Adds one.

    Blank lines and "quotes" stay.
    """
    y = x + 1

    return y


@functools.cache
def factorial(n):
    return 1 if n < 2 else n * factorial(n - 1)


def adder(n):
    def add(x):
        return x + n

    return add


def counter():
    count = 0

    def step():
        nonlocal count
        count += 1
        return count

    return step


def everything(x, *, scale=2):
    import math

    text = """left
of the margin"""
    return [alias(x), one_more(x), factorial(4), Box(scale).value, Pair(1, 2).y, TABLE["a"], math.sqrt(4), text]


def evens(n):
    for i in range(n):
        yield 2 * i


def apply(function, values):
    touched.append("called")
    return [function(value) for value in values]


def takes_seed(x, seed=0):
    return x + seed


async def waits():
    return 1


def result_of(trace):
    return trace.states[-1]["result"]


def test_a_function_comes_with_what_it_needs():
    trace = trace_mine.trace(everything, 1, scale=5)
    assert result_of(trace) == repr(everything(1, scale=5))


def test_nothing_runs_in_this_process():
    touched.clear()
    assert result_of(trace_mine.trace(apply, plus_start, [1, 2])) == "[4, 5]"
    assert touched == []
    with pytest.raises(trace_mine.FunctionSourceError, match="Box"):
        trace_mine.trace(apply, plus_start, [Box(1)])
    assert touched == []


def test_generators_closures_wrappers_and_builtins():
    assert result_of(trace_mine.trace(evens, 3)) == "[0, 2, 4]"
    assert result_of(trace_mine.trace(adder(2), 5)) == "7"
    assert result_of(trace_mine.trace(one_more, 1)) == "4"
    assert result_of(trace_mine.trace(apply, len, ["ab"])) == "[2]"


def test_an_installed_package_is_shown_to_the_sandbox():
    pytest.importorskip("numpy")

    def mean(values):
        import numpy

        return float(numpy.mean(values))

    assert result_of(trace_mine.trace(mean, [1.0, 3.0], timeout=60)) == "2.0"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: trace_mine.trace(lambda x: x, 1), "written with def"),
        (lambda: trace_mine.trace(len, []), "written with def"),
        (lambda: trace_mine.trace(Box, 1), "written with def"),
        (lambda: trace_mine.trace("text"), "written with def"),
        (lambda: trace_mine.trace(waits), "asyncio.run"),
        (lambda: trace_mine.trace(counter()), "stands alone"),
        (lambda: trace_mine.trace(takes_seed, 1, seed=2), "seed= to be of trace or of takes_seed"),
        (lambda: trace_mine.trace(apply, len, [shared := [1], shared]), "two places"),
        (lambda: trace_mine.trace(eval(compile("lambda: 0", "<of nothing>", "eval"))), "source can't be found"),
    ],
)
def test_what_cannot_be_traced_is_told(call, message):
    with pytest.raises(trace_mine.FunctionSourceError, match=message):
        call()


def test_a_call_that_raises_is_a_session():
    assert trace_mine.trace(plus_start, "text").exception == "TypeError"


@pytest.mark.parametrize(
    "value",
    [None, ..., True, 3, -2.5, float("inf"), 1j, "q'\"\n\ud800", b"\0", (), (1,), [1, [2]], {1: {2}}, set(), range(3)],
    ids=repr,
)
def test_a_literal_evaluates_to_its_value(value):
    again = eval(Speller().spell(value))
    assert again == value and type(again) is type(value)


def test_what_holds_itself_or_runs_code_is_no_literal():
    loop: list[object] = []
    loop.append(loop)

    class Number(int):
        def __repr__(self):
            touched.append("repr")
            return "1"

    touched.clear()
    for value in (loop, Number(1), [object()], {Box(1): 2}):
        with pytest.raises(NotLiteralError):
            Speller().spell(value)
    assert touched == []


def test_needed_names():
    assert needed_names("def f(x: Kind = START) -> Other:\n    return g(x)\n") == ["Kind", "Other", "START", "g"]
    assert needed_names("def f(x: Kind = START) -> Other:\n    return x\n", are_annotations_text=True) == ["START"]
    assert needed_names("def f():\n    global count\n    count += 1\n") == ["count"]
    assert needed_names("@deco\nclass C(Base):\n    y = z\n    def m(self):\n        return C, w\n") == [
        "Base",
        "deco",
        "w",
        "z",
    ]


# tasks, mine


def test_tasks_take_values_of_their_own_types():
    tasks = trace_mine.tasks
    assert "permutations(n=3" in repr(tasks)
    assert tasks["permutations"].defaults["n"] == 3
    assert "n=3" in tasks["permutations"].help
    assert tasks["permutations"](p=1).parameters == tasks["permutations"](p=1.0).parameters
    for call, message in (
        (lambda: tasks["permutations"](films=1), "a parameter of permutations"),
        (lambda: tasks["permutations"](n="3"), "to be a int"),
        (lambda: tasks["permutations"](p=True), "to be a float"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(KeyError, match="expected a task among"):
        tasks["films"]


def test_mine_gives_the_rows_that_the_command_writes(workplace):
    rows = trace_mine.mine("module:fractions", entries=["doctest"], limit=2, jobs=1)
    kept = trace_mine.load(workplace / "traces")
    assert rows["train"].to_list() == kept["train"].to_list()
    assert len(rows["train"]) == 2


def test_mining_wrong_things_is_told(tmp_path):
    from trace_mine.corpus.errors import CorpusError

    with pytest.raises(CorpusError, match="does not exist"):
        trace_mine.mine(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="engine among"):
        trace_mine.mine(tmp_path, engine="films")
    with pytest.raises(ValueError, match="sources"):
        trace_mine.mine(tmp_path, entries=["films"])
    with pytest.raises(ValueError, match="expected a dataset folder"):
        trace_mine.load(tmp_path)
