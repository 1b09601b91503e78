"""Tiny finished runs, trained once for all tests of this folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trace_mine.eval.subjects import Subject, subject
from trace_mine.train.recipes import recipe
from trace_mine.train.running import train
from trace_mine.train.settings import override

torch.set_num_threads(1)
TINY = ("max_steps=6", "batch_size=8", "evaluate_rows=4", "evaluate_every=0", "warmup=2")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Trains a few steps of a recipe; the same arguments give the same folder."""
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
    return lambda *arguments: subject(tiny_run(*arguments))
