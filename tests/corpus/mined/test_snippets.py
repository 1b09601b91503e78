"""What each source finds, where, and under which reason it refuses.

Over 400 lines because each source is held to the same contract by the same helpers.
"""

from __future__ import annotations

import ast
import doctest
import json
import re
import types
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trace_mine.corpus.mined.files import SourceText, decode
from trace_mine.corpus.mined.layout import Layout
from trace_mine.corpus.mined.snippets import ENTRIES, Candidate, RepositoryContext
from trace_mine.corpus.mined.snippets.docs import MAX_BLOCKS, MAX_STATEMENTS
from trace_mine.corpus.mined.snippets.doctests import without_directives
from trace_mine.corpus.mined.snippets.scripts import without_futures
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.replays.linear_parser import LinearParser
from trace_mine.tracer.schema import KINDS, Drop, Piece, Snippet

AWKWARD = '''\
"""Module.

>>> 1 + 1
2
"""
from __future__ import annotations


def plain():
    """Two examples.

    >>> x = [1,
    ...      2]
    >>> x  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
    [1, ...]
    """


class Outer:
    """>>> Outer.__name__
    'Outer'
    """

    class Inner:
        def method(self):
            r"""
            >>> '\\n'
            '\\n'
            """

    if True:
        def conditional(self):
            """
            >>> 3  # doctest: +SKIP
            4
            >>> 5
            5
            """


def escaped():
    "first\\n\\n>>> 6\\n6\\n"


def nested():
    def inner():
        """
        >>> 'doctest does not see this'
        """


def skipped():
    """
    >>> 7 # doctest: +SKIP
    """


def broken():
    """
    >>>8
    """


def no_example():
    """Just a >>> in prose."""


__test__ = {"more": """
>>> 9
9
"""}
'''


def find(
    source: str, tmp_path: Path, path: str = "mod.py", files: dict[str, str] | None = None
) -> dict[str, list[Candidate]]:
    for name, text in {**(files or {}), path: source}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    layout = Layout(tmp_path, [name for name in (*(files or {}), path) if name.endswith(".py")])
    text = decode(path, source.encode())
    assert isinstance(text, SourceText), text
    context = RepositoryContext(tmp_path, layout, paths=[*(files or {}), path])
    return {name: list(finder(text, context)) for name, finder in ENTRIES.items()}


def reason_of(candidate: Candidate) -> str | None:
    return candidate.drop.reason if candidate.drop else None


def test_doctests_are_those_that_doctest_finds(tmp_path: Path) -> None:
    found = find(AWKWARD.replace(">>>8", ">>> 8"), tmp_path)["doctest"]
    module = types.ModuleType("mod")
    exec(compile(AWKWARD.replace(">>>8", ">>> 8"), "mod.py", "exec"), module.__dict__)
    oracle = {test.name for test in doctest.DocTestFinder(exclude_empty=True).find(module, "mod") if test.examples}
    assert {candidate.snippet.name for candidate in found} == oracle


def test_lines_and_pieces_are_those_of_the_file(tmp_path: Path) -> None:
    found = {candidate.snippet.name: candidate for candidate in find(AWKWARD, tmp_path)["doctest"]}
    lines = AWKWARD.split("\n")
    for candidate in found.values():
        for piece in candidate.snippet.pieces:
            first = piece.source.split("\n", 1)[0]
            assert first in lines[piece.line - 1].replace("\\\\", "\\"), candidate.snippet.name
        assert candidate.snippet.line <= candidate.snippet.end_line <= len(lines)
    assert found["mod.plain"].snippet.pieces[0].source == "x = [1,\n     2]\n"
    assert found["mod.plain"].snippet.pieces[1] == Piece(
        source="x\n", line=14, want="[1, ...]\n", options=("ELLIPSIS", "NORMALIZE_WHITESPACE")
    )
    assert found["mod.Outer.conditional"].num_skipped == 1
    assert [piece.source for piece in found["mod.Outer.conditional"].snippet.pieces] == ["5\n"]
    reasons = {name: candidate.drop.reason for name, candidate in found.items() if candidate.drop}
    assert reasons == {"mod.skipped": "all_skipped", "mod.broken": "bad_doctest"}
    assert all(
        candidate.snippet.continue_on_error and candidate.snippet.module == "mod" for candidate in found.values()
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x  # doctest: +ELLIPSIS\n", "x\n"),
        ("x = '''\n# doctest: +SKIP\n'''\n", "x = '''\n# doctest: +SKIP\n'''\n"),
        ("x  # a comment\n", "x  # a comment\n"),
        ("x ~ # doctest: +SKIP\n", "x ~ # doctest: +SKIP\n"),
    ],
)
def test_directives_are_taken_off_only_as_comments(source: str, expected: str) -> None:
    assert without_directives(source) == expected


def test_foreign_options_do_not_cost_the_docstring(tmp_path: Path) -> None:
    (candidate,) = find('"""\n>>> 1.0  # doctest: +NUMBER\n1.0\n"""\n', tmp_path)["doctest"]
    assert candidate.drop is None
    assert candidate.snippet.pieces[0].options == ()
    assert candidate.snippet.pieces[0].source == "1.0\n"


@pytest.mark.parametrize("suffix", [".rst", ".md", ".txt"])
def test_text_files_are_one_session(tmp_path: Path, suffix: str) -> None:
    text = "Title\n\n```python\n>>> a = 1\n>>> a\n1\n```\nprose\n\n>>> a + 1\n2\n"
    if suffix != ".md":
        text = text.replace("```python\n", "\n").replace("```\n", "\n")
    found = find(text, tmp_path, path=f"docs/guide{suffix}")
    (candidate,) = found["doctest"]
    assert candidate.snippet.module is None
    assert [(piece.line, piece.want) for piece in candidate.snippet.pieces] == [(4, ""), (5, "1\n"), (10, "2\n")]
    assert not found["script"]
    assert not found["test"]


def test_a_file_that_cannot_be_imported_is_a_reason(tmp_path: Path) -> None:
    (candidate,) = find('"""\n>>> 1\n1\n"""\n', tmp_path, path="my-tool.py")["doctest"]
    assert reason_of(candidate) == "not_importable"


SCRIPT = '''\
"""Doc."""
from __future__ import annotations
import sys
def main() -> int:
    return len(sys.argv)
if __name__ == "__main__":
    print(main(), __name__)
'''


def test_a_script_runs_the_same_from_its_set_up(tmp_path: Path) -> None:
    (candidate,) = find(SCRIPT, tmp_path, path="pkg/tool.py", files={"pkg/__init__.py": ""})["script"]
    snippet = candidate.snippet
    (piece,) = snippet.pieces
    assert "__future__" not in piece.source
    assert piece.source.split("\n")[2:] == SCRIPT.split("\n")[2:]
    # as one program: a future import that stands behind another statement does not compile
    bound: dict[str, object] = {}
    exec(compile(snippet.code, "<setup>", "exec", dont_inherit=True), bound)
    assert bound["__name__"] == "__main__"
    assert "__package__ = 'pkg'" in snippet.code
    assert "from __future__ import annotations" in snippet.code


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("if '__main__' == __name__:\n    f()\n", None),
        ("if __name__ == '__main__':\n    import doctest\n    doctest.testmod()\n", "test_runner"),
        ("if __name__ == '__main__':\n    import sys\n    sys.exit(unittest.main())\n", "test_runner"),
    ],
)
def test_main_blocks(tmp_path: Path, block: str, reason: str | None) -> None:
    (candidate,) = find(block, tmp_path)["script"]
    assert reason_of(candidate) == reason


@pytest.mark.parametrize("text", ["x = 1\n", "if __name__ != '__main__':\n    pass\n", "if __name__:\n    pass\n"])
def test_modules_are_no_scripts(tmp_path: Path, text: str) -> None:
    assert not find(text, tmp_path)["script"]


@pytest.mark.parametrize(
    "text",
    [
        "from __future__ import annotations\nx = 1\n",
        "'''d'''\nfrom __future__ import (\n    annotations,\n    division,\n)  # why\nx = 1\n",
        "from __future__ import division; x = 1\n",
        "'é'; from __future__ import division; x = 1\n",
    ],
)
def test_futures_move_without_moving_lines(text: str) -> None:
    moved, futures = without_futures(text, ast.parse(text))
    assert futures
    assert moved.count("\n") == text.count("\n")
    rest = [node for node in ast.parse(text).body if not isinstance(node, ast.ImportFrom)]
    left = [node for node in ast.parse(moved).body if not isinstance(node, ast.Pass)]
    assert [(ast.dump(node), node.lineno) for node in left] == [(ast.dump(node), node.lineno) for node in rest]


TESTS = """\
import pytest, unittest
from helpers import Base, Async

def test_plain():
    assert 1

def test_default(x=1): ...
def test_fixture(tmp_path): ...
def test_keyword(*, x): ...
async def test_async(): ...
def test_generator():
    yield 1
def test_holds_a_generator():
    list(x for x in [1]); f = lambda: (yield)
@pytest.mark.parametrize("x", [1])
def test_parameters(x): ...
@pytest.mark.skip
def test_skipped(): ...
@given(1)
def test_given(): ...
def helper(): ...

class TestPytest:
    @classmethod
    def setup_class(cls): ...
    def setup_method(self): ...
    def test_one(self): ...
    def test_two(self, tmp_path): ...

class TestWithInit:
    def __init__(self): ...
    def test_one(self): ...

class Cases(Base):
    def setUp(self): ...
    def test_one(self): ...
    @unittest.skip("why")
    def test_two(self): ...

class Coroutines(Async):
    def test_one(self): ...

class Mixin:
    def test_one(self): ...
"""
HELPERS = """\
import unittest
import unittest as ut
class Base(unittest.TestCase):
    def tearDown(self): ...
class Async(ut.IsolatedAsyncioTestCase): ...
"""


def test_tests_and_their_reasons(tmp_path: Path) -> None:
    found = find(TESTS, tmp_path, path="test_all.py", files={"helpers.py": HELPERS})["test"]
    reasons = {candidate.snippet.name.removeprefix("test_all."): reason_of(candidate) for candidate in found}
    assert reasons == {
        "test_plain": None,
        "test_default": None,
        "test_fixture": "needs_fixture",
        "test_keyword": "needs_fixture",
        "test_async": "async_test",
        "test_generator": "generator_test",
        "test_holds_a_generator": None,
        "test_parameters": "needs_fixture",
        "test_skipped": "skipped",
        "test_given": "needs_fixture",
        "TestPytest.test_one": None,
        "TestPytest.test_two": "needs_fixture",
        "TestWithInit.test_one": "needs_init",
        "Cases.test_one": None,
        "Cases.test_two": "skipped",
        "Coroutines.test_one": "async_test",
    }
    pieces = {c.snippet.name.removeprefix("test_all."): [p.source.strip() for p in c.snippet.pieces] for c in found}
    assert pieces["test_plain"] == ["test_plain()"]
    assert pieces["TestPytest.test_one"] == [
        "self = TestPytest()",
        "TestPytest.setup_class()",
        "self.setup_method()",
        "self.test_one()",
    ]
    assert pieces["Cases.test_one"] == [
        "self = Cases('test_one')",
        "self.setUp()",
        "self.test_one()",
        "self.tearDown()",
    ]
    opens = {c.snippet.name.removeprefix("test_all."): c.snippet.opens for c in found}
    assert opens["Cases.test_one"] == ("self.setUp", "self.test_one", "self.tearDown")


def test_module_set_up_is_called(tmp_path: Path) -> None:
    text = "def setup_module(): ...\ndef tearDownModule(): ...\ndef test_a(): ...\n"
    (candidate,) = find(text, tmp_path, path="test_m.py")["test"]
    assert [piece.source for piece in candidate.snippet.pieces] == [
        "setup_module()\n",
        "test_a()\n",
        "tearDownModule()\n",
    ]
    (wants,) = find(text.replace("setup_module()", "setup_module(module)"), tmp_path, path="test_m.py")["test"]
    assert reason_of(wants) == "needs_fixture"


def test_autouse_fixtures_are_a_reason(tmp_path: Path) -> None:
    text = "import pytest\n@pytest.fixture(autouse=True)\ndef clock(): ...\ndef test_a(): ...\n"
    (candidate,) = find(text, tmp_path, path="test_m.py")["test"]
    assert reason_of(candidate) == "needs_fixture"


def test_other_files_hold_no_tests(tmp_path: Path) -> None:
    assert not find(TESTS, tmp_path, path="library.py", files={"helpers.py": HELPERS})["test"]


CALLS = """\
def f(n, k=2): ...
def thin(n): ...
async def g(n): ...
def given(n): yield
f(1), f(2), f(2, k=3), thin(1), g(1), g(2), list(given('a')), given('b')
"""


PAGE = """\
# First
```python
import math
n = 2
```
```python
broken(...
```
# Second
```sh
ls
```
~~~ python
def twice(x):
    return 2 * x

twice(n)
~~~
"""


def test_a_section_of_a_page_is_a_session_with_what_it_needs(tmp_path: Path) -> None:
    broken, first, second = find(PAGE, tmp_path, path="README.md")["docs"]
    assert broken.drop is not None and broken.drop.reason == "bad_block" and broken.snippet.line == 7
    assert [piece.source for piece in first.snippet.pieces] == ["import math\n", "n = 2\n"]
    sources = [(piece.source, piece.line) for piece in second.snippet.pieces]
    assert sources == [
        ("import math\n", 3),
        ("n = 2\n", 4),
        ("def twice(x):\n    return 2 * x\n", 14),
        ("twice(n)\n", 17),
    ]


def test_what_stands_behind_a_limit_of_pages_is_counted(tmp_path: Path) -> None:
    blocks = "".join(f"# {n}\n```python\nx = {n}\n```\n" for n in range(MAX_BLOCKS + 3))
    *sections, cut = sorted(find(blocks, tmp_path, path="README.md")["docs"], key=lambda each: each.snippet.line)
    assert len(sections) == MAX_BLOCKS and not any(each.drop for each in sections)
    assert cut.drop is not None and cut.drop.reason == Reason.BEYOND_LIMIT
    assert cut.snippet.line == 4 * MAX_BLOCKS + 3
    assert cut.drop.evidence.startswith(f"3 blocks of code behind the first {MAX_BLOCKS} of the page ")
    long = "```python\n" + "x = 1\n" * (MAX_STATEMENTS + 2) + "```\n"
    section, cut = find(long, tmp_path, path="docs/a.md")["docs"]
    assert len(section.snippet.pieces) == MAX_STATEMENTS and section.drop is None
    assert cut.drop is not None and cut.drop.reason == Reason.BEYOND_LIMIT
    assert cut.drop.evidence.startswith(f"2 statements behind the first {MAX_STATEMENTS} of a section ")
    assert f"line {MAX_STATEMENTS + 2}" in cut.drop.evidence
    exact = "```python\n" + "x = 1\n" * MAX_STATEMENTS + "```\n"
    assert len(find(exact, tmp_path, path="docs/b.md")["docs"]) == 1


RST = """\
First
=====

Use it so::

    import math
    math.sqrt(4)

or from a shell::

    pip install it

.. code-block:: python
   :linenos:

   x = 3

.. code-block:: console

   $ ls

.. testcode::

   print(x)
"""


def test_blocks_of_restructured_text(tmp_path: Path) -> None:
    (section,) = find(RST, tmp_path, path="docs/use.rst")["docs"]
    assert [piece.source for piece in section.snippet.pieces] == ["import math\n", "math.sqrt(4)\n", "x = 3\n"]
    assert not find(RST, tmp_path, path="other/use.rst")["docs"]


@pytest.mark.parametrize("name", ENTRIES)
def test_contract_of_every_source(tmp_path: Path, name: str) -> None:
    everything = {"doctest": AWKWARD, "script": SCRIPT, "test": TESTS, "call": CALLS, "docs": PAGE}[name]
    path = {"test": "test_all.py", "docs": "README.md"}.get(name, "mod.py")
    found = find(everything, tmp_path, path=path)[name]
    assert name in KINDS
    assert found
    for candidate in found:
        assert candidate.snippet.kind == name
        assert candidate.snippet.path == path
        assert 1 <= candidate.snippet.line <= candidate.snippet.end_line
        assert candidate.source_hash
        assert bool(candidate.snippet.pieces) or candidate.drop
        assert Candidate.from_json(json.loads(json.dumps(candidate.to_json()))) == candidate
    assert found == find(everything, tmp_path, path=path)[name]


texts = st.text(max_size=30)
pieces = st.builds(
    Piece, source=texts, line=st.integers(1, 9), want=st.none() | texts, options=st.tuples() | st.just(("ELLIPSIS",))
)
snippets = st.builds(
    Snippet,
    kind=st.sampled_from(KINDS),
    name=texts,
    path=texts,
    line=st.integers(1, 9),
    end_line=st.integers(1, 9),
    pieces=st.lists(pieces, max_size=3).map(tuple),
    module=st.none() | texts,
    code=texts,
    opens=st.lists(texts, max_size=2).map(tuple),
    continue_on_error=st.booleans(),
).flatmap(
    lambda snippet: st.builds(replace, st.just(snippet), asks=st.lists(texts, max_size=len(snippet.pieces)).map(tuple))
)


drops = st.builds(Drop, reason=st.sampled_from([reason.value for reason in Reason]), evidence=texts)
priors = st.fixed_dictionaries({"prior": texts, "inputs": st.dictionaries(texts, st.lists(texts))})


@settings(max_examples=100, deadline=None)
@given(
    snippets.flatmap(
        lambda snippet: st.builds(
            Candidate,
            snippet=st.just(snippet),
            sys_path=st.lists(texts).map(tuple),
            source_hash=texts,
            drop=st.none() | drops if snippet.pieces else drops,
            prior=priors if snippet.asks else st.none() | priors,
        )
    )
)
def test_json_of_a_candidate_is_an_inverse_pair(candidate: Candidate) -> None:
    assert Candidate.from_json(json.loads(json.dumps(candidate.to_json()))) == candidate


def test_a_candidate_that_could_not_be_run_nor_counted_is_refused() -> None:
    snippet = Snippet(kind="call", name="m.f", path="m.py", line=1, end_line=1, pieces=())
    with pytest.raises(ValueError, match="with pieces"):
        Candidate(snippet=snippet, sys_path=(), source_hash="")
    asking = replace(snippet, pieces=(Piece(source="n\n", line=1),), asks=("n",))
    with pytest.raises(ValueError, match="say what they are drawn from"):
        Candidate(snippet=asking, sys_path=(), source_hash="")


@given(
    st.lists(st.sampled_from(["#", " ", "  ", "doctest:", "+SKIP", "+ELLIPSIS", "-SKIP", ",", "'", '"', "x", "\n... "]))
)
def test_directives_are_those_of_doctest(parts: list[str]) -> None:
    """But for one that goes on over a line end, which is none of a comment."""
    text = f">>> {''.join(parts)}\n1\n"
    assume(re.search(r"#\s*\n\s*(\.\.\. )?\s*doctest:|doctest:\s*\n", text) is None)
    answers = []
    for parser in (doctest.DocTestParser(), LinearParser()):
        try:
            answers.append([(e.source, e.want, e.options) for e in parser.get_examples(text)])
        except ValueError:
            answers.append(None)
    assert answers[0] == answers[1]
