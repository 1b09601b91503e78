"""The result check, the first of the three checks of every trace: for each piece, the session's output, echoes and
exception equal the native run's; so do the variables at the end. ``path_check`` and ``replay_check`` are the others.

It runs no code of the snippet: values arrive as text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trace_mine.tracer.inside.observe.describe import without_identities
from trace_mine.tracer.inside.protocol.answers import (
    DriveSummary,
    Error,
    NativeFrame,
    NativePieceResult,
    NativeSummary,
    PieceResult,
)
from trace_mine.tracer.inside.syntax import doctext


@dataclass(frozen=True, slots=True, kw_only=True)
class Unstable:
    """The parts in which two native runs of one program differ, so that they prove nothing against a session.

    ``names`` are variables (of any frame), ``pieces`` indices of pieces whose output or exception text differs,
    ``orders`` of pieces that echo equal values in other words: the order of a set.
    """

    names: frozenset[str] = frozenset()
    pieces: frozenset[int] = frozenset()
    orders: frozenset[int] = frozenset()


def unstable_parts(
    one: NativeSummary, other: NativeSummary, frames: Sequence[NativeFrame], others: Sequence[NativeFrame]
) -> Unstable:
    """Compare two native runs of one program.

    ``frames`` are those of ``one``, ``others`` those of ``other``, each in the order of their calls. Frames are paired
    by that order, and lines within a pair too: where the paths part, what follows differs by chance, and more names
    are called unstable than need be. That errs on the safe side, since an unstable name is only left out of a check.
    """
    bound = one.variables.keys() | other.variables.keys()
    names = {name for name in bound if one.variables.get(name) != other.variables.get(name)}
    for frame, twin in zip(frames, others, strict=False):
        for name in frame.columns.keys() & twin.columns.keys():
            values = zip(frame.columns[name], twin.columns[name], strict=False)
            # a name that only one run bound at a line tells of another path, not of another value
            if any(ours is not None and theirs is not None and ours != theirs for ours, theirs in values):
                names.add(name)
    pieces: set[int] = set()
    orders: set[int] = set()
    # not strict: the run that raised earlier has fewer pieces, and the pieces after that have nothing to compare with
    for index, (ran, again) in enumerate(zip(one.pieces, other.pieces, strict=False)):
        # texts first: where they differ, checksums differ too, and would call an order what is another value
        if _shown_by(ran) != _shown_by(again):
            pieces.add(index)
        elif ran.repr_checksums != again.repr_checksums:
            orders.add(index)
    return Unstable(names=frozenset(names), pieces=frozenset(pieces), orders=frozenset(orders))


def _shown_by(piece: NativePieceResult) -> tuple[str, tuple[str, ...], Error | None]:
    return piece.stdout, piece.echoes, piece.exception


NOTHING = Unstable()
"""The unstable parts of a program that ran once: none is known to differ by itself yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultDifference:
    """The first difference between the results of a native run and a session.

    Attributes:
        evidence: a line for people.
        piece: the index of the piece whose output, echo or exception differs; None where none does.
        variable: the variable that differs at the end; None where a piece does, or their number.
    """

    evidence: str
    piece: int | None = None
    variable: str | None = None


def check_result(
    native: NativeSummary, driven: DriveSummary, *, single: bool, unstable: Unstable = NOTHING
) -> str | None:
    """Check the result as ``result_difference`` does, and return the evidence alone."""
    difference = result_difference(native, driven, single=single, unstable=unstable)
    return None if difference is None else difference.evidence


def result_difference(
    native: NativeSummary, driven: DriveSummary, *, single: bool, unstable: Unstable = NOTHING
) -> ResultDifference | None:
    """Check the result: the first difference between the native run and the session, None if there is none.

    ``single``: the pieces are examples at a prompt, whose echoes count; a script's expression statements echo nothing.
    What is ``unstable`` is not compared.
    """
    # pieces before variables: a piece that ended early leaves variables unbound, and its exception says why
    for index, (ran, wrote) in enumerate(zip(native.pieces, driven.pieces, strict=False)):
        difference = _piece_difference(ran, wrote, single=single, is_unstable=index in unstable.pieces)
        if difference is not None:
            return ResultDifference(evidence=f"piece {index}: {difference}", piece=index)
    if len(native.pieces) != len(driven.pieces):
        evidence = f"native ran {len(native.pieces)} pieces, the session {len(driven.pieces)}"
        return ResultDifference(evidence=evidence)
    for name in sorted(native.variables.keys() | driven.variables.keys()):
        ran_value, wrote_value = native.variables.get(name), driven.variables.get(name)
        # the spare name is the session's own: the driver took one that the program binds nowhere
        if name == driven.spare or name in unstable.names:
            continue
        # a name that one side lacks is a difference as well: the session forgot a variable, or left one over
        if ran_value is None or wrote_value is None or not same_text(ran_value, wrote_value):
            evidence = f"variable {name}: native {str(ran_value)[:200]}, session {str(wrote_value)[:200]}"
            return ResultDifference(evidence=evidence, variable=name)
    return None


def _piece_difference(ran: PieceResult, wrote: PieceResult, *, single: bool, is_unstable: bool) -> str | None:
    """The first difference between a piece as it ran natively and in the session; of an unstable one only the type of
    its exception counts.
    """
    # The exception's text is not compared: it names the file, which the driver compiles under another name.
    if ran.is_syntax_error or wrote.is_syntax_error:
        if ran.is_syntax_error != wrote.is_syntax_error:
            return f"native {ran.exception}, session {wrote.exception}"
        return None
    if is_unstable:
        # its text proves nothing, but another type of exception is another way through the program
        same = _type_name(ran.exception) == _type_name(wrote.exception)
        return None if same else f"native raised {ran.exception}, session raised {wrote.exception}"
    if ran.exception != wrote.exception:
        return f"native raised {ran.exception}, session raised {wrote.exception}"
    if _masked(ran.stdout) != _masked(wrote.stdout):
        # cut, as all evidence: a program may print a megabyte, and evidence is a line for people
        return f"native printed {ran.stdout[:200]!r}, session printed {wrote.stdout[:200]!r}"
    if single and ran.echoes != wrote.echoes:
        return f"native echoed {list(ran.echoes[:3])}, session echoed {list(wrote.echoes[:3])}"
    return None


def _type_name(error: Error | None) -> str | None:
    return None if error is None else error.type_name


def _masked(text: str) -> str:
    # ``<object at 0x7f...>``: no two runs print the same address, nor the same files of a printed traceback's frames
    return doctext.without_addresses(doctext.comparable(text) if doctext.has_printed_frames(text) else text)


_number = re.compile(r"(?<=\w)_\d+(?=[(>])")
_place = re.compile(r"\b(?:filename|pathname)='(?:<[^'>]*+>|[^']*+(?<=\.py))'|\b(?:_|end_)?lineno=(?:\d++|None)")
"""Attributes by which objects tell where a frame stood: of a warning, a log record, a frame's summary."""


def same_text(ran: str, wrote: str) -> bool:
    """Equal texts, but for the number that a function or class of a followed call may have got at its name.

    The driver runs bodies of calls in the session's one namespace, where a second ``def step`` becomes ``step_2``; its
    value shows as ``<function step_2>``, and an instance of a class as ``Point_1(x=1)``. Nor are places in the source
    compared that an object keeps: a command has a file and lines of its own. Nor identities, by which tables of objects
    that were met are keyed (``{id(x): x}``): in a session other objects were made before.
    """
    return ran == wrote or _comparable(ran) == _comparable(wrote)


def _comparable(text: str) -> str:
    return without_identities(_place.sub("", _number.sub("", text)))
