"""The chances that each group of planned runs was given: rate, tokens, curriculum and number of tries, as text and
a table.

A claim that compares models, or denies something of one, is worth as much as these chances were alike and good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trace_mine.eval.claims import DOES_NOT_HOLD, Claim
from trace_mine.eval.plan import PlannedRun
from trace_mine.eval.rate_sweeps import choices, is_finished
from trace_mine.train import run_folder
from trace_mine.train.rate_choice import METRICS, ChosenRate
from trace_mine.train.settings import Settings, StageSettings

COLUMNS = ("runs", "learning rate", "loss by rate, on validation", "tokens", "curriculum", "tries")
"""Header of the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """The tries of a group that are finished: ``seeds`` runs, all at one rate with one curriculum.

    ``choice`` is what was tried before them to choose the rate, None where it is the recipe's; ``tokens`` are those of
    the run that had most; ``through`` of the runs came to the last stage of the curriculum.
    """

    group: str
    rate: float
    choice: ChosenRate | None
    tokens: int
    stages: tuple[StageSettings, ...]
    seeds: int
    through: int

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"expected a finished run of {self.group}, got none; train one")
        if not 0 <= self.through <= self.seeds:
            raise ValueError(
                f"expected 0 to {self.seeds} runs of {self.group} that came to the last stage, got {self.through}; "
                "count finished runs alone"
            )

    @property
    def rate_in_words(self) -> str:
        """The rate, and what it was chosen from."""
        if self.choice is None:
            return f"rate {self.rate:g} (the recipe's, no other was tried)"
        tried = [*self.choice["means"], *self.choice["left_out"]]
        edge = f", the {self.choice['at_edge']}" if self.choice["at_edge"] else ""
        return f"rate {self.rate:g} (best on validation of {' '.join(sorted(tried, key=float))}{edge})"

    @property
    def curriculum(self) -> str:
        """The sizes of sessions, and what ends each stage."""
        parts = []
        for number, stage in enumerate(self.stages):
            size = f"{'/'.join(map(str, stage.commands))} commands"
            if number < len(self.stages) - 1:
                size += f" until {stage.advance_at:g} right" if stage.advance_at else f" for {stage.steps} steps"
            parts.append(size)
        return ", ".join(parts)

    @property
    def num_tries(self) -> str:
        """How many runs there were, short ones at each rate and whole ones, and how many came to the last stage."""
        tried = 0 if self.choice is None else len(self.choice["means"]) + len(self.choice["left_out"])
        # a model that stays in an earlier stage has never met the sessions that it is measured on
        stayed = "" if self.through == self.seeds else f" ({self.through} of them came to the last stage)"
        return f"{tried} short, {self.seeds} whole{stayed}"

    def cells(self) -> tuple[str, ...]:
        """The group's line of the table."""
        losses = ""
        if self.choice is not None:
            losses = "; ".join(f"{rate}: {loss:.4f}" for rate, loss in self.choice["means"].items())
            losses += f" ({METRICS[self.choice['metric']]})"
        return self.group, self.rate_in_words, losses, f"{self.tokens:,}", self.curriculum, self.num_tries


def tries_of(plan: Sequence[PlannedRun], runs: Path) -> dict[str, Tries]:
    """Return group -> its tries, of the groups of the plan of which a run under ``runs`` is finished.

    Raises:
        ValueError: a folder holds a run of other settings than the plan's.
    """
    made = choices(runs, plan)
    tries: dict[str, Tries] = {}
    for run in plan:
        folder = runs / run.name
        if not is_finished(folder, run):
            continue
        settings, final = run_folder.settings_of(folder), run_folder.read_final(folder)
        before = tries.get(run.group)
        tries[run.group] = Tries(
            group=run.group,
            rate=settings.learning_rate,
            choice=made.get(run.group),
            tokens=max(final["tokens"], before.tokens if before else 0),
            stages=settings.stages,
            seeds=1 + (before.seeds if before else 0),
            through=came_to_last_stage(folder, settings) + (before.through if before else 0),
        )
    return tries


def came_to_last_stage(folder: Path, settings: Settings) -> bool:
    """Tell if a run's last step was one of its last stage, as its log has it."""
    lines: list[Mapping[str, object]] = [*run_folder.read_lines(folder / "metrics.jsonl")]
    return bool(lines) and lines[-1].get("stage") == len(settings.stages) - 1


def with_tries(claim: Claim, tries: Mapping[str, Tries]) -> Claim:
    """Add to a claim's evidence what its models were given, if it compares models or does not hold."""
    given = [tries[group] for group in claim.groups if group in tries]
    if not given or (len(claim.groups) < 2 and claim.verdict != DOES_NOT_HOLD):
        return claim
    return replace(claim, evidence=f"{claim.evidence} {sentence(given)}")


def sentence(given: Sequence[Tries]) -> str:
    """Say what models were given; what all of them had is said once.

    Of tokens those within a hundredth count as equal: a budget ends with the step that reaches it.
    """
    rates = "; ".join(f"{each.group}: {each.rate_in_words}, tries: {each.num_tries}" for each in given)
    most, least = (of(each.tokens for each in given) for of in (max, min))
    if most <= 1.01 * least and len({each.curriculum for each in given}) == 1:
        each_had = "Each had" if len(given) > 1 else "It had"
        return f"{each_had} {most / 1e6:.1f} M tokens, {given[0].curriculum}; {rates}."
    budgets = "; ".join(f"{each.group}: {each.tokens / 1e6:.1f} M tokens, {each.curriculum}" for each in given)
    return f"Not at one budget: {budgets}; {rates}."
