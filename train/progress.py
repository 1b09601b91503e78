"""Progress on a terminal, plain lines elsewhere; and a first Ctrl-C that saves before it stops."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class CountsTokens(Protocol):
    """A trainer that says how many tokens it has trained on, all processes together."""

    tokens: int


class Reporter(TrainerCallback):
    """A bar with tokens a second, accuracy and time left; where the output is no terminal, a line a log."""

    def __init__(self) -> None:
        self.trainer: CountsTokens | None = None  # given once it is made: it is made with its callbacks
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.first = (0, 0.0, 0)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **told: object
    ) -> None:
        """Called by the Trainer."""
        assert self.trainer is not None, "the trainer is given before it trains"
        self.first = (self.trainer.tokens, time.monotonic(), state.global_step)
        if not state.is_world_process_zero or not self.console.is_terminal:
            return
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.bar.start()
        self.task = self.bar.add_task("train", total=state.max_steps, completed=state.global_step, told="")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **told: object
    ) -> None:
        """Called by the Trainer."""
        if state.global_step == state.max_steps:
            control.should_log = True  # a run's last steps are told also where they are fewer than log_every
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **told: object,
    ) -> None:
        """Called by the Trainer."""
        if not state.is_world_process_zero or not logs or "accuracy_reveal" not in logs:
            return
        assert self.trainer is not None
        tokens, started, step = self.first
        rate = (self.trainer.tokens - tokens) / max(time.monotonic() - started, 1e-9)
        line = f"loss {logs['loss_reveal']:.3f} accuracy {logs['accuracy_reveal']:.3f} {rate / 1e3:.1f}k tokens/s"
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, told=line)
        else:
            a_step = (time.monotonic() - started) / max(1, state.global_step - step)
            left = (state.max_steps - state.global_step) * a_step
            self.console.print(f"step {state.global_step}/{state.max_steps} {line} {left:.0f} s left", highlight=False)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **told: object
    ) -> None:
        """Called by the Trainer."""
        if self.bar is not None:
            self.bar.stop()


Handler = Callable[[int, FrameType | None], object] | int | None
"""A handler of a signal, as the signal module gives it."""

SAME_PRESS = 1.0
"""Seconds in which a second signal is the first."""


class StopOnSignal(TrainerCallback):
    """The first SIGINT or SIGTERM: save at the end of a step and stop. The second: stop at once; one that follows
    within a second is the first once more (torchrun passes on to its processes what the terminal sent them itself).

    Several processes stop together, where one of them was asked to: they agree at the start of a step (``agreed``).
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self.caught_at = 0.0
        self.agreed: bool | None = None
        self.stopped = False
        self.before: dict[int, Handler] = {}

    def __enter__(self) -> StopOnSignal:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *told: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if self.caught is not None and time.monotonic() - self.caught_at > SAME_PRESS:
            raise KeyboardInterrupt
        if self.caught is None:
            self.caught, self.caught_at = number, time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **told: object
    ) -> None:
        """Called by the Trainer."""
        if self.agreed if self.agreed is not None else self.caught is not None:
            self.stopped = control.should_save = True
            control.should_training_stop = True
