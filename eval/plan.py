"""The runs that figures need, in order of importance, so that any budget trains all seeds of what it trains.

One list serves every budget on CPU: a longer budget goes further down the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from trace_mine.train.recipes import recipe
from trace_mine.train.settings import Settings, override

RATES = ("0.001", "0.003", "0.01")
"""Learning rates that each model of the plan for a CPU is tried at before its seeds are trained (``rate_sweeps``)."""

SWAPS = {
    "max_tokens": "9400000",
    # a model goes on to longer sessions when it is accurate, however long that takes it
    "stages": "[{steps: 120, commands: [1, 2, 4], spacings: [1, 2], advance_at: 0.95},"
    " {steps: 120, commands: [4, 8, 16], spacings: [1, 2, 4], advance_at: 0.95},"
    " {steps: 240, commands: [16, 32], spacings: [1, 2, 4, 8]}]",
}
"""Tokens and curriculum of all models that learn swaps: about the tokens of 480 steps of ``contrast``."""

BELIEF = {
    "max_tokens": "1900000",
    "stages": "[{steps: 80, commands: [4, 8, 16], spacings: [1, 2]}, {steps: 60, commands: [8, 16, 32], spacings: [2]},"
    " {steps: 240, commands: [48], spacings: [2]}]",
}
"""Tokens and curriculum of all models that learn beliefs: those of 380 steps of ``belief``.

By steps: where outcomes are hidden nobody knows which accuracy is enough.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One run of the plan. Figures ask for a ``group``, whose runs differ in their seeds alone.

    ``recipe``, ``model`` (empty: the recipe's own) and ``overrides`` (setting -> value, as ``--set`` takes them) say
    what is trained. ``expected`` are seconds on one core, measured with two processes on two cores; they only decide
    which runs are still begun. ``rates`` are learning rates of which one is to be chosen before the group's runs are
    trained (``rate_sweeps``); without any, that of recipe and overrides is taken.
    """

    group: str
    seed: int
    recipe: str
    model: str = ""
    overrides: Mapping[str, str] = field(default_factory=dict)
    expected: float
    rates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.rates) == 1 or len(set(map(float, self.rates))) != len(self.rates):
            raise ValueError(f"expected several learning rates for {self.name}, each once, or none, got {self.rates}")
        if self.expected <= 0:
            raise ValueError(f"expected a positive number of seconds for {self.name}, got {self.expected}; measure it")

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return f"{self.group}-s{self.seed}"

    def assignments(self) -> list[str]:
        """The overrides and the seeds as the assignments that ``--set`` takes."""
        # both seeds: runs of one data seed would agree on the lessons of their common data, not on the model
        seeds = [f"seed={self.seed}", f"data_seed={self.seed}"]
        return [f"{key}={value}" for key, value in self.overrides.items()] + seeds

    def at_rate(self, rate: str) -> PlannedRun:
        """The run at one of its rates."""
        return replace(self, rates=(), overrides={**self.overrides, "learning_rate": rate})

    def settings(self) -> Settings:
        """The settings of the run, by which a finished folder is known to be this run; of its rates none is taken."""
        return override(recipe(self.recipe, self.model or None), self.assignments())


Kind = tuple[str, str, str, dict[str, str], float]
"""(group, recipe, model, overrides, expected seconds)."""

# The two eigenvalue ranges of the same model: the paper's central comparison, and two figures need nothing else.
TRACKING: tuple[Kind, ...] = (
    ("swaps-delta", "contrast", "delta_net", SWAPS, 100),
    ("swaps-delta01", "contrast", "delta_net", {**SWAPS, "model.allow_neg_eigval": "false"}, 100),
)
# Under a minute each, and most figures of beliefs draw from them.
BELIEFS: tuple[Kind, ...] = tuple(
    (f"belief-{short}", "belief", model, BELIEF, seconds)
    for short, model, seconds in (
        ("delta", "delta_net", 35.0),
        ("gated", "gated_delta_net", 55.0),
        ("lstm", "lstm", 25.0),
    )
)
# The same models on streams whose commands and questions repeat (with .9), so that facts stay true for long: there
# forgetting costs something, where on uniform streams it looks like a cure.
STICKY: tuple[Kind, ...] = tuple(
    (group.replace("belief", "sticky"), name, model, {**overrides, "task.sticky": "0.9"}, seconds)
    for group, name, model, overrides, seconds in BELIEFS
)
# Slow ones, of which no figure needs all.
OTHERS: tuple[Kind, ...] = (
    ("swaps-transformer", "contrast", "transformer", SWAPS, 220),
    ("swaps-lstm", "contrast", "lstm", {**SWAPS, "model.hidden_size": "128"}, 180),
    ("belief-product", "belief", "delta_product", BELIEF, 90),
    ("belief-transformer", "belief", "transformer", BELIEF, 80),
)
# The Transformer whose positions can track state, a control of the other one's; the slowest of all.
CONTROLS: tuple[Kind, ...] = (("swaps-path", "contrast", "path_attention", SWAPS, 400),)
# The paper's sizes, for a GPU of 80 GB: six rows of the longest sessions take 44 GiB there (docs/log.md).
PAPER: tuple[Kind, ...] = (
    ("paper-delta", "paper-s5", "", {}, 900),
    ("paper-delta01", "paper-s5", "", {"model.allow_neg_eigval": "false"}, 900),
    ("paper-transformer", "paper-s5", "transformer", {"model.num_hidden_layers": "18"}, 900),
)


def planned(seeds: int = 3, *, gpu: bool = False) -> list[PlannedRun]:
    """Give the runs in the order in which they are trained.

    First come all seeds of the cheapest runs, so that a short budget reaches three seeds, hence a verdict, somewhere.
    Then the others follow, seed after seed. ``gpu`` adds the paper's configuration, at the paper's rate.
    """
    rest = (*TRACKING, *STICKY, *OTHERS, *(PAPER if gpu else ()))
    order = [(kind, seed) for kinds in (BELIEFS, rest, CONTROLS) for seed in range(seeds) for kind in kinds]
    return [
        PlannedRun(
            group=group,
            seed=seed,
            recipe=name,
            model=model,
            overrides=overrides,
            expected=seconds,
            rates=() if name == "paper-s5" else RATES,
        )
        for (group, name, model, overrides, seconds), seed in order
    ]
