"""A run's summary for people, a few lines: what the session has, what it keeps whole and why, and what to do about it.

Everything of the program's in it is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass

from trace_mine.tracer.denials import denial_in, denial_of_script
from trace_mine.tracer.inside.reasons import Meaning, ReasonStage, reason_of
from trace_mine.tracer.schema import Drop, Trace
from trace_mine.tracer.script_folder import FolderCopy
from trace_mine.tracer.scripts import SEEDING, may_read_input
from trace_mine.tracer.visible import one_line

MAX_REASONS = 2
"""Reasons for what was kept whole that get a line each, the most frequent first."""
MAX_NAMED = 3
"""Files that were left out of the copy that are named."""
RANDOM_WORDS = ("random", "secrets", "shuffle")
_WHOLE = (ReasonStage.WHOLE, ReasonStage.LESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptFacts:
    """What the caller knows of a run beside its result.

    Attributes:
        source: the program's text.
        has_input: it was given a standard input.
        copied: the copy of its folder; None: there is none.
    """

    source: str
    has_input: bool = False
    copied: FolderCopy | None = None


def summary(result: Trace | Drop, facts: ScriptFacts) -> list[str]:
    """Make the lines of a summary: at most eight, each escaped."""
    lines = [] if isinstance(result, Drop) else [_counts(result), *_kept(result)]
    if isinstance(result, Drop):
        text = result.evidence
        denial = denial_in(text, copied=facts.copied)
    else:
        text = result.text
        denial = denial_of_script(text, result.steps, is_ok=result.exception is None, copied=facts.copied)
    if denial is not None:
        lines.append(f"the sandbox, not the program: {one_line(denial.evidence)}. {denial.cure}")
    asked = _asked(result, text, facts)
    if asked:
        lines.append(asked)
    if facts.copied is not None and facts.copied.num_left_out:
        lines.append(_left_out(facts.copied))
    if isinstance(result, Trace) and _draws(result, facts.source):
        lines.append(
            f"the program draws at random: {_drawn(result)}--view branch hides what it drew, --beliefs shows how "
            "likely it was"
        )
    return lines


def _asked(result: Trace | Drop, text: str, facts: ScriptFacts) -> str:
    """What to say of input that was asked for and not given; empty where there is nothing to say."""
    if not may_read_input(facts.source):
        return ""
    is_end = isinstance(result, Trace) and "EOFError" in (result.exception or "")
    if is_end or "EOF when reading a line" in text:
        if facts.has_input:
            return "the program asked for more input than it was given; give it more lines"
        return f"the program asked for input and was given none: {GIVE_INPUT}"
    # a program that catches the end of its input, or reads all of none, says nothing of it
    reads = isinstance(result, Trace) and any(may_read_input(step.source) for step in result.steps)
    return f"the program may read input, and was given none: {GIVE_INPUT}" if reads and not facts.has_input else ""


GIVE_INPUT = "pipe it in, or give --stdin FILE"


def _counts(trace: Trace) -> str:
    calls = "1 call" if trace.opened_calls == 1 else f"{trace.opened_calls:,} calls"
    commands = "1 command" if len(trace.steps) == 1 else f"{len(trace.steps):,} commands"
    ended = "" if trace.outcome == "ok" else f"; ended with {one_line(trace.exception or trace.outcome, 80)}"
    return f"{commands}, {calls} opened{_frames(trace)}{ended}"


def _frames(trace: Trace) -> str:
    """How many of the own frames the session shows, with the reasons for the others, the most frequent first."""
    if not trace.own_frames:
        return ""
    ranked = sorted(trace.unopened_frames.items(), key=lambda each: (-each[1], each[0]))
    others = ", ".join(f"{one_line(word)} {count:,}" for word, count in ranked)
    return f", {trace.opened_frames:,} of {trace.own_frames:,} own frames{f' (not {others})' if others else ''}"


def _kept(trace: Trace) -> list[str]:
    """A line for each of the most frequent reasons for which something was kept whole, or is not shown."""
    ranked = sorted(trace.kept_whole.items(), key=lambda each: (-each[1], each[0]))
    lines = []
    for word, count in ranked[:MAX_REASONS]:
        meaning = _meaning(word)
        lines.append(f"{count:,} x {word}: {meaning.why} {meaning.cure}".rstrip())
    rest = ranked[MAX_REASONS:]
    if rest:
        lines.append(f"{sum(count for _, count in rest):,} more for {', '.join(one_line(word) for word, _ in rest)}")
    return lines


def _meaning(word: str) -> Meaning:
    """What a word of ``kept_whole`` says; words that are drops too have another sense here."""
    meanings = reason_of(word).meanings
    return next((each for each in meanings if each.stage in _WHOLE), meanings[0])


def _left_out(copied: FolderCopy) -> str:
    named = [f"{one_line(path, 60)} ({one_line(why, 60)})" for path, why in copied.left_out[:MAX_NAMED]]
    more = copied.num_left_out - len(named)
    return f"not in the copy of the script's folder: {', '.join(named)}{f' and {more:,} more' if more else ''}"


def _drawn(trace: Trace) -> str:
    """What the set-up did about draws, with the option that has another run; empty where it did nothing."""
    code = str(trace.setup.get("code", ""))
    seeded = code.partition(SEEDING)[2].partition(")")[0]
    return f"this is its run after random.seed({seeded}), --seed N shows another; " if seeded else ""


def _draws(trace: Trace, source: str) -> bool:
    """Return True if the program seems to draw, and the view does not hide that."""
    hides = trace.view.get("policy") not in ("written", "skip", None)
    return not hides and any(word in source for word in RANDOM_WORDS)
