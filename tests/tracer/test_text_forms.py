# ruff: noqa: E501  (cases read best on a line of their own)
"""Inverse pairs and rewriting: render and parse, shown output and doctest's checker, renamed programs that run the same."""

from __future__ import annotations

import ast
import contextlib
import doctest
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.tracer.formats import repl
from trace_mine.tracer.inside.syntax import doctext, text
from trace_mine.tracer.inside.syntax.names import CannotOpen, Rewriter, bound_names, local_names
from trace_mine.tracer.schema import Step

quick = settings(max_examples=300, deadline=None, derandomize=True, database=None)
lines = st.text(alphabet="ab>. <B\n\t'é0x", max_size=24)
COMMANDS = ("x", "print('a')", "if x:\n    y = 1", 'z = """a\n\nb"""', "def f():\n    return 1", "x = [\n    1,\n]")


@quick
@given(
    st.lists(
        st.tuples(st.sampled_from(COMMANDS), lines, st.sampled_from(["statement", "reveal"])), min_size=1, max_size=5
    )
)
def test_parse_is_the_inverse_of_render(parts):
    steps = [
        Step(source=source, output=doctext.shown(output), kind=kind)
        for source, output, kind in parts
        if doctext.is_showable(output)
    ]
    rendered = repl.render(steps)
    assert repl.parse(rendered.text) == [(step.source, step.output) for step in steps]
    assert "".join(rendered.text[s.start : s.end] for s in rendered.segments) == rendered.text
    assert all(one.end == two.start for one, two in zip(rendered.segments, rendered.segments[1:], strict=False))


def test_parse_refuses_what_is_no_session():
    with pytest.raises(ValueError, match="expected a session"):
        repl.parse("hello\n>>> x\n")


@quick
@given(lines)
def test_what_can_be_shown_passes_doctest(output):
    """Whatever ``is_showable`` lets through, doctest itself reads back and accepts."""
    if not doctext.is_showable(output):
        return
    printed = output if not output or output.endswith("\n") else output + "\n"
    session = repl.render([Step(source="show()", output=doctext.shown(output), kind="statement")]).text
    examples = doctest.DocTestParser().get_examples(session + ">>> 1\n")
    assert [example.source for example in examples] == ["show()\n", "1\n"]
    assert examples[0].exc_msg is None
    assert doctest.OutputChecker().check_output(examples[0].want, printed, 0)


@pytest.mark.parametrize(
    "output",
    [
        "a\tb",
        "\ud800",
        "a\rb",
        "a\x0cb",
        "a\u2028b",
        "a\x85b",
        ">>> x",
        "a\n ... b",
        "<BLANKLINE>",
        "a\n<BLANKLINE>  \n",
        "Traceback (most recent call last):\n",
        'a\nTraceback (most recent call last):\n  File "x.py", line 1, in f\nValueError\n',
    ],
)
def test_what_no_doctest_can_show(output):
    assert not doctext.is_showable(output)


@pytest.mark.parametrize("output", ["see <BLANKLINE>", "a\nTraceback (most recent call last):\n  boom\n", "\x1b[1m"])
def test_words_that_only_look_like_a_marker_are_shown(output):
    assert doctext.is_showable(output)


def test_an_exception_is_shown_with_its_notes_and_a_syntax_error_without_its_place():
    error = ValueError("no")
    error.add_note("a\n\nb")
    message = doctext.message_of(error)
    assert message == "ValueError: no\na\n\nb\n" and doctext.is_showable_message(message)
    assert doctext.shown_error(message).endswith("    ...\nValueError: no\na\n<BLANKLINE>\nb")
    with pytest.raises(SyntaxError) as raised:
        compile("x = (", "<text>", "exec")
    assert doctext.message_of(raised.value) == "SyntaxError: '(' was never closed\n"
    assert not doctext.is_showable_message("ValueError: a\tb\n") and not doctext.is_showable_message("<x>: a\n")


BODIES = [
    "a = 1\nb = [a for a in range(3)]\nc = lambda a: a + len(b)\nprint(a, b, c(2))",
    "a = 2\ndef inner(b, a=a):\n    c = a + b\n    return c\nb = inner(1)\nprint(a, b)",
    "a = [1, 2]\nfor b, c in enumerate(a):\n    a = a + [c]\nprint(a, b, c)",
    "try:\n    a = {}['k']\nexcept KeyError as b:\n    c = b.args\nprint(c)",
    "match [1, {'k': 2}]:\n    case [a, {'k': b, **c}]:\n        print(a, b, c)",
    "match (1, 2, 3):\n    case [a, *b] as c:\n        print(a, b, c)",
    "import os.path as a\nfrom math import floor as b\nc = b(2.5)\nprint(a.basename('x/y'), c)",
    "a = 1\nclass b:\n    z = a\n    def m(self):\n        return a\nc = b().m()\nprint(c, b.z)",
    "if (a := 3) > 2:\n    b = f'{a!r:>{a}}'\ndel a\nc = 0\nprint(b, c)",
    "a = b = c = 0\nfor a in range(2):\n    b += a\nelse:\n    c = a\nprint(a, b, c)",
    "with open('/dev/null') as a:\n    b = a.read()\nc = {b: a for b in 'xy' for a in [b]}\nprint(b, c)",
]


def run(source: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "<body>", "exec"), {"__name__": "body"})
    return printed.getvalue()


@pytest.mark.parametrize("source", BODIES)
def test_renamed_body_does_the_same(source):
    tree = ast.parse(source)
    mapping = {name: name + "_7" for name in bound_names(tree.body)}
    changed = [Rewriter(mapping, None).visit(statement) for statement in ast.parse(source).body]
    renamed = "\n".join(text.unparse(statement) for statement in changed)
    assert "a_7" in renamed and run(renamed) == run(source)


def test_nonlocal_and_private_names():
    source = "def outer():\n    n = 0\n    def step():\n        nonlocal n\n        n += 1\n        return self.__x\n"
    function = ast.parse(source).body[0]
    assert local_names(function) == {"n", "step"}
    step = Rewriter({"n": "n_2"}, "Box").visit(function.body[1])
    told = ast.unparse(step)
    assert "global n_2" in told and "self._Box__x" in told and "n_2 += 1" in told
    with pytest.raises(CannotOpen, match="class_rebinds_local"):
        Rewriter({"n": "n_2"}, None).visit(ast.parse("class C:\n    n = n").body[0])


@pytest.mark.parametrize("source", ["x = 1", "f(a,\n  b)", 's = """a\n\n  b"""', "if x:\n    y = '''\n\nz'''"])
def test_indented_block_is_the_same_statement(source):
    block = text.indented(source)
    assert all(line.startswith("    ") or not line for line in block.split("\n")[:1])
    inner = ast.parse("try:\n" + block + "\nfinally:\n    pass").body[0].body
    assert ast.dump(ast.Module(inner, [])) == ast.dump(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n    x = 1\n\n    y = 2",
        'def f():\n\n    s = """a\n\nb"""\n\n    return s',
        "if 1:\n    f'''\n\n{1}'''\n",
    ],
)
def test_blank_lines_go_and_strings_stay(source):
    cleaned = text.without_blank_lines(source)
    assert ast.dump(ast.parse(cleaned)) == ast.dump(ast.parse(source))
    assert cleaned.count("\n") <= source.count("\n")


def test_author_text_only_where_it_is_the_same_tree():
    source = "x = (1,   2)  # two\nif x: y = 'a'; z = 2\n"
    tree = ast.parse(source)
    lines = source.split("\n")
    assert text.text_as_written(lines, tree.body[0]) == "x = (1,   2)"
    assert text.text_as_written(lines, tree.body[1].body[1]) == "z = 2"
    renamed = Rewriter({"x": "x_1"}, None).visit(ast.parse(source).body[0])
    assert text.text_as_written(lines, renamed) == "x_1 = (1,   2)"
    other = ast.copy_location(ast.parse("x += 1").body[0], tree.body[0])
    assert text.text_as_written(lines, other) is None, "another statement has no text there"


@pytest.mark.parametrize(
    ("source", "renamed", "expected"),
    [
        ("x = y['a']  # why", "x_1 = y_1['a']", "x_1 = y_1['a']"),
        ('f(r"\\d", x)', "f('\\\\d', x_1)", 'f(r"\\d", x_1)'),
        ("é = 'é' + x * (2)", "é = 'é' + x_1 * 2", "é = 'é' + x_1 * (2)"),
        ("x = self.__n + 0x10", "x = self._A__n + 16", "x = self._A__n + 0x10"),
        ("x = f( g(1) )*2", "x = f(returned_1) * 2", "x = f( returned_1 )*2"),
        ("x = f(1)*2", "x = (a + b) * 2", "x = (a + b)*2"),
        ("x = a or not f(1)", "x = not returned_1", "x = not returned_1"),
        ('x = f"{y!r}" + "a"', "x = f'{y_1!r}' + 'a'", "x = f'{y_1!r}' + \"a\""),
        ("x = lambda y: y + z", "x = lambda y: y + z_1", "x = lambda y: y + z_1"),
        ("x = 'a' 'b'", "x = 'ab'", "x = 'a' 'b'"),
        ("f(x=1)", "f(y=1)", "f(y=1)"),
    ],
)
def test_what_was_changed_is_changed_in_the_authors_text(source, renamed, expected):
    node = ast.parse(source).body[0]
    changed = ast.copy_location(ast.parse(renamed).body[0], node)
    found = text.text_as_written([source], changed)
    assert found == expected
    assert ast.dump(ast.parse(found)) == ast.dump(ast.parse(renamed))
