"""Which stage a step belongs to, where stages end after a number of steps or once the model is accurate enough.

The size of a step's sessions is a function of the settings, the step and the ends of stages so far. These ends are a
part of a checkpoint, so that a resumed run goes on as the uninterrupted one would.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from trace_mine.train.settings import Settings, StageSettings


class CurriculumState(TypedDict):
    """The part of a curriculum that follows from accuracies, as ``counts.json`` has it.

    ``ends`` are the first steps after each stage that ended by accuracy, in order; ``recent`` the hits and tokens of
    the latest steps that count.
    """

    ends: list[int]
    recent: list[list[float]]


class Curriculum:
    """The stages of a run on a task.

    Attributes:
        stages: see ``StageSettings``.
        seed: of the draws of sizes.
    """

    def __init__(self, settings: Settings) -> None:
        self.stages, self.seed = settings.stages, settings.data_seed
        self._ends: list[int] = []
        self._recent: list[list[float]] = []

    @property
    def by_accuracy(self) -> bool:
        """True if a stage before the last ends by accuracy: only then ``record`` changes anything."""
        return any(stage.advance_at for stage in self.stages[:-1])

    def stage_at(self, step: int) -> int:
        """Return the number of the stage that optimiser step ``step`` (from 0) belongs to, as far as is known now.

        Steps beyond all stages belong to the last.
        """
        ends = iter(self._ends)
        start = 0
        for number, stage in enumerate(self.stages[:-1]):
            end = next(ends, None) if stage.advance_at else start + stage.steps
            if end is None or step < end:
                return number
            start = end
        return len(self.stages) - 1

    def draw(self, step: int) -> tuple[int, int, int]:
        """Draw a step's size, as (stage whose size it is, commands, spacing). A step has one whenever it is asked."""
        number = self.stage_at(step)
        generator = step_generator(self.seed, step)
        # Nothing is drawn where no earlier stage takes part: the runs of older versions go on with the sizes they had.
        if number and self.stages[number].earlier and generator.random() < self.stages[number].earlier:
            number = int(generator.integers(number))
        return number, *size_of(self.stages[number], generator)

    def record(self, step: int, hits: float, tokens: float) -> str:
        """Take in how many of a step's reveal tokens were right, over all processes, before the next step's rows.

        If that ends the step's stage, the next one begins at step + 2: the rows of step + 1 may be made already.

        Returns:
            A sentence on the stage that ended, "" if none did.
        """
        number = self.stage_at(step)
        stage = self.stages[number]
        if number == len(self.stages) - 1 or not stage.advance_at or self.draw(step)[0] != number:
            return ""
        if self.stage_at(step + 1) != number:  # its end was found at the step before
            return ""
        self._recent = [*self._recent, [hits, tokens]][-stage.advance_over :]
        right, total = np.sum(self._recent, axis=0)
        if len(self._recent) < stage.advance_over or right < stage.advance_at * total:
            return ""
        self._ends.append(step + 2)
        self._recent = []
        return (
            f"stage {number + 1} of {len(self.stages)} ended at step {step + 1}: {right / total:.4f} of the reveals' "
            f"tokens were right in its last {stage.advance_over} steps"
        )

    def state(self) -> CurriculumState:
        """Return what a checkpoint keeps."""
        return {"ends": [*self._ends], "recent": [[*each] for each in self._recent]}

    def restore(self, state: CurriculumState) -> None:
        """Go on from a checkpoint's state."""
        self._ends = [*state["ends"]]
        self._recent = [[*each] for each in state["recent"]]


def size_of(stage: StageSettings, generator: np.random.Generator) -> tuple[int, int]:
    """Draw (commands, spacing) from a stage's.

    A stage of (8, 16) commands may have spacing 16: sessions of 8 then take the others, or one reveal at the end.
    """
    commands = int(generator.choice(stage.commands))
    spacings = [spacing for spacing in stage.spacings if spacing <= commands] or [commands]
    return commands, int(generator.choice(spacings))


def step_generator(seed: int, counter: int) -> np.random.Generator:
    """Return the random generator of step or epoch ``counter``.

    Philox, because its key makes independent streams from any two integers, without any draw before: a resumed run
    gets a step's generator without those of the steps before it.
    """
    return np.random.Generator(np.random.Philox(key=[seed, counter]))
