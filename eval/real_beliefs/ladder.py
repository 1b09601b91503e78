"""The rungs of the ladder, and all that decides what stands on them: packages, versions, hashes, seeds, sizes.

A number here that changes makes another benchmark: ``VERSION`` is raised with it, so that nobody compares across them.
"""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 5
SEED = 0
AS_OF = "2026-11-15"
"""The date as of which the packages that programs import are chosen."""

RUNGS = {
    "games": "maybe-swaps of three variables: sessions of a game that no program of the other rungs contains",
    "seen": "functions with draws put into them, of repositories whose other functions are trained on",
    "unseen": "functions with draws put into them, of repositories that are never trained on",
    "skip": "the same repositories under the view `branch+skip`: loops and calls are commands whose effect alone shows",
    "inverse": "calls of the same repositories' functions whose arguments are hidden, and asked for by what they gave",
    "draws": "scripts that call functions which draw by themselves; nothing was put into them",
}
"""Each rung by its name, with what is on it, nearest to the synthetic training data first."""


@dataclass(frozen=True, slots=True)
class Package:
    """A wheel: name, version, and the SHA-256 of its file."""

    name: str
    version: str
    sha256: str

    def __post_init__(self) -> None:
        if len(self.sha256) != 64:
            raise ValueError(f"expected the SHA-256 of a wheel of {self.name}, got {self.sha256!r}")

    @property
    def requirement(self) -> str:
        """The line of a requirements file that pins it."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is made.

    Attributes:
        games: training sessions of the game.
        held_out_games: test sessions of it.
        per_repository: edited programs of each repository that is trained on.
        unseen_per_repository: of each other one.
        variants: edited programs of one function, at most.
        sessions: sessions of each script with real draws.
        questions: of each rung, at most.
        training_questions: that baselines count in, at most.
    """

    games: int
    held_out_games: int
    per_repository: int
    unseen_per_repository: int
    variants: int
    sessions: int
    questions: int
    training_questions: int


SIZES = {
    "tiny": Size(
        games=20,
        held_out_games=10,
        per_repository=4,
        unseen_per_repository=4,
        variants=1,
        sessions=1,
        questions=20,
        training_questions=20,
    ),
    "full": Size(
        games=3_000,
        held_out_games=300,
        per_repository=120,
        unseen_per_repository=40,
        variants=2,
        sessions=4,
        questions=400,
        training_questions=1_000,
    ),
}
"""``tiny`` is for a first look and for tests; what is reported is ``full``."""

INJECT = "maybe:p=.1|.25|.5|.75|.9,either,order:p=.25|.5|.75"
EDITS = 4
REVEALS = 8
"""Partial questions in one program: of an item, a length, a remainder."""
WINDOWS = (0, 1, 4, 16)
"""Memories of the filters that are asked beside the exact one, in commands."""
GAME = ("permutations", "--set", "n=3", "--set", "p=0.25", "--commands", "2-16", "--spacing", "1-4")
