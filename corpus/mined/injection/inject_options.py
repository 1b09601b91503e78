"""The edits that ``--inject`` asks for, read from their text: ``maybe:p=.1|.25,either,order``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KINDS = ("maybe", "either", "order")
LAWS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Probabilities that are chosen among where none are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectOptions:
    """The draws that are put into programs.

    Attributes:
        laws: for each kind, the probabilities that are chosen among, which are those of the first outcome.
        edits: the number of edits in one program, at most.
        variants: programs that are made of one snippet, at most.
        reveals: the questions that are put into one program, at most.
        draws: what a run of a program is to draw at the least, where ``edits`` places allow it; the number of edits
            grows until it does.
        inputs: further calls of an edited function, with other literals, at most.
    """

    laws: Mapping[str, tuple[float, ...]] = field(default_factory=lambda: dict.fromkeys(KINDS, LAWS))
    edits: int = 3
    variants: int = 1
    reveals: int = 0
    draws: int = 0
    inputs: int = 0

    def __post_init__(self) -> None:
        if not self.laws or not self.laws.keys() <= {*KINDS}:
            raise ValueError(f"expected kinds of edits among {', '.join(KINDS)}, got {', '.join(self.laws) or 'none'}")
        if not all(laws and all(0 < p < 1 for p in laws) for laws in self.laws.values()):
            raise ValueError("expected probabilities between 0 and 1, got another; write p=.25 or p=.1|.5")
        if self.edits < 1 or self.variants < 1 or min(self.reveals, self.draws, self.inputs) < 0:
            raise ValueError(
                f"expected an edit and a program at least, and no fewer reveals, draws and inputs than none, got "
                f"{self.edits}, {self.variants}, {self.reveals}, {self.draws} and {self.inputs}; write a larger number"
            )

    def as_config(self) -> dict[str, object]:
        """JSON, for the dataset's configuration."""
        laws = {kind: list(laws) for kind, laws in self.laws.items()}
        # datasets without any of these go on as they were begun
        numbers = {"reveals": self.reveals, "draws": self.draws, "inputs": self.inputs}
        more = {name: number for name, number in numbers.items() if number}
        return {"laws": laws, "edits": self.edits, "variants": self.variants, **more}


def parse_inject(
    text: str, *, edits: int = 3, variants: int = 1, reveals: int = 0, draws: int = 0, inputs: int = 0
) -> InjectOptions:
    """Return the edits that a text names.

    Raises:
        ValueError: it names none, or a law is no probability.

    >>> parse_inject("maybe:p=.1|.5,order").laws
    {'maybe': (0.1, 0.5), 'order': (0.1, 0.25, 0.5, 0.75, 0.9)}
    """
    laws: dict[str, tuple[float, ...]] = {}
    for part in text.split(","):
        kind, colon, rest = part.strip().partition(":")
        if colon and (kind == "either" or not rest.startswith("p=")):
            # outcomes of `either` are one or more others: no probability says what each has
            raise ValueError(f"expected --inject like maybe:p=.1|.25,either,order:p=.5, got {part.strip()!r}")
        try:
            laws[kind] = tuple(float(p) for p in rest.removeprefix("p=").split("|")) if colon else LAWS
        except ValueError:
            raise ValueError(f"expected probabilities like p=.1|.25, got {rest!r}") from None
    return InjectOptions(laws=laws, edits=edits, variants=variants, reveals=reveals, draws=draws, inputs=inputs)
