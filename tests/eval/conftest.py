"""Tiny finished runs, trained once for all tests of this folder.

What an extra installs is imported by the fixtures: where it is missing, the tests' own imports say so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from trace_mine.eval.subjects import Subject

TINY = ("max_steps=6", "batch_size=8", "evaluate_rows=4", "evaluate_every=0", "warmup=2")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """One thread of torch, since the suite runs in several processes."""
    torch = pytest.importorskip("torch", reason="needs the extra [eval]")
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trains a few steps of a recipe; the same arguments give the same folder."""
    from trace_mine.train.recipes import recipe
    from trace_mine.train.running import train
    from trace_mine.train.settings import override

    root = tmp_path_factory.mktemp("runs")

    def make(name: str, model: str | None = None, *more: str) -> Path:
        folder = root / "-".join([name, model or "own", *(part.replace("/", "_") for part in more)])
        if not folder.exists():
            train(override(recipe(name, model), [*TINY, *more]), folder)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_subject(tiny_run: Callable[..., Path]) -> Callable[..., Subject]:
    """Opens such a run."""
    from trace_mine.eval.subjects import subject

    return lambda *arguments: subject(tiny_run(*arguments))
