"""Programs that use the library run, with small sizes, from another folder, and print what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = {
    "quickstart": ([], "result = 9"),
    "shell_game_beliefs": ([], "it could have shown: 0.333 ball, 0.667 empty"),
    "mine_and_load": (["module:fractions", "--limit", "2"], "train: 2 sessions"),
    "task_to_tokens": ([], "4 sessions of"),
    "train_and_load": (["--steps", "2"], "the model expected"),
    "use_a_run": (["run", "--tokens", "2"], "[here it goes on]"),
    "score_and_tune_a_run": (["run", "--steps", "1"], "accuracy "),
}
"""Each example with its arguments and something that it prints."""


def test_every_example_is_tested():
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == set(EXAMPLES)


NEEDS = {
    "task_to_tokens": ("transformers",),
    "train_and_load": ("torch", "transformers"),
    "use_a_run": ("torch", "transformers"),
    "score_and_tune_a_run": ("torch", "transformers", "matplotlib"),
}
"""What examples import that only an extra installs."""


SLOW = ("train_and_load", "mine_and_load")
"""The examples of the docstrings of ``mine`` and ``load`` are run by test_public_interface.py."""


def make_run(folder: Path) -> None:
    """A run of one step."""
    from trace_mine.train.recipes import recipe
    from trace_mine.train.running import train
    from trace_mine.train.settings import override

    train(override(recipe("quick"), ["max_steps=1", "evaluate_rows=2", "batch_size=2", "evaluate_at=[1]"]), folder)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in EXAMPLES]
)
def test_the_example_runs(name, tmp_path):
    arguments, printed = EXAMPLES[name]
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package, reason="needs the extra [train]")
    if name in ("use_a_run", "score_and_tune_a_run"):
        make_run(tmp_path / "run")
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py", *arguments],
        cwd=tmp_path,
        # transformers keeps a copy of a folder's code in its home
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_MODULES_CACHE": str(tmp_path / "modules")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout
