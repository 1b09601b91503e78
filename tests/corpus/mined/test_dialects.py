"""Examples in doctest's, xdoctest's, Sphinx's and Markdown's dialect; and what is none of them is refused."""

from __future__ import annotations

import contextlib
import doctest
import io
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.corpus.mined.snippets.dialects import examples_by_group, joined


def groups(text: str) -> dict[str, list[tuple[str, str]]]:
    """(source, promised output) of each example, by group; the text is dedented."""
    found = examples_by_group(textwrap.dedent(text), "t")
    return {group: [(example.source, example.want) for example in examples] for group, examples in found.items()}


def test_a_statement_whose_lines_all_have_a_prompt():
    assert groups(
        """
        >>> total = 0
        >>> for i in range(3):
        >>>     total += i
        >>>     if total:
        >>>         print(i)
        >>>     else:
        >>>         print('none')
        none
        1
        2
        >>> @staticmethod
        >>> def f():
        >>>     return '''a
        >>>   b'''
        >>> f()
        """
    ) == {
        "default": [
            ("total = 0\n", ""),
            (
                "for i in range(3):\n    total += i\n    if total:\n        print(i)\n"
                "    else:\n        print('none')\n",
                "none\n1\n2\n",
            ),
            ("@staticmethod\ndef f():\n    return '''a\n  b'''\n", ""),
            ("f()\n", ""),
        ]
    }


def test_continuations_of_both_kinds():
    found = groups(">>> if 1:\n...     x = 1\n>>> else:\n...     x = 2\n>>> x\n1\n")
    assert found == {"default": [("if 1:\n    x = 1\nelse:\n    x = 2\n", ""), ("x\n", "1\n")]}


def test_a_comment_of_several_lines_is_nothing_to_run():
    assert groups(">>> # a\n... # b\n>>> 1\n1\n") == {"default": [("1\n", "1\n")]}


def test_options_of_joined_examples():
    (example,) = examples_by_group(">>> for i in 'ab':  # doctest: +SKIP\n>>>     print(i)\na\nb\n", "t")["default"]
    assert example.options == {doctest.SKIP: True}


@pytest.mark.parametrize(
    "text",
    [
        ">>> for i in range(3):\n\n>>>     print(i)\n",  # not next to each other
        ">>> for i in range(3):\n0\n>>>     print(i)\n",  # an output between
        ">>> print 'two'\ntwo\n",
        ">>> f(\n>>> g(\n",
        ".. testcode::\n\n   print 'two'\n",
    ],
)
def test_what_is_no_program_is_refused(text):
    """Without that example the others would be another program."""
    with pytest.raises(ValueError, match="expected"):
        examples_by_group(text, "t")


def test_an_error_that_is_promised():
    text = ">>> 1 +\nTraceback (most recent call last):\nSyntaxError: invalid syntax\n>>> 1\n1\n"
    assert [source for source, _ in groups(text)["default"]] == ["1 +\n", "1\n"]
    behind = f">>> y = 1\n{text}"
    assert [source for source, _ in groups(behind)["default"]] == ["y = 1\n", "1 +\n", "1\n"]


def test_sphinx_groups():
    text = """
        Title
        .. testsetup:: *

           import math
           limit = 3

        .. testsetup:: other

           limit = 4

        .. doctest::
           :options: +ELLIPSIS

           >>> limit
           3

        .. doctest:: other
           :skipif: True

           >>> limit
           4

        Plain.

        >>> math.floor(2.5)
        2

        .. testcode:: other

           def double(n):
               return 2 * n

           print(double(limit)); print(1)
        .. testoutput:: other

           8
           1

        .. testcleanup::

           del limit
    """
    setup = [("import math\n", ""), ("limit = 3\n", "")]
    assert groups(text) == {
        "default": [*setup, ("limit\n", "3\n"), ("math.floor(2.5)\n", "2\n")],
        "other": [
            *setup,
            ("limit = 4\n", ""),
            ("limit\n", "4\n"),
            ("def double(n):\n    return 2 * n\n", ""),
            ("print(double(limit)); print(1)\n", ""),
        ],
    }
    found = examples_by_group(textwrap.dedent(text), "t")
    assert found["default"][2].options == {doctest.ELLIPSIS: True}
    assert found["other"][3].options == {doctest.SKIP: True}
    lines = textwrap.dedent(text).split("\n")
    for example in found["default"] + found["other"]:
        assert lines[example.lineno].strip().removeprefix(">>> ") == example.source.split("\n")[0]


def test_the_output_of_a_block_of_one_statement():
    text = ".. testcode::\n\n   print(1)\n\n.. testoutput::\n   :options: -ELLIPSIS\n\n   1\n\nand\n"
    assert groups(text) == {"default": [("print(1)\n", "1\n")]}


def test_fences():
    text = """
        ```python
        >>> 1
        1
        ```
        ~~~~pycon
        >>> print('```')
        ```
        ~~~~
        ```{testcode} a
        x = 1
        ```
        :::{doctest} a
        >>> x
        1
        :::
        >>> print('```')
        ```
    """
    assert groups(text) == {
        "default": [("1\n", "1\n"), ("print('```')\n", "```\n"), ("print('```')\n", "```\n")],
        "a": [("x = 1\n", ""), ("x\n", "1\n")],
    }


PROGRAM = st.recursive(
    st.sampled_from(["x = 1", "print(x)", "x *= 2", "pass", "x = '''a\n  b'''"]),
    lambda inner: st.builds(
        lambda head, body, tail: head + "\n" + textwrap.indent("\n".join(body), "    ") + tail,
        st.sampled_from(["for i in range(2):", "if x:", "while x is None:", "try:"]),
        st.lists(inner, min_size=1, max_size=3),
        st.just(""),
    ).map(lambda text: text if not text.startswith("try:") else f"{text}\nfinally:\n    x = 3"),
    max_leaves=6,
)


@given(st.lists(PROGRAM, min_size=1, max_size=5))
def test_all_lines_with_prompts_are_the_program(statements):
    """Run in order, the joined examples print what the program prints."""
    source = "x = 0\n" + "\n".join(statements) + "\n"
    prompts = "".join(f">>> {line}\n" for line in source.splitlines())
    examples = joined(doctest.DocTestParser().get_examples(prompts))
    assert "".join(example.source for example in examples) == source
    assert len(examples) == len(statements) + 1
    assert printed([example.source for example in examples]) == printed([source])


def printed(sources):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        namespace = {}
        for source in sources:
            exec(source, namespace)
    return out.getvalue()


def test_a_long_run_of_broken_lines_is_refused_soon():
    with pytest.raises(ValueError, match="expected a program"):
        examples_by_group(">>> (\n" * 5_000, "t")
