"""The types of ``final.json``, and its few lines for the terminal.

``final`` makes the evaluations, ``running`` writes the file; this module imports neither, nor torch, so that commands
which only print a finished run start fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict


class RoleScores(TypedDict):
    """Scores of the tokens of one role; losses are means in nats a token."""

    loss: float
    unigram_loss: float
    accuracy: float
    tokens: int


class BeliefScores(TypedDict, total=False):
    """Mean scores, in nats, at the reveals that carry an exact or bounded belief (``measure.text_beliefs``)."""

    num_beliefs: int
    kl: float
    entropy: float


class Evaluation(TypedDict, total=False):
    """An evaluation on a dataset (its keys are the first three), or on a task at one length (the others)."""

    by_role: Mapping[str, RoleScores]
    copy_last_value: float
    beliefs: BeliefScores
    times: float
    commands: int
    spacing: int
    split: str
    loss_reveal: float
    accuracy_reveal: float
    accuracy_last_reveal: float
    kl: float
    kl_last_quarter: float
    chance: float
    last_shown: float | None


class Retention(TypedDict):
    """KL to the exact belief, in nats, about a variable that the last ``hold`` commands left alone."""

    hold: int
    kl: float


class EvaluationScores(TypedDict, total=False):
    """All final evaluations; ``rescaled`` has them again with the norm of the state held where it was in training."""

    evaluations: list[Evaluation]
    retention: list[Retention]
    rescaled: EvaluationScores | None


class Final(EvaluationScores):
    """``final.json``: the run's sizes beside its evaluations, which the first of several processes alone has.

    ``max_tokens`` is there if the run had a budget of tokens.
    """

    step: int
    tokens: int
    max_tokens: NotRequired[int]
    parameters: int
    seconds: float


def summary(final: Final) -> list[str]:
    """Return the lines that the terminal shows of a finished run: its sizes, then each evaluation."""
    budget = f" (a budget of {final['max_tokens']})" if "max_tokens" in final else ""
    first = f"{final['parameters']} parameters, {final['step']} steps, {final['tokens']} tokens{budget}, "
    first += f"{final['seconds']} s"
    return [first, *_measurements(final)]


def _measurements(final: EvaluationScores) -> list[str]:
    """Return a line for each evaluation; those with the rescale follow, indented."""
    # also of final.json files of older versions, which may lack retention and rescaled
    lines: list[str] = []
    for evaluation in final["evaluations"]:
        lines += _by_role(evaluation) if "by_role" in evaluation else [_at_length(evaluation)]
    for retention in final.get("retention", []):
        hold, kl = retention["hold"], retention["kl"]
        lines.append(f"after {hold} commands that don't concern it, an old fact: KL {kl:.4f}")
    rescaled = final.get("rescaled")
    if rescaled:
        lines.append("with the state held at its norm in training:")
        lines += ["  " + line for line in _measurements(rescaled)]
    return lines


def _by_role(evaluation: Evaluation) -> list[str]:
    """Return the lines of an evaluation on a dataset."""
    lines = [
        f"{role:8} loss {scores['loss']:.3f} (unigram {scores['unigram_loss']:.3f}) "
        f"accuracy {scores['accuracy']:.3f}, {scores['tokens']} tokens"
        for role, scores in evaluation["by_role"].items()
    ]
    if "copy_last_value" in evaluation:
        lines.append(f"values, by copying the last value: accuracy {evaluation['copy_last_value']:.3f}")
    beliefs = evaluation.get("beliefs", {})
    if beliefs.get("num_beliefs"):  # 0 if all prefixes were too long: then there is no mean
        lines.append(
            f"KL to the exact belief {beliefs['kl']:.3f} (its entropy {beliefs['entropy']:.3f}) "
            f"at {beliefs['num_beliefs']} reveals"
        )
    return lines


def _at_length(evaluation: Evaluation) -> str:
    """Return the line of an evaluation on a task."""
    line = f"{evaluation['times']}x: {evaluation['commands']} commands, reveal every {evaluation['spacing']}: "
    line += f"accuracy {evaluation['accuracy_reveal']:.4f}, last reveal {evaluation['accuracy_last_reveal']:.4f}"
    if "kl" in evaluation:
        line += f", KL {evaluation['kl']:.4f}, last quarter {evaluation['kl_last_quarter']:.4f}"
    if "chance" not in evaluation:  # of models of others, whose tokens have no baselines
        return line
    last_shown = evaluation["last_shown"]  # None for full reveals, where no single variable is shown
    copying = "" if last_shown is None else f", last shown {last_shown:.3f}"
    return line + f" (chance {evaluation['chance']:.3f}{copying})"
