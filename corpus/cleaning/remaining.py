"""Finds what is left of secrets and personal data in a session and all that a row has beside it.

Source is cleaned before it runs; here is what a run made: a key put together of two halves, an address that a package
computes, a module of the standard library, which is run as it is. Such a row is dropped: with a fake it would not
replay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from trace_mine.corpus.cleaning.scrub import find_all, scrub
from trace_mine.corpus.json_texts import json_texts
from trace_mine.tracer.event_log import EventLog
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop, Trace


def remaining(trace: Trace, names: Mapping[str, str | None]) -> Drop | None:
    """The drop of a trace that shows something secret or personal; None where it doesn't.

    Args:
        trace: a session, or the record of a snippet without one.
        names: further texts of its row, by column: its path, its name.

    The evidence says the column and the kind, and never the value.
    """
    for column, text in (*((column, text) for column, text in names.items() if text), *_columns(trace)):
        findings = find_all(text)
        if findings:
            kind = findings[0].kind
            reason = Reason.PERSONAL_DATA if kind.is_personal else Reason.SECRET
            more = f", and {len(findings) - 1} more" if findings[1:] else ""
            line = text.count("\n", 0, findings[0].start) + 1
            return Drop(reason=reason, evidence=f"{kind.words} in {column}, line {line}{more}")
    return None


def _columns(trace: Trace) -> Iterator[tuple[str, str]]:
    yield "text", trace.text
    # with the variable's name before it, by which a secret may be told; each value once
    values = dict.fromkeys(f"{name} = {value}" for step in trace.steps for name, value in step.state.items())
    yield "states", "\n".join(values)
    yield "source", "\n".join(function.text for function in trace.source)
    yield "setup", "\n".join(map(str, json_texts(dict(trace.setup))))
    yield "choices", "\n".join(text for choice in trace.choices for text in (choice.place, *choice.outcomes))
    yield "beliefs", "\n".join(dict.fromkeys(text for belief in trace.beliefs for text in belief.outcomes))
    texts = dict.fromkeys(
        f"{name} = {value}"
        for law in trace.belief_states
        for state in law.states
        for name, value in zip(law.variables, state, strict=True)
    )
    yield "belief_states", "\n".join(texts)
    yield "view", json.dumps(dict(trace.view), ensure_ascii=False)
    if trace.events is not None:
        yield "events", "\n".join(dict.fromkeys(_event_texts(trace.events)))


def with_clean_sources(events: EventLog) -> EventLog:
    """The events with fakes in the sources that they speak of, such as the name at the head of a module.

    Nothing replays these; the values beside them are a run's own, and are looked through as the session is.
    """
    return replace(events, sources=tuple(replace(each, text=scrub(each.text).text) for each in events.sources))


def _event_texts(events: EventLog) -> Iterator[str]:
    for source in events.sources:
        yield from (source.path, source.text)
    for event in events.events:
        yield event.value
        yield from (f"{name} = {value}" for name, value in event.changes.items() if value is not None)
