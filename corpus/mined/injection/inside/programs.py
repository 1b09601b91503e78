"""Programs with draws put into them, run a few times to see that they stay programs."""

from __future__ import annotations

import ast
import io
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import TypedDict

from trace_mine_inject.asking import MOST_TIMES, put_questions
from trace_mine_inject.edits import Edit, Origins, choose_places, edited, first_apart, free_names
from trace_mine_inject.inputs import further_calls
from trace_mine_inject.places import DrawPlace, places_of
from trace_mine_inject.sampling import GivenProgram, lines_of_run, output_of, sample_runs
from trace_mine_inject.texts import EditableText, Unfit, lines_in, texts_of

SAMPLES = 20
"""Runs of an edited program."""
TRIES = 3
"""Programs that are made for each one that is kept."""
MORE_TRIES = 6
"""The same where a number of draws is wanted."""
SINGLES = 12
"""Programs with one edit that are tried where all those with several raise, or come to no draw."""
LONG = 50_000
"""Lines that a program runs, past which no more of its programs are tried than need be: some 50 ms a run."""


class Wanted(TypedDict):
    """The edits that are wanted: kinds with their laws, how many a program, programs of each snippet, and the seed.

    ``reveals``: the questions of one program, at most; ``draws``: those that a run is to make; ``inputs``: the further
    calls of an edited function, at most.
    """

    laws: dict[str, list[float]]
    edits: int
    variants: int
    reveals: int
    draws: int
    inputs: int
    seed: int


def edit_programs(
    write: Callable[[dict[str, object]], None], programs: Sequence[GivenProgram], wanted: Wanted, seconds: float
) -> None:
    """Edit programs, and run each edited one.

    Args:
        write: writes a record for each edited program, and one for each snippet that gave none.
        programs: in the order in which they are edited.
        wanted: the edits.
        seconds: of CPU for one run.
    """
    for program in programs:
        sys.stdout, sys.stderr, sys.stdin = io.StringIO(), io.StringIO(), io.StringIO()
        try:
            made = _edited_programs(program, wanted, seconds)
        except Unfit as unfit:
            write({"not_edited": {"number": program["number"], "why": str(unfit)}})
            continue
        for variant, (pieces, origins, edits, sample) in enumerate(made):
            write(
                {
                    "edited_program": {
                        "number": program["number"],
                        "variant": variant,
                        "pieces": pieces,
                        "origins": origins,
                        # a list of records is a record of lists, as the supervisor's codec has it
                        "edits": {field.name: [getattr(edit, field.name) for edit in edits] for field in fields(Edit)},
                        **sample,
                    }
                }
            )


_Made = tuple[list[str], Origins, list[Edit], dict[str, int]]
"""The pieces of an edited program, the origins of all their lines, the edits, and what is told of its runs."""
_TEXT_WHYS = """
syntax no_place no_source no_function layout method raises_unedited no_program not_reached raises
"""
_FURTHEST = tuple(_TEXT_WHYS.split())
"""The words for why a text gave no program, by how far it came: a snippet has the last one of those of its texts."""


def _edited_programs(program: GivenProgram, wanted: Wanted, seconds: float) -> list[_Made]:
    """The edited programs of the first of a snippet's texts that gives some. Raises Unfit."""
    whys: list[str] = []
    for text in texts_of(program):
        if isinstance(text, Unfit):
            whys.append(str(text))
            continue
        try:
            return _Trials(program, text, wanted, seconds).made()
        except Unfit as unfit:
            whys.append(str(unfit))
    raise Unfit(max(whys, key=_FURTHEST.index))


@dataclass
class _Tried:
    """An edited program that stays one.

    Attributes:
        rank: less the more it is wanted.
        num_open: the lines of its output that differ from run to run.
    """

    made: _Made
    rank: tuple[bool, bool, bool]
    num_open: int


class _Trials:
    """The programs that are made of one text, each of which is run some times."""

    def __init__(self, program: GivenProgram, source: EditableText, wanted: Wanted, seconds: float) -> None:
        self._program, self._source, self._wanted, self._seconds = program, source, wanted, seconds
        self._tried: dict[str, _Tried | None] = {}
        self._is_long = False
        self._alone: list[tuple[int, DrawPlace]] = []  # places tried alone, with the lines that differed then
        self._calls: list[str] = []  # behind the pieces of a function
        self._inputs: list[Edit] = []  # calls in a text of statements
        self._num_bad = self._num_unreached = 0
        self._least = 1  # edits

    def made(self) -> list[_Made]:
        """The programs that are kept. Raises Unfit."""
        source = self._source
        self._names = free_names(source.text)
        reached = self._reached()
        if self._wanted["inputs"] and self._program["edited"] == "function" and self._add_calls():
            self._try_all(self._reached())
            if self._kept():
                return self._best()
            # any of the calls may raise: the snippet's own are tried without them
            self._source, self._calls, self._inputs = source, [], []
        self._try_all(reached)
        return self._best()

    def _best(self) -> list[_Made]:
        """Those first whose draws are seen in what is printed, and, where draws are counted, that raise in no run."""
        if not self._kept():
            raise Unfit("raises" if self._num_bad else "not_reached" if self._num_unreached else "no_program")
        best = sorted(self._kept(), key=lambda each: (each.rank, -each.num_open))
        return [each.made for each in best][: self._wanted["variants"]]

    def _kept(self) -> list[_Tried]:
        return [each for each in self._tried.values() if each is not None]

    def _try_all(self, places: Sequence[DrawPlace]) -> None:
        for chosen, source in self._choices(places):
            self._try(chosen, source)
            good = [each for each in self._kept() if not any(each.rank) and each.num_open >= self._wanted["draws"] / 2]
            if len(good) >= self._wanted["variants"]:
                break

    def _reached(self) -> list[DrawPlace]:
        """The text's places to which the program comes, those first to which it comes more often. Raises Unfit.

        What raises without any edit says nothing of the edits.
        """
        text = self._source.text
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise Unfit("syntax") from None
        places = places_of(tree, text.split("\n"), [*self._wanted["laws"]])
        if not places:
            raise Unfit("no_place")
        pieces, _ = self._source.wrap(text, "", self._source.origins)
        output, visits = lines_of_run(self._program, pieces, self._seconds)
        if output is None:
            if output_of(self._program, pieces, 0, self._seconds) is None:
                raise Unfit("raises_unedited")
            self._is_long = True
            return places  # to note the lines took too long
        self._is_long = visits.total() > LONG
        counts: Counter[int] = Counter()  # by the lines of the pieces one below the other
        num_before = 0
        for number, piece in enumerate(pieces):
            if self._source.own and piece == text:  # a function is one of the pieces
                counts, num_before = Counter(), 0
            for line in range(1, lines_in(piece) + 1):
                counts[num_before + line] += visits[number, line]
            num_before += lines_in(piece)
            if self._source.own and piece == text:
                break
        times = {place: max(counts[line] for line in place.lines) for place in places}
        reached = sorted((place for place in places if times[place]), key=lambda place: -times[place])
        if not reached:
            raise Unfit("not_reached")
        return reached

    def _add_calls(self) -> bool:
        """Find further calls, and put them behind the snippet's own; tell if there are some."""
        source = self._source
        before, _ = source.wrap(source.text, "", source.origins)
        calls = further_calls(
            self._program["pieces"],
            self._wanted["inputs"],
            random.Random(f"{self._wanted['seed']} {self._program['name']} inputs"),
            lambda texts: output_of(self._program, [*before, *(f"{text}\n" for text in texts)], 0, self._seconds),
            again=self._wanted["draws"] > 0,
        )
        if source.own:
            self._calls = calls
            return bool(calls)
        # statements are edited, these too
        text = source.text
        for call in calls:
            self._inputs.append(Edit("input", text.count("\n") + 1, (), "", call))
            text += f"{call}\n"
        num_added = text.count("\n") - source.text.count("\n")
        self._source = replace(source, text=text, origins=[*source.origins, *([0] * num_added)])
        return bool(calls)

    def _wrapped(self, text: str, origins: Origins) -> tuple[list[str], Origins, list[Edit]]:
        """The pieces of an edited text with the further calls, their origins, and the calls as edits."""
        pieces, all_origins = self._source.wrap(text, self._names.imports(text), origins)
        edits = [*self._inputs]
        starts = [0, *accumulate(map(lines_in, pieces))]
        first = len(pieces) - len(self._program["pieces"])
        for each in self._source.asked:
            line = starts[first + each.piece] + each.line
            edits.append(Edit("assert", line, (), each.before, each.after, author_line=all_origins[line - 1]))
        for call in self._calls:
            edits.append(Edit("input", len(all_origins) + 1, (), "", call))
            for node in ast.parse(call).body:
                pieces.append(f"{ast.unparse(node)}\n")
                all_origins += [0] * lines_in(pieces[-1])
        return pieces, all_origins, edits

    def _choices(self, places: Sequence[DrawPlace]) -> Iterator[tuple[list[DrawPlace], random.Random]]:
        """Some places each time. Where nothing came of these, or where draws are wanted and fewer are seen in what is
        printed, one alone each time; where draws are wanted, then those together whose draws are seen most.
        """
        wanted = self._wanted
        name = f"{wanted['seed']} {self._program['name']}"
        for number in range((TRIES if not wanted["draws"] else MORE_TRIES) * wanted["variants"]):
            source = random.Random(f"{name} {number}")
            # where draws are counted, every other time the places alone to which a run comes more often
            among = places[: max(len(places) // 2, wanted["edits"])] if wanted["draws"] and number % 2 else places
            yield choose_places(among, source.randint(self._least, wanted["edits"]), source), source
        if any(not wanted["draws"] or self._is_long or 2 * each.num_open >= wanted["draws"] for each in self._kept()):
            return
        alone = [*places]
        random.Random(f"{name} alone").shuffle(alone)
        for number, place in enumerate(alone[: SINGLES * wanted["variants"]]):
            yield [place], random.Random(f"{name} alone {number}")
        if wanted["draws"]:
            seen = sorted((each for each in self._alone if each[0]), key=lambda each: -each[0])
            together = first_apart([place for _, place in seen], wanted["edits"])
            for number in range(2, len(together) + 1):
                chosen = sorted(together[:number], key=lambda place: place.first)
                yield chosen, random.Random(f"{name} seen {number}")

    def _try(self, chosen: Sequence[DrawPlace], source: random.Random) -> None:
        """Make the program with draws at the places, and run it."""
        wanted, names = self._wanted, self._names
        laws = [source.choice(wanted["laws"][place.kind]) for place in chosen]
        new, edits, origins = edited(self._source.text, chosen, laws, names, self._source.origins)
        if new in self._tried:
            return
        self._tried[new] = None
        try:
            asked = new
            if wanted["reveals"]:
                times = MOST_TIMES * (1 + len(self._calls))
                asked, reveals, origins = put_questions(
                    new, names, wanted["reveals"], self._runs, range(SAMPLES), source, origins, times
                )
                edits += reveals
            pieces, all_origins, calls = self._wrapped(asked, origins)
            edits += calls
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self._num_bad += 1
            return
        sample = sample_runs(self._program, pieces, SAMPLES, self._seconds)
        drawn = sample.pop("drawn") / max(sample["runs"], 1)
        num_open = sample.pop("open")
        if drawn < wanted["draws"]:
            self._least = min(2 * self._least, wanted["edits"])
        if not sample.pop("drew"):
            self._num_unreached += 1
        elif 10 * sample["raised"] > sample["runs"]:
            self._num_bad += 1
        else:
            rank = sample["distinct"] == 1, bool(wanted["draws"] and sample["raised"]), drawn < wanted["draws"]
            self._tried[new] = _Tried((pieces, all_origins, edits, sample), rank, num_open)
            if len(chosen) == 1:
                self._alone.append((num_open, chosen[0]))

    def _runs(self, text: str, seed: int) -> bool:
        """Run a text with its questions' probes; False where it raises or does not end."""
        pieces, _, _ = self._wrapped(text, [0] * (text.count("\n") + 1))
        return output_of(self._program, pieces, seed, self._seconds) is not None
