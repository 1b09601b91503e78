"""How often a session is replayed: under further hash seeds, and with other seeds of ``random``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trace_mine.tracer import replay_check
from trace_mine.tracer.replay_check import RESEEDS
from trace_mine.tracer.replays.registry import READERS
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.session import Tracer, TracerConfig


@pytest.fixture(scope="module")
def tracer():
    try:
        made = Tracer(TracerConfig())
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    yield made
    made.close()


def readings(tracer, snippet, monkeypatch) -> list[tuple[int, int]]:
    """The hash seed and the seed of ``random`` of each reading by ``doc`` of the session that held, in their order."""
    done: list[tuple[int, int]] = []
    doc = READERS["doc"]

    def read(worker, session, reseed):
        if not reseed:
            done.clear()  # the session was written again
        done.append((worker.jail.hash_seed, reseed))
        return doc.read(worker, session, reseed)

    monkeypatch.setattr(replay_check, "READERS", {**READERS, "doc": replace(doc, read=read)})
    trace = tracer.trace(snippet)
    assert isinstance(trace, Trace), trace
    return done


TWO = "class Held:\n    def __init__(self, words):\n        self.words = tuple(words)\nheld = Held({'a', 'b'})\n"
THREE = TWO.replace("'b'", "'b', 'c'")


@pytest.mark.parametrize(
    ("source", "orders", "seeds"),
    [
        pytest.param("x = 1\n", 1, (0,), id="once where nothing differs"),
        pytest.param("x = len({'a', 'b'})\n", 5, (0, *RESEEDS), id="a set of two"),
        # the values differ, too, for which each of the seeds is taken once and not once more
        pytest.param(TWO, 5, (0, *RESEEDS), id="an order that a value keeps"),
        pytest.param(THREE, 2, (0, *RESEEDS), id="an order of three"),
    ],
)
def test_a_reading_under_another_hash_seed_is_one_with_another_seed_of_random(
    tracer, kit, monkeypatch, source, orders, seeds
):
    done = readings(tracer, kit.script(source), monkeypatch)
    assert tuple(seed for _, seed in done) == seeds
    assert len({hash_seed for hash_seed, _ in done}) == orders
