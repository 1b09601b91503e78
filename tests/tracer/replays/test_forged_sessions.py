"""A repository that changes what our recorder holds gets no false row; states that are false are in no row."""

from __future__ import annotations

import pytest

from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import Drop, Piece, Snippet, Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer, TracerConfig

FORGER = '''
import sys

def walk(change):
    frame = sys._getframe()
    while frame is not None:
        for name, value in list(frame.f_locals.items()):
            if type(value).__name__ == "SessionWriter":
                for command in value.commands:
                    change(command)
            elif name in ("failed", "differences", "differing") and hasattr(value, "clear"):
                value.clear()
        frame = frame.f_back

def forge(n):
    """Let the session say that ``x`` is 5.

    >>> x = 2 + 2
    >>> forge(x)
    >>> y = x
    """
    def change(command):
        if getattr(command, "source", None) in ("x", "n"):
            command.output = "5\\\\n"
        if type(getattr(command, "changes", None)) is dict:
            for name in command.changes:
                if name in ("x", "n"):
                    command.changes[name] = "5"
    walk(change)
'''


@pytest.fixture(scope="module")
def forging(tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    (repository / "forger.py").write_text(FORGER.replace("\\\\n", "\\n"))
    repository.chmod(0o755)
    try:
        made = Tracer(TracerConfig(repository=repository, sys_path=(".",), warm=("forger",)))
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    with made:
        yield made


def test_a_repository_that_changes_the_recorded_session_gets_no_false_row(forging):
    pieces = tuple(
        Piece(source=source, line=26 + index) for index, source in enumerate(("x = 2 + 2\n", "forge(x)\n", "y = x\n"))
    )
    snippet = Snippet(
        kind="doctest", name="forge", path="forger.py", line=20, end_line=30, pieces=pieces, module="forger"
    )
    made = forging.trace(snippet)
    if isinstance(made, Drop):
        assert made.reason in ("replay_mismatch", "result_differs", "path_differs", "integrity_suspect"), made
        return
    assert not any("5" in step.output for step in made.steps), made.text
    assert not [state for state in made.states if "5" in (state.get("x"), state.get("n"))]
    assert {"doc", "stock", "literal"} <= set(made.verification.printed)


CHANGES = {
    "text after a blank line": """
        if source == "x = 2 + 2":
            command.error = "\\n2 + 2 is 5"
""",
    "a comment in place of a reveal": """
        if source == "x":
            command.source, command.output = "# x", "5\\n"
""",
    "a stack that says it": """
        if source == "x = 2 + 2":
            command.error = "Traceback (most recent call last):\\n  2 + 2 is 5\\nValueError: no"
""",
    "a command within an output": """
        if source == "x":
            command.error = "4\\n>>> # 5\\n5"
""",
    "an output within a command": """
        if source == "x = 2 + 2":
            command.source = "x = 2 + 2 \\n\\n5"
""",
}
"""What a program changes each recorded command to, in its own process."""


@pytest.fixture(scope="module")
def forging_text(tmp_path_factory):
    """A repository with a function for each of CHANGES, ``forge_0`` and so on."""
    repository = tmp_path_factory.mktemp("repository")
    walk = FORGER[: FORGER.index("def forge(n)")]
    functions = [
        f"def forge_{index}(n):\n    def change(command):\n"
        f"        source = getattr(command, 'source', None){body}    walk(change)\n"
        for index, body in enumerate(each.replace("\\\\n", "\\n") for each in CHANGES.values())
    ]
    (repository / "texts.py").write_text(walk + "\n".join(functions))
    repository.chmod(0o755)
    try:
        made = Tracer(TracerConfig(repository=repository, sys_path=(".",), warm=("texts",)))
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    with made:
        yield made


def snippet_of(name: str) -> Snippet:
    sources = ("x = 2 + 2\n", f"{name}(x)\n", "y = x\n")
    pieces = tuple(Piece(source=source, line=20 + index) for index, source in enumerate(sources))
    return Snippet(kind="doctest", name=name, path="texts.py", line=20, end_line=30, pieces=pieces, module="texts")


@pytest.mark.parametrize("name", CHANGES)
def test_a_text_that_says_more_than_readers_compare_is_in_no_row(forging_text, name):
    snippet = snippet_of(f"forge_{list(CHANGES).index(name)}")
    dropped = forging_text.trace(snippet)
    assert isinstance(dropped, Drop), dropped.text
    assert dropped.reason == "replay_mismatch", dropped
    # lenient, the session is returned as it was written: the forger did reach it
    made = forging_text.trace(snippet, lenient=True)
    assert isinstance(made, Trace)
    assert "5" in made.text, made.text
    assert made.failed_checks["replay_mismatch"]
    assert made.verification.printed == ()


def test_the_lie_that_is_refused_is_told(forging):
    """What was forged is not shown, and the session without it holds."""
    pieces = (
        Piece(source="x = 2 + 2\n", line=26),
        Piece(source="forge(x)\n", line=27),
        Piece(source="y = x\n", line=28),
    )
    snippet = Snippet(
        kind="doctest", name="forge", path="forger.py", line=20, end_line=30, pieces=pieces, module="forger"
    )
    made = forging.trace(snippet)
    assert isinstance(made, Trace)
    assert not any("5" in step.output for step in made.steps), made.text
    assert made.kept_whole["replay_differs"] and not made.failed_checks


UNBOUND = """
def lookup(table, key):
    return table[key]
try:
    lookup({}, 'a')
except KeyError as error:
    print('missing', error)
"""


def test_a_name_that_a_raising_command_left_unbound_has_no_state(kit):
    with kit.PlainTracer(TracerConfig()) as tracer:
        made = tracer.trace(script_snippet(UNBOUND, "a.py", ()))
    assert isinstance(made, Trace), made
    assert "returned_1 = " in made.text
    assert not any("returned_1" in state for state in made.states)


def test_how_much_of_the_states_is_verified(kit):
    source = "x = [1, 'a']\nclass C:\n    pass\nc = C()\ns = {'a', 'b'}\nd = {1: {2: (3.5, None)}}\n"
    with kit.PlainTracer(TracerConfig()) as tracer:
        made = tracer.trace(script_snippet(source, "a.py", ()))
    assert isinstance(made, Trace), made
    assert made.verification.printed[:2] == ("doc", "stock") or "fresh" in made.verification.printed
    # of x, c, s and d the text of c alone is no literal
    assert (made.verification.states_verified, made.verification.states_total) == (3, 4)
