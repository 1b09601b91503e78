"""The source of what is opened stands in the session, calls say where they begin, and nothing else changes by it."""

from __future__ import annotations

import ast
import doctest
import io
import json
from contextlib import redirect_stdout

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.tracer.formats import repl
from trace_mine.tracer.inside.protocol.answers import SetUpName
from trace_mine.tracer.inside.protocol.codec import ProtocolError
from trace_mine.tracer.inside.syntax.names import CannotOpen
from trace_mine.tracer.inside.syntax.shown_source import call_text, definition_text, one_line
from trace_mine.tracer.replays.session_text import parts_of
from trace_mine.tracer.schema import OpenedCall, Piece, Snippet, Trace

MODULE = '''
import functools
import operator

MISSING = object()


def noisy(text):
    print("evaluated", text)
    return text


def deco(f):
    @functools.wraps(f)
    def wrapper(*args, **kw):
        return f(*args, **kw)
    return wrapper


class Stack:
    """A stack."""

    def __init__(self, items: "list" = ()):
        self.items = list(items)

    @property
    def top(self):
        """The last item.

        >>> Stack([1]).top
        1
        """
        return self.items[-1]

    def push(self, item, *, times=1, mark=MISSING, label: noisy("note") = noisy("label")):
        # as often as asked
        for _ in range(times):

            self.items.append(item)
        return self

    def format(self):
        return "\\n  ".join(map(str, self.items)) + """
left of the margin"""

    def __add__(self, other):
        return Stack(self.items + other.items)


def textwrap(n):
    return n + 1


def median(xs: list[int], key=None, seen=[], by=operator.neg) -> "int | None":
    seen.append(len(xs))
    ys = sorted(xs)
    return ys[len(ys) // 2]


def count(n):
    for i in range(n):
        yield median([i])


@deco
def outer(n):
    def inner(k):
        return n + k
    return inner(2)


first = lambda xs: xs[0]


def stop(n):
    return n > 2


def walk(n):
    ends = stop
    while not ends(n):
        yield n
        n += 1
'''
USER = """
import shown_module

def ended(n):
    return shown_module.stop(n)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shown")
    (folder / "shown_module.py").write_text(MODULE, encoding="utf-8")
    (folder / "shown_user.py").write_text(USER, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def trace_of(kit, package, interpreter):
    """Traces examples in the module's namespace, or a script that imports it, under each interpreter at hand."""
    config = kit.TracerConfig(follow=3, repository=package, own=("",), sys_path=("",), python=interpreter)
    with kit.PlainTracer(config) as tracer:

        def trace(source: str, module: str | None = "shown_module") -> Trace:
            base = kit.script(source)
            kind = "script" if module is None else "doctest"
            pieces = base.pieces
            if module is not None:  # an example for each statement
                pieces = tuple(
                    Piece(source=ast.unparse(node) + "\n", line=node.lineno) for node in ast.parse(source).body
                )
            made = tracer.trace(
                Snippet(kind=kind, name="s", path="s.py", line=1, end_line=1, pieces=pieces, module=module)
            )
            assert isinstance(made, Trace), made
            assert made.failed_checks == {}
            return made

        yield trace


def defined(trace: Trace) -> list[str]:
    sources = [step.source for step in trace.steps if step.kind == "source"]
    return [source for source in sources if source.startswith("def ")]


def test_a_name_that_the_set_up_binds_later_is_not_deleted(trace_of):
    """The set-up runs first: a definition shown before its name is needed would take the name away in a replay."""
    trace = trace_of("ended(5)\nprint([*shown_module.walk(1)])\n", "shown_user")
    sources = [step.source for step in trace.steps]
    shown = sources.index("def stop(n):\n    return n > 2")
    assert sources[shown + 1] == "from shown_module import stop"
    assert "from shown_module import stop\n" in trace.setup["code"] and "ends = stop" in sources
    assert not trace.kept_whole


def test_source_stands_once_before_its_first_use_and_gives_the_name_back(trace_of):
    trace = trace_of("from shown_module import median\nx = median([3, 1, 2])\nprint(x, median([x]))\n", None)
    (source,) = defined(trace)
    assert source.splitlines()[0] == 'def median(xs: list[int], key=None, seen=[], by=...) -> "int | None":'
    index = next(n for n, step in enumerate(trace.steps) if step.source == source)
    assert trace.steps[index + 1].source == "from shown_module import median"
    assert trace.steps[index + 2].source == "# median([3, 1, 2])\nxs = [3, 1, 2]"
    assert trace.text.index("def median") < trace.text.index("ys = sorted(xs)\n>>> ys")
    assert [step.output for step in trace.steps if step.source.startswith("print(")] == ["2 2"]


def test_name_that_nothing_has_is_unbound_again(trace_of):
    trace = trace_of(
        "import shown_module\nshown_module.median([1])\ntry:\n    median\nexcept NameError:\n    print('no')\n", None
    )
    texts = [step.source for step in trace.steps]
    assert "del median" in texts
    assert "no" in [step.output for step in trace.steps]
    assert all("median" not in step.state for step in trace.steps)


def test_name_that_means_something_else_stays_what_it_is(trace_of):
    trace = trace_of("import shown_module\nmedian = 5\nx = shown_module.median([1])\nprint(median, x)\n", None)
    assert defined(trace)[0].startswith("def median_1(xs")
    assert [step.output for step in trace.steps if step.source.startswith("print(")] == ["5 1"]


def test_the_name_of_a_module_is_imported_again(trace_of):
    trace = trace_of(
        "import shown_module, textwrap\nx = shown_module.textwrap(1)\nprint(textwrap.dedent(' a'), x)\n", None
    )
    index = next(n for n, step in enumerate(trace.steps) if step.source.startswith("def textwrap(n)"))
    assert trace.steps[index + 1].source == "import textwrap"
    assert [step.output for step in trace.steps if step.source.startswith("print(")] == ["a 2"]


def test_methods_properties_operators_decorators_and_nested_functions(trace_of):
    trace = trace_of("s = Stack([1]).push(2, times=2)\nt = s + s\nprint(t.top, s.format(), outer(4), first([7]))\n")
    heads = [source.splitlines()[0] for source in defined(trace)]
    assert (
        "def push(self, item, *, times=1, mark=MISSING, label: 'noisy(\\'note\\')' = ...):  # Stack.push" in heads
        or ("def push(self, item, *, times=1, mark=MISSING, label: \"noisy('note')\" = ...):  # Stack.push" in heads)
    )
    assert "def top(self):  # @property Stack.top" in heads
    assert "def deco(f):" in heads  # the wrapper comes with the function around it
    assert "def outer(n):  # @deco" in heads
    assert any(head.startswith("def lambda_(xs)") for head in heads)
    top = next(source for source in defined(trace) if "def top" in source)
    assert ">>>" not in top
    assert '"""The last item."""' in top
    assert "evaluated" not in "".join(step.output for step in trace.steps)
    calls = [call.text for call in trace.calls]
    for wanted in ("Stack([1])", "Stack([1]).push(2, times=2)", "s + s", "t.top", "s.format()", "outer(4)", "inner(2)"):
        assert wanted in calls, calls


def test_generators_have_one_call_that_goes_on(trace_of):
    trace = trace_of("for x in count(3):\n    print(x)\n")
    (index,) = [n for n, call in enumerate(trace.calls) if call.name == "count"]
    medians = [call for call in trace.calls if call.name == "median"]
    assert len(medians) == 3 and all(call.caller == index for call in medians)
    assert trace.calls[index].text == "count(3)"


def test_calls_tell_each_step_of_theirs_once(trace_of):
    trace = trace_of("print(outer(4), outer(5))\n")
    seen: list[int] = [step for call in trace.calls for step in call.steps]
    assert len(seen) == len(set(seen))
    for call in trace.calls:
        assert {trace.steps[step].path for step in call.steps} == {"shown_module.py"}
    inner = [call for call in trace.calls if call.name.endswith("inner")]
    assert [trace.calls[call.caller].name for call in inner] == ["outer", "outer"]
    assert {function.name for function in trace.source} >= {"outer", "deco.<locals>.wrapper"}
    (outer,) = [function for function in trace.source if function.name == "outer"]
    assert outer.text == "@deco\ndef outer(n):\n    def inner(k):\n        return n + k\n    return inner(2)\n"
    assert (outer.path, outer.line) == ("shown_module.py", MODULE.split("\n").index("@deco") + 1)


RAISING = """class Manager:
    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        return True


def f(n):
    if n == 0:
        raise KeyError(n)
    yield n


def g(n):
    return n // 0


def outer(m):
    with Manager():
        {call}
    return m


xs = [0]
print(outer(1))
"""


@pytest.mark.parametrize("call", ["g(xs[1])", "sum(f(xs[1]))", "g(xs[0])", "sum(f(xs[0]))", "g(g(xs[0]))"])
def test_what_handles_an_exception_is_no_part_of_the_call_that_raised_it(trace_of, call):
    """Whether one of its arguments raised it, so that it did not begin, or its body."""
    trace = trace_of(RAISING.format(call=call), None)
    leaves = [each for each in trace.calls if each.name == "Manager.__exit__"]
    assert [trace.calls[each.caller].name for each in leaves] == ["outer"]
    begun = [each.name for each in trace.calls if each.name in ("f", "g")]
    assert begun == ([] if "xs[1]" in call else [call.removeprefix("sum(")[0]])


def test_own_definitions_are_not_shown_again(trace_of):
    trace = trace_of("def f(n):\n    return n + 1\nprint(f(2))\n", None)
    assert [step.kind for step in trace.steps].count("source") == 0
    assert [function.name for function in trace.source] == ["f"]


def test_defaults_and_closures_are_set_up(trace_of):
    trace = trace_of("x = median([1]) + median([2, 3])\nprint(x, outer(1), Stack([0]).push(1).top)\n")
    code = trace.setup["code"]
    assert "seen_default = __import__('shown_module', fromlist=['_']).median.__defaults__[1]" in code
    assert "outer.__closure__[0].cell_contents" in code
    for word in ("__defaults__", "__kwdefaults__", "__closure__"):
        assert word not in trace.text
    assert "by = operator.neg" in trace.text


def test_program_that_lists_its_names_has_no_set_up(trace_of):
    trace = trace_of("x = median([1])\nprint([name for name in dir() if 'default' in name])\n")
    assert trace.setup["code"] == ""
    assert [step.output for step in trace.steps if "dir()" in step.source][-1:] == ["[]"]


def test_set_up_takes_no_name_of_the_program(trace_of):
    trace = trace_of("x = median([1])\ntry:\n    seen_default\nexcept NameError:\n    print('no', x)\n")
    assert "seen_default_1 = " in trace.setup["code"]
    assert "no 1" in [step.output for step in trace.steps]


HOSTILE = "\u202e\r\n\t'\"\\# doctest: +SKIP \x00\x1b[31m\u2028\ud800"


@given(st.text(alphabet=HOSTILE + "abf(", max_size=60) | st.text(max_size=400))
def test_a_comment_is_one_line_that_doctest_reads_as_a_comment(text):
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert len(line) <= 10 * 200
    line.encode("utf-8")
    assert "doctest:" not in line
    session = f">>> # {line}\n... x = 1\n>>> x\n1\n"
    assert [part.source for part in parts_of(session)] == [f"# {line}\nx = 1", "x"]
    with redirect_stdout(io.StringIO()):
        example = doctest.DocTestParser().get_doctest(session, {}, "s", "s", 0)
        assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


@pytest.mark.parametrize(
    ("spelt", "told"),
    [
        ("x.__class__.__len__(x)", "x.__len__()"),
        ("x.__class__.area.fget(x)", "x.area"),
        ("x[0].__class__.area.fset(x[0], 3)", "x[0].area = 3"),
        ("x.__class__.fset(3)", "x.__class__.fset(3)"),
    ],
)
def test_a_call_that_the_driver_spells_is_told_as_its_author_means_it(spelt, told):
    call = ast.parse(spelt, mode="eval").body
    assert isinstance(call, ast.Call) and call_text(call, None) == told


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("f(\n    1,\n    'a\\nb')", "f(1, 'a\\nb')"),
        ("f('''a\nb''')", "f('a\\nb')"),
        ("f('\u202e')", "f('\\u202e')"),
        ("f(" + "1, " * 300 + ")", "..."),
    ],
)
def test_calls_over_several_lines_are_told_on_one(written, told):
    call = ast.parse(written, mode="eval").body
    assert isinstance(call, ast.Call)
    text = call_text(call, written.split("\n"))
    assert text == told or (told == "..." and text.endswith("...") and len(text) == 200)


@pytest.mark.parametrize(
    "body",
    [
        "    return 1",
        '    """One.\n\n    >>> f()\n    1\n    """\n    return 1',
        '    """>>> f()"""',
        "    x = 'a\\\n  b'\n    return x",
        "    #comment\n\n\n    return '''a\n  b'''",
        "    return 1  # doctest: +SKIP",
        "    nonlocal_ = 1\n    def g():\n        nonlocal nonlocal_\n        nonlocal_ = 2\n    g()",
        "\treturn\t1",
        "    if x: return 1\n    else:\n        pass; pass",
    ],
)
@pytest.mark.parametrize("indent", [0, 4])
def test_a_shown_definition_does_what_it_did_but_for_its_docstring(body, indent):
    header = "def f(x: undefined_name = undefined_function(1), *, y=[2], z=None) -> undefined_name.attribute:"
    source = header + "\n" + body
    lines = ["class C:"] * bool(indent) + [" " * indent + line for line in source.split("\n")]
    if "\t" in body and indent:
        pytest.skip("tabs and spaces in one block are no Python")
    definition = next(node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.FunctionDef))
    text = definition_text(lines, definition, "C.f", "f_1", lambda node: isinstance(node, ast.Constant))
    namespace: dict[str, object] = {}
    exec(compile(text + "\n", "<shown>", "single"), namespace)  # no NameError: the header needs no names
    assert set(namespace) == {"__builtins__", "f_1"}
    session = "".join(f"{'... ' if n else '>>> '}{line}".rstrip() + "\n" for n, line in enumerate(text.split("\n")))
    assert repl.parse(session)[0][0].split("\n")[0].startswith("def f_1(")
    shown = ast.parse(text).body[0]
    assert isinstance(shown, ast.FunctionDef)
    has_document = ast.get_docstring(definition) is not None
    one, other = shown.body[has_document:], definition.body[has_document:]
    assert [ast.dump(each) for each in one] == [ast.dump(each) for each in other]


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        ("One line.", "One line."),
        ("A sentence that\n    goes on, e.g. so. And another one.", "A sentence that goes on, e.g. so."),
        ("Without an end\n\n    More.", "Without an end"),
        ("Without an end\n    :param x: what it is", "Without an end"),
        ("A title\n    =======\n    Text.", "A title"),
        ("A list:\n    * one", "A list:"),
        ("Shows\n    >>> f()\n    1", "Shows"),
        (">>> f()\n    1", "..."),
        ("a" + " word" * 30 + "\n    " + "word " * 30, "a" + " word" * 30),
        ("Further\nleft.", "Further left."),
    ],
)
def test_a_docstring_is_its_first_sentence(document, shown):
    lines = ["class C:", "    def f(self):", *f'        """{document}"""'.split("\n"), "        return  1"]
    definition = next(node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.FunctionDef))
    text = definition_text(lines, definition, "C.f", "f", lambda node: True)
    assert text == f'def f(self):  # C.f\n    """{shown}"""\n    return  1'


def test_what_has_no_text_is_refused():
    definition = ast.parse("def f():\n    x = 1\n").body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.body *= 5_000
    with pytest.raises(CannotOpen):
        definition_text(None, definition, "f", "f", lambda node: True)


names = st.sampled_from(["a", "len", "b c", "class", "__import__", "x\ny", "é", "", "c_1", "m.n"])


@settings(max_examples=300)
@given(
    names, names, st.lists(names, max_size=3).map(tuple), st.sampled_from(["", "__defaults__", "__closure__"]), names
)
def test_a_set_up_is_bindings_of_names_and_nothing_else(name, module, path, part, key):
    try:
        made = SetUpName(name=name, module=module, path=path, part=part, key=key)
    except ProtocolError:
        return
    (statement,) = ast.parse(made.source).body
    assert isinstance(statement, (ast.Import, ast.ImportFrom, ast.Assign))
    bound = {alias.asname or alias.name for alias in getattr(statement, "names", [])} or {name}
    assert bound == {name} and name.isidentifier() and name not in ("len", "__import__", "class")
    calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
    assert all(isinstance(call.func, ast.Name) and call.func.id == "__import__" for call in calls)


def test_opened_calls_refuse_steps_outside_of_their_range():
    with pytest.raises(ValueError, match="range"):
        OpenedCall(caller=-1, name="f", text="f()", first=1, last=2, steps=(3,))
    with pytest.raises(ValueError, match="caller"):
        OpenedCall(caller=-2, name="f", text="f()")
    assert json.dumps(OpenedCall(caller=-1, name="f", text="f()").steps) == "[]"


def test_a_function_of_an_earlier_piece_keeps_its_lines(kit):
    """An example of a docstring defines it, a later one calls it: its statements stand where they are defined."""
    pieces = (Piece(source="def f(n):\n    m = n + 1\n    return m\n", line=10), Piece(source="x = f(1)\n", line=20))
    with kit.PlainTracer(kit.TracerConfig()) as tracer:
        trace = tracer.trace(Snippet(path="m.py", name="m", kind="doctest", line=10, end_line=20, pieces=pieces))
    assert isinstance(trace, Trace)
    lines = {step.source: (step.path, step.line) for step in trace.steps}
    assert lines["m = n + 1"] == ("m.py", 11) and lines["x = m"] == ("m.py", 20)
    assert [(each.name, each.line) for each in trace.source] == [("f", 10)]
