"""Callbacks of transformers' Trainer that face the user: a progress bar or plain lines, and stopping by Ctrl-C.

The signatures of the ``on_*`` methods are the Trainer's: it passes further objects by name, which nothing here uses.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trace_mine.train.token_budget import CountsTokens


class Reporter(TrainerCallback):
    """Shows progress: on a terminal a bar with loss, accuracy and tokens a second, elsewhere one line for each log."""

    def __init__(self) -> None:
        # Set by the caller once the trainer exists: a trainer is made with its callbacks.
        self.trainer: CountsTokens | None = None
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        # Tokens, time and step when this process began to train, from which rates are reckoned: a resumed run begins
        # with the tokens and steps of before.
        self.begun = (0, 0.0, 0)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: object
    ) -> None:
        """Start the bar, in the first process and on a terminal only."""
        assert self.trainer is not None, "the trainer is set before it trains"
        self.begun = (self.trainer.tokens, time.monotonic(), state.global_step)
        if not state.is_world_process_zero or not self.console.is_terminal:
            return
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[measurements]}"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.bar.start()
        done, total = self._done(state)
        self.task = self.bar.add_task("train", total=total, completed=done, measurements="")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: object
    ) -> None:
        """Advance the bar, and ask for a log after the last step."""
        if state.global_step == state.max_steps:
            # The Trainer logs at multiples of log_every: without this the steps after the last multiple, or a whole
            # run shorter than log_every, would be missing from metrics.jsonl.
            control.should_log = True
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=self._done(state)[0])

    def _done(self, state: TrainerState) -> tuple[int, int]:
        """Return what is done and what is to do: tokens where the run has a budget of them, else steps."""
        assert self.trainer is not None
        budget = self.trainer.budget
        return (self.trainer.tokens, budget) if budget else (state.global_step, state.max_steps)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **others: object,
    ) -> None:
        """Show the loss and accuracy of a log, with the rate since this process began."""
        # The Trainer also logs a summary of its own at the end, which lacks our keys.
        if not state.is_world_process_zero or not logs or "accuracy_reveal" not in logs:
            return
        assert self.trainer is not None
        tokens, started, step = self.begun
        rate = (self.trainer.tokens - tokens) / max(time.monotonic() - started, 1e-9)
        line = f"loss {logs['loss_reveal']:.3f} accuracy {logs['accuracy_reveal']:.3f} {rate / 1e3:.1f}k tokens/s"
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, measurements=line)
        else:
            done, total = self._done(state)
            before = tokens if self.trainer.budget else step
            left = max(0, total - done) * (time.monotonic() - started) / max(1, done - before)
            at = f"{state.global_step}, {done}/{total} tokens" if self.trainer.budget else f"{done}/{total}"
            self.console.print(f"step {at} {line} {left:.0f} s left", highlight=False)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: object
    ) -> None:
        """Stop the bar, which would go on redrawing the terminal."""
        if self.bar is not None:
            self.bar.stop()


Handler = Callable[[int, FrameType | None], object] | int | None
"""A handler of a signal, in the forms that ``signal.signal`` takes and returns."""

SAME_PRESS_SECONDS = 1.0
"""A signal that follows the first within this time counts as the same press of Ctrl-C."""


class StopOnSignal(TrainerCallback):
    """Stops a run on SIGINT or SIGTERM. As a context manager it holds the two signals' handlers.

    On the first signal the run saves at the end of its step and stops; on a second one it raises KeyboardInterrupt at
    once. A second within ``SAME_PRESS_SECONDS`` is ignored: the terminal sends Ctrl-C to torchrun and to its processes,
    and torchrun passes its own on to them.

    Several processes stop after the same step, as soon as one of them caught a signal: saving is collective, and a
    process that stopped alone would leave the others waiting for it.

    Attributes:
        caught: number of the first signal, None until one comes.
        agreed: whether any process had caught one when the current step began; None in a single process, which needs
            no agreement. ``TraceTrainer.get_batch_samples`` sets it.
        stopped: True once the run was told to save and stop.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self.caught_at = 0.0  # of time.monotonic()
        self.agreed: bool | None = None
        self.stopped = False
        self.before: dict[int, Handler] = {}  # signal -> the handler that was there, to be put back

    def __enter__(self) -> StopOnSignal:
        for number in (signal.SIGINT, signal.SIGTERM):
            self.before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if self.caught is not None and time.monotonic() - self.caught_at > SAME_PRESS_SECONDS:
            raise KeyboardInterrupt
        if self.caught is None:
            self.caught, self.caught_at = number, time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: object
    ) -> None:
        """Ask the Trainer to save and stop, if a signal was caught."""
        should_stop = self.caught is not None if self.agreed is None else self.agreed
        if should_stop:
            self.stopped = control.should_save = True
            control.should_training_stop = True
