"""The runs whose answers the ladder compares: five models, with and without games, equal budgets, three seeds.

All runs have the recipe ``mined`` and as many steps of as many rows. What differs is the mixer, and which of the
benchmark's training rows they see.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trace_mine.eval.plan import PlannedRun

MODELS: dict[str, tuple[str, dict[str, str]]] = {
    # no MLP in the LSTM: its gates are as large as another model's mixer and MLP together
    "lstm": ("lstm", {"model.intermediate_size": "0"}),
    "delta": ("delta_net", {"model.allow_neg_eigval": "true"}),
    "gated": ("gated_delta_net", {"model.allow_neg_eigval": "true", "model.head_dim": "32"}),
    "product": (
        "delta_product",
        {"model.allow_neg_eigval": "true", "model.head_dim": "32", "model.num_householder": "2"},
    ),
    "transformer": ("transformer", {}),
}
"""Short name, which begins a run's name -> model of the registry and the keys that the recipe's own have not."""

TRAINED_ON: dict[str, tuple[str, ...]] = {
    "both": ("games", "seen"),
    "edited": ("seen",),
    "games": ("games",),
}
"""Name of a choice of training data, which ends a group's name -> the rungs whose training rows it has."""

SEEDS = 3
SHARED = {
    "model.hidden_size": "128",
    "model.num_hidden_layers": "2",
    "model.num_heads": "4",
    "max_steps": "160",
    "batch_size": "12",
    "max_length": "768",
    # a revealed value is one token of ten, and all that is asked
    "reveal_weight": "3",
    "evaluate_every": "0",
    "evaluate_rows": "16",
    "threads": "1",
}
EXPECTED = 200.0
"""Seconds of a run on one core, for the first that is begun; later ones are expected by what was measured."""


def planned_runs(benchmark: Path, models: Sequence[str], trained_on: Sequence[str], seeds: int) -> list[PlannedRun]:
    """Give the runs in the order in which they are trained: one choice of data after the other, seed after seed.

    Raises:
        ValueError: a model or a choice of data is unknown, or the benchmark lacks rows that it needs.
    """
    for given, known in ((models, MODELS), (trained_on, TRAINED_ON)):
        for name in given:
            if name not in known:
                raise ValueError(f"expected names among {', '.join(known)}, got {name!r}")
    folders = {rung: benchmark.resolve() / "rows" / rung for name in trained_on for rung in TRAINED_ON[name]}
    for rung, folder in folders.items():
        if not (folder / "stats.json").is_file():
            raise ValueError(f"expected rows of {rung} in {folder}, got none; run trace-eval real-beliefs make first")
    runs: list[PlannedRun] = []
    for data in trained_on:
        dataset = ",".join(str(folders[rung]) for rung in TRAINED_ON[data])
        for seed in range(seeds):
            for name in models:
                model, keys = MODELS[name]
                runs.append(
                    PlannedRun(
                        group=f"{name}-{data}",
                        seed=seed,
                        recipe="mined",
                        model=model,
                        overrides={**SHARED, **keys, "dataset": dataset},
                        expected=EXPECTED,
                    )
                )
    return runs
