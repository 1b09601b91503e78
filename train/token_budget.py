"""A run that ends after a number of tokens: its end, and the schedule of its learning rate, which counts in tokens.

Models and tokenizers compare at equal budgets of tokens, and steps of one curriculum have different numbers of them.
Warm-up still counts steps, for it is Adam's averages that it waits for.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trace_mine.train.settings import Settings


class CountsTokens(Protocol):
    """A trainer that counts the ``tokens`` it has trained on, over all processes together; ``budget`` of them end it.

    A budget of 0 is none.
    """

    tokens: int
    budget: int


def rate_share(settings: Settings, step: int, tokens: int) -> float:
    """Return the learning rate of a step as a share of the highest, after ``step`` steps of ``tokens`` in all.

    The rate rises over ``warmup`` steps, or over a quarter of the budget if these take more, and then falls with the
    share of the budget that is used: by ``schedule`` as in runs of a number of steps.

    >>> from trace_mine.train.recipes import recipe
    >>> from trace_mine.train.settings import override
    >>> settings = override(recipe("quick"), ["max_tokens=1000", "warmup=10", "decay_share=0.5", "min_rate=0"])
    >>> [rate_share(settings, *at) for at in ((0, 0), (5, 50), (5, 250), (20, 500), (40, 750), (60, 1100))]
    [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]
    """
    used = min(1.0, tokens / settings.max_tokens)
    warm = max(step / settings.warmup if settings.warmup else 1.0, 4 * used)
    if warm < 1:
        return warm
    least = settings.min_rate
    if settings.schedule == "cosine":
        return least + (1 - least) * (1 + math.cos(math.pi * used)) / 2
    left = (1 - used) / settings.decay_share if settings.decay_share else 1.0
    return least + (1 - least) * min(1.0, left)


def token_schedule(
    optimizer: torch.optim.Optimizer, settings: Settings, trainer: CountsTokens
) -> torch.optim.lr_scheduler.LambdaLR:
    """Make the schedule that follows ``rate_share``. A resumed trainer has its tokens back before it asks for it."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_share(settings, step, trainer.tokens))


class EndAtBudget(TrainerCallback):
    """Ends training, with a log and a checkpoint, at the first step whose tokens use up the trainer's budget."""

    def __init__(self, trainer: CountsTokens) -> None:
        self.trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: object
    ) -> None:
        """Train nothing where a checkpoint of the last step is gone on from."""
        if self.trainer.tokens >= self.trainer.budget:
            control.should_training_stop = True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: object
    ) -> None:
        """See the class."""
        if self.trainer.tokens >= self.trainer.budget:
            control.should_training_stop = control.should_log = control.should_save = True
