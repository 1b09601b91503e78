"""Every sample program, through all three checks, against its golden session, under every interpreter at hand."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from trace_mine.tracer.formats import repl
from trace_mine.tracer.schema import ROLES, Drop, Piece, Snippet

SAMPLES = sorted((Path(__file__).parent.parent / "samples").glob("*.py"))
FLAT_REASONS = ("closed", "result_differs", "path_differs", "replay_differs", "unstable", "replay_mismatch")


def options(source: str) -> dict[str, int]:
    """``# follow=2 commands=30`` on the first line."""
    first = source.split("\n", 1)[0]
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", first)} if first.startswith("# ") else {}


@pytest.fixture(scope="module")
def trace_with(kit, interpreter):
    """Traces a snippet under the interpreter; one pair of workers, whatever the options."""
    with kit.PlainTracer(kit.TracerConfig(python=interpreter)) as tracer:

        def trace(source, name):
            chosen = options(source)
            tracer.config = kit.TracerConfig(
                follow=chosen.get("follow", 1),
                comprehensions=bool(chosen.get("comprehensions")),
                limits=kit.Limits(commands=chosen.get("commands", 400)),
            )
            return tracer.trace(kit.script(source, name))

        yield trace


def golden(trace) -> str:
    kept = " ".join(f"{reason}={count}" for reason, count in sorted(trace.kept_whole.items()))
    return (
        f"# opened={trace.opened_calls} kept: {kept or 'nothing'}; {trace.outcome} {trace.exception or ''}".rstrip()
        + ("\n" + trace.text)
    )


@pytest.mark.parametrize("path", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_sample_is_faithful_and_reads_as_it_should(trace_with, path, kit, update_golden):
    trace = trace_with(path.read_text(encoding="utf-8"), path.stem)
    assert not isinstance(trace, Drop), trace
    assert trace.failed_checks == {}
    # the last resort, every statement whole, passes the checks too, and would hide a construct that broke
    assert not set(FLAT_REASONS) & set(trace.kept_whole), trace.kept_whole
    check_text(trace)
    expected = kit.golden / f"{path.stem}.txt"
    if update_golden:
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(golden(trace), encoding="utf-8")
    assert golden(trace) == expected.read_text(encoding="utf-8"), "read the difference; then --update-golden"


def check_text(trace) -> None:
    """Rendering and parsing are inverse; segments partition the text; states carry what was written."""
    assert repl.parse(trace.text) == [(step.source, step.output) for step in trace.steps]
    position = 0
    for segment in trace.segments:
        assert segment.start == position and segment.end > segment.start and segment.role in ROLES
        position = segment.end
    assert position == len(trace.text)
    joined = "".join(trace.text[s.start : s.end] for s in trace.segments if s.role in ("value", "error"))
    assert joined == "".join(step.output + "\n" for step in trace.steps if step.output)
    for before, step in zip(trace.steps, trace.steps[1:], strict=False):
        changed = {name for name in step.state if before.state.get(name) != step.state[name]}
        assert changed <= set(step.wrote), (step.source, changed, step.wrote)


def test_every_golden_has_its_sample(kit):
    names = {path.stem for path in kit.golden.glob("*.txt")}
    assert names == {path.stem for path in SAMPLES} | {"shop"}


@pytest.fixture
def shop(kit, interpreter):
    config = kit.TracerConfig(python=interpreter, repository=kit.samples, sys_path=(".",))
    with kit.PlainTracer(config) as tracer:
        yield tracer


def examples(*sources: str) -> Snippet:
    return Snippet(
        kind="doctest",
        name="shop.prices.total",
        path="shop/prices.py",
        line=14,
        end_line=20,
        module="shop.prices",
        continue_on_error=True,
        pieces=tuple(Piece(source=source + "\n", line=14 + i) for i, source in enumerate(sources)),
    )


def test_package_with_relative_imports(shop, kit, update_golden):
    trace = shop.trace(
        examples("total([100, 50])", "total([10], 'book')", "sum(running([1, 2, 3]))", "total(['x'])", "calls")
    )
    assert not isinstance(trace, Drop), trace
    assert not set(FLAT_REASONS) & set(trace.kept_whole), trace.kept_whole
    check_text(trace)
    expected = kit.golden / "shop.txt"
    if update_golden:
        expected.write_text(golden(trace), encoding="utf-8")
    assert golden(trace) == expected.read_text(encoding="utf-8")


def test_examples_show_their_promised_echo(shop):
    passing = dataclasses.replace(examples(), pieces=(Piece(source="total([100, 50])\n", line=14, want="165\n"),))
    assert shop.trace(passing).doctest_passed
    failing = dataclasses.replace(passing, pieces=(Piece(source="total([100, 50])\n", line=14, want="166\n"),))
    assert shop.trace(failing).doctest_passed is False
