"""The requirements that can be had together: all where that is possible, else as many as halving finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.requirements import Requirement

from trace_mine.corpus.mined.environments.uv import IndexUnreachable, UvFailed

MAX_QUESTIONS = 200
"""Questions for one repository; of 60 requirements, five that can't be had take 60."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The outcome of a choice.

    Attributes:
        pins: ``name==version`` of all that is to be installed, sorted.
        left_out: by requirement, why it can't be had.
        relaxed: requirements that are met by another version than they ask for, since theirs can't be had.

    Raises:
        ValueError: one is left out and relaxed at once.
    """

    pins: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    relaxed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        both = self.left_out.keys() & {*self.relaxed}
        if both:
            raise ValueError(f"expected a requirement to be left out or relaxed, got {sorted(both)} as both")


def choose(requirements: Sequence[str], resolve: Callable[[Sequence[str]], tuple[str, ...]]) -> Chosen:
    """Choose requirements that can be had together, those before others.

    A requirement that can't be had with those that were kept is asked for without its version, since some version of a
    package is more than none; failing that, it is left out.

    Args:
        requirements: as PEP 508 has them, the most needed first.
        resolve: gives the pins of some; raises ``UvFailed`` where these can't be had together.

    Raises:
        IndexUnreachable: the index did not answer, so that nothing can be said of any requirement.
    """
    search = _Search(resolve)
    if requirements:
        search.add(list(requirements))
    return Chosen(pins=search.pins, left_out=search.left_out, relaxed=tuple(search.relaxed))


@dataclass(slots=True)
class _Search:
    resolve: Callable[[Sequence[str]], tuple[str, ...]]
    kept: list[str] = field(default_factory=list)
    pins: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    relaxed: list[str] = field(default_factory=list)
    num_questions: int = 0

    def add(self, requirements: list[str]) -> None:
        """Keep as many as go with those that were kept before."""
        failure = self._try(requirements)
        if failure is None:
            return
        if len(requirements) > 1:
            half = len(requirements) // 2
            self.add(requirements[:half])
            self.add(requirements[half:])
            return
        (text,) = requirements
        bare = _without_version(text)
        if bare != text and self._try([bare]) is None:
            self.relaxed.append(text)
        else:
            self.left_out[text] = failure

    def _try(self, requirements: list[str]) -> str | None:
        """Keep these as well, and return None; where they can't be had, why."""
        if self.num_questions >= MAX_QUESTIONS:
            return f"not tried after {MAX_QUESTIONS} questions to uv"
        self.num_questions += 1
        try:
            self.pins = self.resolve([*self.kept, *requirements])
        except IndexUnreachable:
            raise
        except UvFailed as error:
            return str(error)
        self.kept += requirements
        return None


def _without_version(text: str) -> str:
    requirement = Requirement(text)
    requirement.specifier = type(requirement.specifier)()
    return str(requirement)
