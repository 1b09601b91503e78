"""The end of a run, as ``final.json`` has it, and that in a few lines for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict


class RoleScores(TypedDict):
    """Scores of the tokens of a role: losses in nats a token."""

    loss: float
    unigram_loss: float
    accuracy: float
    tokens: int


class BeliefScores(TypedDict, total=False):
    """Scores at the reveals that have an exact belief; in nats."""

    num_beliefs: int
    kl: float
    entropy: float


class Evaluation(TypedDict, total=False):
    """An evaluation on a dataset (``by_role`` and what follows it), or on a task at one length (the rest)."""

    by_role: Mapping[str, RoleScores]
    copy_last_value: float
    beliefs: BeliefScores
    times: float
    commands: int
    spacing: int
    accuracy_reveal: float
    accuracy_last_reveal: float
    kl: float
    kl_last_quarter: float
    chance: float
    last_shown: float | None


class Retention(TypedDict):
    """KL to the exact belief about a fact that ``hold`` commands did not concern."""

    hold: int
    kl: float


class Evaluations(TypedDict, total=False):
    """All final evaluations; ``rescaled``: once more with the state held at its norm in training."""

    evaluations: list[Evaluation]
    retention: list[Retention]
    rescaled: Evaluations | None


class Final(Evaluations):
    """``final.json``. Of several processes the first alone evaluates."""

    step: int
    tokens: int
    parameters: int
    seconds: float


def summary(final: Final) -> list[str]:
    """Sizes first, then the measurements, a line each."""
    first = f"{final['parameters']} parameters, {final['step']} steps, {final['tokens']} tokens, {final['seconds']} s"
    return [first, *_measurements(final)]


def _measurements(final: Evaluations) -> list[str]:
    lines: list[str] = []
    for evaluation in final["evaluations"]:
        lines += _by_role(evaluation) if "by_role" in evaluation else [_at_length(evaluation)]
    for held in final.get("retention", []):
        lines.append(f"after {held['hold']} commands that don't concern it, an old fact: KL {held['kl']:.4f}")
    rescaled = final.get("rescaled")
    if rescaled:
        lines.append("with the state held at its norm in training:")
        lines += ["  " + line for line in _measurements(rescaled)]
    return lines


def _by_role(evaluation: Evaluation) -> list[str]:
    lines = [
        f"{role:8} loss {scores['loss']:.3f} (unigram {scores['unigram_loss']:.3f}) "
        f"accuracy {scores['accuracy']:.3f}, {scores['tokens']} tokens"
        for role, scores in evaluation["by_role"].items()
    ]
    if "copy_last_value" in evaluation:
        lines.append(f"values, by copying the last value: accuracy {evaluation['copy_last_value']:.3f}")
    beliefs = evaluation.get("beliefs", {})
    if beliefs.get("num_beliefs"):
        lines.append(
            f"KL to the exact belief {beliefs['kl']:.3f} (its entropy {beliefs['entropy']:.3f}) "
            f"at {beliefs['num_beliefs']} reveals"
        )
    return lines


def _at_length(evaluation: Evaluation) -> str:
    line = f"{evaluation['times']}x: {evaluation['commands']} commands, reveal every {evaluation['spacing']}: "
    line += f"accuracy {evaluation['accuracy_reveal']:.4f}, last reveal {evaluation['accuracy_last_reveal']:.4f}"
    if "kl" in evaluation:
        line += f", KL {evaluation['kl']:.4f}, last quarter {evaluation['kl_last_quarter']:.4f}"
    shown = evaluation["last_shown"]
    return line + f" (chance {evaluation['chance']:.3f}" + ("" if shown is None else f", last shown {shown:.3f}") + ")"
