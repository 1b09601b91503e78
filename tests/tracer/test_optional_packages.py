"""A package that a script asks for and can do without is no failure of the sandbox."""

from __future__ import annotations

import pytest

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.denials import denial_of_script
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer


@pytest.mark.parametrize(
    ("handler", "kinds"),
    [
        ("except ImportError:\n    fast = None\n", []),
        ("except ImportError as error:\n    print(error)\n", ["package"]),
        ("finally:\n    fast = None\n", ["package"]),
    ],
)
def test_a_package_that_the_script_can_do_without_closes_nothing(handler: str, kinds: list[str]) -> None:
    """``try: import fast`` with a handler is how scripts ask for what they need not have: all else is opened."""
    text = (
        f"try:\n    import fast_and_missing\n{handler}def double(x):\n    y = x + x\n    return y\nprint(double(3))\n"
    )
    snippet = script_snippet(text, "script.py", ())
    with Tracer(TracerConfig()) as tracer:
        result = tracer.trace(snippet)
    assert isinstance(result, Trace) is (not kinds), result
    if isinstance(result, Trace):
        assert ">>> y = x + x\n" in result.text
        assert denial_of_script(result.text, result.steps, is_ok=True) is None
    else:
        assert result.reason == "sandbox_denied"
