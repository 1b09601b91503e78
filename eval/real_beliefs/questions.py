"""Questions: one reveal each of a row with beliefs, with the text before it and the exact law over its outcomes.

A question asks for a law, not for a value: given ``text``, with what probability does each of ``outcomes`` come next?
The outcomes are those that a reader expects who remembers few commands. So the exact law may be certain: then the
session has shown before what a value is, or what it follows from, and the question is whether that was kept.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from trace_mine.corpus.schema import BeliefColumns, WindowColumns
from trace_mine.corpus.synthetic.tasks import TASKS
from trace_mine.train.held_out import Row

LEAST_BITS = 0.05
"""Entropy below which a law is certain, to about one in two hundred. A reveal is no question where it is certain to
all readers, those who remember nothing included."""

KEPT = 0.001
"""KL, in nats, from the exact law up to which the filter of a few commands is as good as the exact one."""

MOST_CHARACTERS = 6_000
"""Longest text of a question; the median row of edited functions has a third of it."""

MOST_OUTCOMES = 64
"""Largest number of outcomes of a question: each costs a language model a pass."""

MOST_CHARACTERS_OF_AN_OUTCOME = 24
"""Longest outcome of a question: a model's probability of a long text is a product of many, and says how well it spells
or copies."""

OF_A_PROGRAM = 2
"""Questions about one program that need equal memory, at most: variants of one function, and reveals of one session,
are alike."""


REWRITTEN = frozenset(
    {"unstable", "replay_differs", "replay_mismatch", "result_differs", "path_differs", "closed", "unfaithful"}
)
"""Words of ``kept_whole`` that say, or may say, that a session was written again because a check of it failed."""


ADDRESS = re.compile(r"\b0x[0-9a-f]{8,}\b")
"""An address of an object, as its ``repr`` has it: no outcome that can be predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSpan:
    """A part of a question's text: characters ``start`` to ``end``, its role, and the number of its command."""

    start: int
    end: int
    role: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowLaw:
    """The belief of a reader of the last ``commands`` commands' outputs: the probability of each outcome of the
    question, which sum to less than 1 where there are more outcomes than a row lists.
    """

    commands: int
    law: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealQuestion:
    """One reveal.

    Attributes:
        name: which it is: the row's ``trace_id`` and the reveal's segment.
        rung: of the ladder.
        repository: where the program is from; empty for games.
        program: its name in the repository, which variants of one program share.
        text: all that stands before the outcome.
        segments: the parts of ``text``, as a row has them.
        ending: what stands after each outcome, a line end or nothing.
        outcomes: the texts that could stand there, different ones.
        law: the probability of each, by the exact filter; 0 where only a reader who remembers less expects it.
        shown: the index of the one that did stand there.
        edits: draws that were put into the program; 0 in games and real draws.
        distance: commands since the last reveal that was a question, or since the beginning.
        windows: laws of readers who remember a few commands.

    Raises:
        ValueError: the law isn't one over two or more different outcomes, ``shown`` is none of them, or a law of
            ``windows`` has not a probability for each.
    """

    name: str
    rung: str
    repository: str
    program: str
    text: str
    segments: tuple[RoleSpan, ...]
    ending: str
    outcomes: tuple[str, ...]
    law: tuple[float, ...]
    shown: int
    edits: int
    distance: int
    windows: tuple[WindowLaw, ...] = ()

    def __post_init__(self) -> None:
        if not 1 < len(self.outcomes) == len(self.law) == len(set(self.outcomes)):
            raise ValueError(f"expected two outcomes or more with a probability each, got {self.outcomes}, {self.law}")
        if not math.isclose(sum(self.law), 1.0, abs_tol=1e-6) or min(self.law) < 0:
            raise ValueError(f"expected probabilities that sum to 1, got {self.law} in {self.name}")
        if not 0 <= self.shown < len(self.outcomes):
            raise ValueError(f"expected shown below {len(self.outcomes)}, got {self.shown} in {self.name}")
        if any(len(window.law) != len(self.outcomes) for window in self.windows):
            raise ValueError(f"expected a probability for each outcome after each window, got others in {self.name}")

    @property
    def bits(self) -> float:
        """The law's entropy in bits."""
        return -sum(p * math.log2(p) for p in self.law if p > 0)

    @property
    def memory(self) -> float:
        """The smallest number of commands whose filter is within KEPT of the exact law: how much must be remembered.

        One more than the largest known where that filter isn't; nan where the benchmark has no filter of it.
        """
        numbers = sorted(window.commands for window in self.windows)
        close = [window.commands for window in self.windows if self._nats_from(window.law) <= KEPT]
        return min(close, default=numbers[-1] + 1) if numbers else math.nan

    def _nats_from(self, law: Sequence[float]) -> float:
        """KL(exact || law) in nats."""
        pairs = [(p, q) for p, q in zip(self.law, law, strict=True) if p > 0]
        return math.inf if any(q <= 0 for _, q in pairs) else sum(p * math.log(p / q) for p, q in pairs)


def was_written_again(row: Row) -> bool:
    """Return True for a session that was written a second time because a check of the first failed.

    What a check meets depends on the run, and so on outcomes that the session hides: there a command may tell some.
    """
    return not REWRITTEN.isdisjoint(json.loads(row["kept_whole"]))


def questions_of(rows: Iterable[Row], rung: str, *, most: int) -> list[RevealQuestion]:
    """Take ``most`` questions of rows, alike many of each repository and of each ``memory`` that they need.

    The choice depends on the rows alone, not on their order: by the hash of a question's name.
    """
    groups: defaultdict[tuple[str, str], list[RevealQuestion]] = defaultdict(list)
    of_program: defaultdict[tuple[str, ...], int] = defaultdict(int)
    in_order = sorted((each for row in rows for each in asked_reveals(row, rung)), key=_order)
    for question in in_order:
        memory = f"{question.memory:g}"
        # games have no program: each session is another one
        key = question.repository, question.program or question.name.partition(":")[0], memory
        of_program[key] += 1
        if of_program[key] <= OF_A_PROGRAM:
            groups[memory, question.repository].append(question)
    taken: list[RevealQuestion] = []
    waiting = [groups[key] for key in sorted(groups)]
    while waiting and len(taken) < most:
        # a round takes one of each group that has some left: neither a large repository nor an easy kind of question
        # has more than its share
        waiting = [group for group in waiting if group]
        taken += [group.pop(0) for group in waiting][: most - len(taken)]
    return taken


def asked_reveals(row: Row, rung: str) -> list[RevealQuestion]:
    """All reveals of a row that have an exact law, which is not certain to every reader, within all limits."""
    made: list[RevealQuestion] = []
    if was_written_again(row):
        return made
    is_game = row["entry"] in TASKS
    windows: defaultdict[int, list[WindowColumns]] = defaultdict(list)
    for each in row.get("windows", ()):
        windows[each["segment"]].append(each)
    before = -1
    for belief in row["beliefs"]:
        segment = row["segments"][belief["segment"]]
        seen = windows[belief["segment"]]
        if belief["method"] != "exact":
            continue
        if max(_bits(each["probabilities"]) for each in (belief, *seen)) < LEAST_BITS:
            continue
        distance, before = segment["step"] - before, segment["step"]
        shown = row["text"][segment["start"] : segment["end"]]
        ending = "\n" if shown.endswith("\n") else ""
        answer = shown.removesuffix("\n") if ending else shown
        outcomes = sorted({outcome for each in (belief, *seen) for outcome in each["outcomes"]})
        fits = (
            segment["start"] <= MOST_CHARACTERS
            and len(outcomes) <= MOST_OUTCOMES
            and max(map(len, outcomes)) <= MOST_CHARACTERS_OF_AN_OUTCOME
        )
        if not fits or answer not in outcomes or "" in outcomes:
            # an outcome that shows nothing has no text that a language model could give a probability to
            continue
        if any(ADDRESS.search(outcome) for outcome in outcomes):
            continue  # another process shows another one
        made.append(
            RevealQuestion(
                name=f"{row['trace_id']}:{belief['segment']}",
                rung=rung,
                # of a game each session is another program
                repository="" if is_game else row["repository"],
                # variants of one program have its name, and a number behind
                program="" if is_game else row["name"].partition("~")[0],
                text=row["text"][: segment["start"]],
                segments=tuple(
                    RoleSpan(start=part["start"], end=part["end"], role=part["role"], step=part["step"])
                    for part in row["segments"][: belief["segment"]]
                ),
                ending=ending,
                outcomes=tuple(outcomes),
                law=_law_over(outcomes, belief),
                shown=outcomes.index(answer),
                edits=len(row.get("edits", ())),
                distance=distance,
                windows=tuple(WindowLaw(commands=each["commands"], law=_law_over(outcomes, each)) for each in seen),
            )
        )
    return made


def _law_over(outcomes: Sequence[str], law: BeliefColumns | WindowColumns) -> tuple[float, ...]:
    """The probabilities of these outcomes, 0 for those that the law doesn't have."""
    given = dict(zip(law["outcomes"], law["probabilities"], strict=True))
    return tuple(given.get(outcome, 0.0) for outcome in outcomes)


def write_questions(path: Path, questions: Sequence[RevealQuestion]) -> None:
    """Write questions as JSON lines."""
    lines = [json.dumps(asdict(question), ensure_ascii=True) for question in questions]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_questions(path: Path) -> list[RevealQuestion]:
    """Read the questions that ``write_questions`` wrote.

    Raises:
        ValueError: there is no such file, or a line is no question.
    """
    if not path.is_file():
        raise ValueError(f"expected questions in {path}, got no file; make them with trace-eval real-beliefs make")
    names = {each.name for each in fields(RevealQuestion)}
    made: list[RevealQuestion] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            entry = json.loads(line)
            if set(entry) != names:
                raise ValueError(f"its fields are {', '.join(sorted(entry))}")
            segments = tuple(RoleSpan(**segment) for segment in entry.pop("segments"))
            windows = tuple(
                WindowLaw(commands=each["commands"], law=tuple(each["law"])) for each in entry.pop("windows")
            )
            outcomes, law = tuple(entry.pop("outcomes")), tuple(entry.pop("law"))
            made.append(RevealQuestion(**entry, segments=segments, outcomes=outcomes, law=law, windows=windows))
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"expected a question in line {number} of {path}, got another line: {error}") from None
    return made


def _bits(probabilities: Sequence[float]) -> float:
    return -sum(p * math.log2(p) for p in probabilities if p > 0)


def _order(question: RevealQuestion) -> bytes:
    return hashlib.sha256(question.name.encode()).digest()
