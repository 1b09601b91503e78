"""What the figures need trained: runs in order of importance, so that any budget gives whole seeds.

One list serves every budget on CPU: a longer one goes further down it. ``expected`` is seconds on one core, measured
with two processes on two cores; it only decides what is still begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trace_mine.train.recipes import recipe
from trace_mine.train.settings import Settings, override

LSTM_STAGES = (
    "[{steps: 400, commands: [1, 2, 4], spacings: [1, 2]}, {steps: 400, commands: [4, 8, 16], spacings: [1, 2, 4]},"
    " {steps: 550, commands: [16, 32], spacings: [1, 2, 4, 8]}]"
)
"""What an LSTM needs to learn swaps at all: it stays at chance on the stages that suffice for DeltaNet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One run: ``group`` is what figures ask for (runs of a group differ in seeds alone)."""

    group: str
    seed: int
    recipe: str
    model: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    expected: float

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{self.group}-s{self.seed}"

    def assignments(self) -> list[str]:
        """What ``--set`` is given."""
        seeds = [f"seed={self.seed}", f"data_seed={self.seed}"]
        return [f"{key}={value}" for key, value in self.overrides.items()] + seeds

    def settings(self) -> Settings:
        """The settings that its run has."""
        return override(recipe(self.recipe, self.model or None), self.assignments())


Kind = tuple[str, str, str, dict[str, Any], float]

TRACKING: tuple[Kind, ...] = (
    ("swaps-delta", "contrast", "delta_net", {}, 170),
    ("swaps-delta01", "contrast", "delta_net", {"model.allow_neg_eigval": "false"}, 170),
)
BELIEFS: tuple[Kind, ...] = tuple(
    (f"belief-{short}", "belief", model, {}, seconds)
    for short, model, seconds in (
        ("delta", "delta_net", 45.0),
        ("gated", "gated_delta_net", 55.0),
        ("lstm", "lstm", 30.0),
    )
)
STICKY: tuple[Kind, ...] = tuple(
    (group.replace("belief", "sticky"), name, model, {**overrides, "task.sticky": "0.9"}, seconds)
    for group, name, model, overrides, seconds in BELIEFS
)
OTHERS: tuple[Kind, ...] = (
    ("swaps-transformer", "contrast", "transformer", {}, 220),
    ("swaps-lstm", "contrast", "lstm", {"model.hidden_size": "128", "stages": LSTM_STAGES}, 260),
    ("belief-product", "belief", "delta_product", {}, 90),
    ("belief-transformer", "belief", "transformer", {}, 130),
)
PAPER: tuple[Kind, ...] = (
    ("paper-delta", "paper-s5", "", {}, 900),
    ("paper-delta01", "paper-s5", "", {"model.allow_neg_eigval": "false"}, 900),
    ("paper-transformer", "paper-s5", "transformer", {"model.num_hidden_layers": "18"}, 900),
)


def planned(seeds: int = 3, *, gpu: bool = False) -> list[PlannedRun]:
    """The runs in the order in which they are trained: first the cheap ones, all seeds, so that a short budget has a
    verdict to give; then the rest, seed after seed.
    """
    rest = (*TRACKING, *STICKY, *OTHERS, *(PAPER if gpu else ()))
    order = [(kind, seed) for kinds in (BELIEFS, rest) for seed in range(seeds) for kind in kinds]
    return [
        PlannedRun(group=group, seed=seed, recipe=name, model=model, overrides=overrides, expected=seconds)
        for (group, name, model, overrides, seconds), seed in order
    ]
