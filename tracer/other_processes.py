"""Laws of a session's outputs held against those that other processes find: under another hash seed, elsewhere in
memory, on what claims to be another machine.

What a session shows is replayed in another world. What it *could have* shown is seen by no replay, and may hold an
address, or the order of a set of texts: then its law is that of one process, and no other one's. So where a program may
make anything of the kind (``inside.states.process_facts``), or a text of a law looks like it, all outcomes are followed
once more, in the replaying world and, for orders, in two others: two texts of a set stand in one order under two seeds
half of the time, under four once in eight.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from trace_mine.tracer.inside.protocol.choice_answers import BeliefsReport, CommandBelief
from trace_mine.tracer.inside.states.records import HangsOn
from trace_mine.tracer.replays.set_orders import set_sizes

SAME = 1e-9
"""How far two probabilities may be apart that are one: sums of many in another order."""

_address = re.compile(r"\b0x[0-9a-f]{6,}\b")


def may_hang_on(report: BeliefsReport) -> HangsOn:
    """Tell on what of the process the outcomes of a session may hang: by its code, and by the texts of its laws."""
    if report.hangs_on == "order":
        return "order"
    texts = [outcome for belief in (*report.beliefs, *report.silent) for outcome in belief.outcomes]
    if any(size > 1 for text in texts if "{" in text for size in set_sizes(text)):
        return "order"
    return "process" if report.hangs_on or any(map(_address.search, texts)) else ""


def differing(
    report: BeliefsReport, ask: Iterable[Callable[[int], BeliefsReport]], *, first_only: bool = False
) -> frozenset[int]:
    """Find the commands whose output has a law in another process that is another one, or none.

    Args:
        report: the laws that this is about. Sampled ones are left out, which claim no more than they are.
        ask: each follows all outcomes of the session's first so many commands once more, in a process of its own.
        first_only: only the first such command is wanted, so that later ones need not be looked at.
    """
    laws = [each for each in (*report.beliefs, *report.silent) if each.method != "sampled"]
    apart: set[int] = set()
    for follow in ask:
        if not laws:
            break
        other = follow(max(law.command for law in laws) + 1)
        others = {each.command: each for each in (*other.beliefs, *other.silent)}
        apart.update(law.command for law in laws if not _same(law, others.get(law.command)))
        if apart and first_only:
            apart = {min(apart)}
            laws = [law for law in laws if law.command < min(apart)]
    return frozenset(apart)


def _same(one: CommandBelief, other: CommandBelief | None) -> bool:
    """Return True if two laws of an output are one, within what was not followed."""
    if other is None or other.method == "sampled":
        return False
    laws = [
        dict(zip(each.outcomes, zip(each.probabilities, each.stderr, strict=True), strict=True))
        for each in (one, other)
    ]
    unknown = 0.0, max((*one.stderr, *other.stderr), default=0.0)
    for text in laws[0].keys() | laws[1].keys():
        (p, error), (q, other_error) = laws[0].get(text, unknown), laws[1].get(text, unknown)
        if abs(p - q) > SAME + error + other_error:
            return False
    # a text without mass in one of them is another text all the same, but where mass was not followed
    return one.method == "bounded" or other.method == "bounded" or set(one.outcomes) == set(other.outcomes)
