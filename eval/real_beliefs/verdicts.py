"""Claims about the ladder, with thresholds that were written down before any of its runs was trained.

Each claim is judged seed by seed (``trace_mine.eval.claims``). KL is ``KL among outcomes`` over all questions of a
rung, in nats; "alike" is the guess that all outcomes are as likely. A threshold that changes makes another claim: the
history of this file says which stood when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import mean

from trace_mine.eval.claims import Claim, by_seeds
from trace_mine.eval.real_beliefs.plan import MODELS
from trace_mine.eval.real_beliefs.scoring import MEMORY, MEMORY_EDGES
from trace_mine.eval.results import Result

KL = "KL among outcomes"
PAPER = "not in the paper"
HALF, NINE_TENTHS = 0.5, 0.9
"""Shares of the KL of "outcomes alike" that a claim asks a model to be below."""
CLEAR = 0.02
"""Nats that count as a difference."""
NEAR, FAR = MEMORY_EDGES[1], MEMORY_EDGES[3]
"""Bins of memory that claims compare: one command, and 5 to 16."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Results of a scored benchmark, by what claims ask for.

    Attributes:
        runs: KL by (model, training data, rung, seed), in the words of ``plan``.
        known: KL by (baseline, rung).
        runs_at: KL over the questions that need so much memory alone, by (the key of ``runs``, lower edge of the bin).
        known_at: the same of baselines.
    """

    runs: dict[tuple[str, str, str, int], float]
    known: dict[tuple[str, str], float]
    runs_at: dict[tuple[tuple[str, str, str, int], int], float] = field(default_factory=dict)
    known_at: dict[tuple[tuple[str, str], int], float] = field(default_factory=dict)

    @classmethod
    def of(cls, results: Iterable[Result]) -> Ladder:
        """Take the KL over all questions of each rung, and by memory. Runs that are not of the plan are left out."""
        ladder = cls({}, {})
        for each in results:
            is_whole, by_memory = not each.place, each.place.startswith(f"{MEMORY} from")
            if each.metric != KL or not (is_whole or by_memory):
                continue
            rung = each.task.removeprefix("real-beliefs ")
            if not each.run:
                name = each.model, rung
                if is_whole:
                    ladder.known[name] = each.value
                else:
                    ladder.known_at[name, int(each.at)] = each.value
            model, _, rest = each.run.partition("-")
            data, _, seed = rest.partition("-s")
            if model in MODELS and seed.isdecimal():
                key = model, data, rung, int(seed)
                if is_whole:
                    ladder.runs[key] = each.value
                else:
                    ladder.runs_at[key, int(each.at)] = each.value
        return ladder

    def seeds(self, models: Sequence[str], data: Sequence[str], rungs: Sequence[str]) -> list[int]:
        """Seeds for which every one of these was scored."""
        named = {seed for *_, seed in self.runs}
        return sorted(
            seed
            for seed in named
            if all((m, d, r, seed) in self.runs for m in models for d in data for r in rungs)
            and all(("outcomes alike", r) in self.known for r in rungs)
        )


def claims_of(ladder: Ladder) -> list[Claim]:
    """Judge all claims; "can't tell" where runs, rungs or seeds are missing."""
    every = [*MODELS]

    def below(models: Sequence[str], rung: str, share: float, text: str) -> Claim:
        """All these models' KL, trained on both, is below a share of the guess's."""
        seeds = ladder.seeds(models, ["both"], [rung])
        bound = share * ladder.known.get(("outcomes alike", rung), 0.0)
        worst = [max(ladder.runs[m, "both", rung, seed] for m in models) for seed in seeds]
        evidence = f"Worst of {', '.join(models)} by seed: {_numbers(worst)}; bound {bound:.3f}."
        return by_seeds(text, PAPER, [bound - each for each in worst], evidence)

    def over(
        models: Sequence[str], data: Sequence[str], rungs: Sequence[str], text: str, margin: Callable[[int], float]
    ) -> Claim:
        margins = [margin(seed) for seed in ladder.seeds(models, data, rungs)]
        margins = [each for each in margins if each == each]  # a seed that lacks a number decides nothing
        return by_seeds(text, PAPER, margins, f"Margins by seed: {_numbers(margins)}.")

    def average(data: str, rung: str, seed: int) -> float:
        return mean(ladder.runs[m, data, rung, seed] for m in every)

    def cost_of_memory(rung: str, seed: int) -> float:
        """KL where 5 to 16 commands must be remembered, less that where one must and CLEAR; nan: no such question."""
        none = float("nan")
        far, near = ([ladder.runs_at.get(((m, "both", rung, seed), edge), none) for m in every] for edge in (FAR, NEAR))
        return mean(far) - mean(near) - CLEAR

    def left(rung: str, seed: int) -> float:
        """The share of the guess's KL that models trained on both leave, on average."""
        return average("both", rung, seed) / ladder.known["outcomes alike", rung]

    short = "Trained on games and edited programs, "
    made = [
        below(["lstm", "gated"], "games", HALF, f"{short}LSTM and gated have less than half of alike's KL on games"),
        *(
            below(every, rung, NINE_TENTHS, f"{short}every model has less than .9 of alike's KL {where}")
            for rung, where in (
                ("seen", "on other functions of the same repositories"),
                ("unseen", "on edited functions of unseen repositories"),
                ("skip", "on these under the view `skip`, which it never saw"),
                ("inverse", "on hidden arguments, which it was never asked for"),
                ("draws", "on programs that draw by themselves"),
            )
        ),
        over(
            every,
            ["both"],
            ["games", "seen", "unseen", "draws"],
            "The share of alike's KL that is left grows along the ladder: games, seen, unseen, draws (mean of models)",
            lambda seed: min(
                left(far, seed) - left(near, seed)
                for near, far in (("games", "seen"), ("seen", "unseen"), ("unseen", "draws"))
            ),
        ),
        over(
            every,
            ["both", "edited"],
            ["unseen"],
            f"Games help on unseen repositories: KL is more than {CLEAR} lower than without them (mean of models)",
            lambda seed: average("edited", "unseen", seed) - average("both", "unseen", seed) - CLEAR,
        ),
        over(
            ["gated", "transformer"],
            ["both"],
            ["games"],
            f"Gated [-1, 1] is more than {CLEAR} below the Transformer on games",
            lambda seed: (
                ladder.runs["transformer", "both", "games", seed] - ladder.runs["gated", "both", "games", seed] - CLEAR
            ),
        ),
        over(
            every,
            ["both"],
            ["unseen"],
            "No model comes to the exact filter that remembers one command, on unseen repositories",
            # without the filter's number no seed shows it
            lambda seed: (
                min(ladder.runs[m, "both", "unseen", seed] for m in every)
                - ladder.known.get(("filter of 1 commands", "unseen"), float("inf"))
            ),
        ),
        *(
            over(
                every,
                ["both"],
                [rung],
                f"What was shown long ago is lost: on {rung}, KL is more than {CLEAR} higher where five to sixteen "
                "commands must be remembered than where one must (mean of models)",
                partial(cost_of_memory, rung),
            )
            for rung in ("games", "unseen")
        ),
    ]
    return made


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
