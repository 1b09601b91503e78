"""Every record of the protocol: round trip, and that mutated JSON raises the protocol's own error or nothing."""

from __future__ import annotations

import copy
import dataclasses
import json
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.tracer.inside.jobs import registry
from trace_mine.tracer.inside.protocol import answers, choice_answers, jobs
from trace_mine.tracer.inside.protocol.answers import ANSWERS
from trace_mine.tracer.inside.protocol.choice_answers import SessionAutomaton
from trace_mine.tracer.inside.protocol.codec import AtMost, Between, ProtocolError, Record, from_json, to_json
from trace_mine.tracer.inside.protocol.jobs import JOBS
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.limits import Limits

RECORDS = sorted(
    {
        each
        for module in (jobs, answers)
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Record) and each is not Record
    },
    key=lambda cls: cls.__name__,
)
TEXTS = st.text(st.characters(), max_size=8) | st.just("\ud800")
MORE = [[[[[[[[1]]]]]]]]
for _ in range(200):
    MORE = [MORE]
STRANGE = [
    *(None, True, False, -1, 0, 1, 2**70, 10**400, 0.5, -0.5, float("nan"), float("inf"), "", "x", "x" * 5_000),
    *([], {}, [[]], [{}], {"": {}}, [1, 2], ["a", "b"], {"a": 1}, MORE, [["a.py", 1, "f"]], "ok", "reveal"),
]


def strategy(annotation: object) -> st.SearchStrategy[Any]:
    """Values of an annotation, as the codec's table says."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        limit = arguments[1]
        if isinstance(limit, Between):
            if arguments[0] is int:
                return st.integers(int(limit.low), int(limit.high))
            return st.floats(limit.low, limit.high)
        assert isinstance(limit, AtMost)
        return strategy(arguments[0]).filter(lambda value: len(value) <= limit.length)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of([strategy(each) for each in arguments])
    if origin is tuple and arguments[1:] == (...,):
        return st.lists(strategy(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(strategy, arguments))
    if origin is Mapping:
        return st.dictionaries(TEXTS, strategy(arguments[1]), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return record(annotation)
    plain = {str: TEXTS, int: st.integers(), bool: st.booleans(), types.NoneType: st.none()}
    return {**plain, float: st.floats(allow_nan=False, allow_infinity=False)}[annotation]


OUTCOMES = st.lists(
    st.integers(-(10**4299), 10**4299)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.none()
    | st.binary(max_size=3).map(lambda raw: {"bytes": raw.hex()}),
    max_size=3,
).map(tuple)
LAW = st.sampled_from([(), (("a", 1.0),), (("a", 0.25), (None, 0.75))]).filter(bool)


def record(cls: type[Record]) -> st.SearchStrategy[Any]:
    """Records of a class; its fields are drawn until they agree."""
    hints = get_type_hints(cls, include_extras=True)
    fields = {field.name: strategy(hints[field.name]) for field in dataclasses.fields(cls)}
    if "outcomes" in fields and cls.__name__ in ("Recorded", "NativeSummary", "DriveSummary"):
        fields["outcomes"] = OUTCOMES
    if "kept" in fields:
        fields["kept"] = st.dictionaries(st.sampled_from([reason.value for reason in Reason]), st.integers(0, 9))
    if cls is answers.EnteredFrames:
        fields["way"] = st.sampled_from([reason.value for reason in Reason])
    if cls is answers.SetUpName:
        words = st.sampled_from(["a", "_b1", "c_default"])
        fields |= {
            "name": words,
            "module": st.sampled_from(["m", "m.n"]),
            "path": st.lists(words, min_size=1).map(tuple),
        }
        fields["key"] = st.sampled_from(["0", "12"])
    if cls in (answers.MustRestart, answers.RefusedCalls):
        fields["reason"] = st.sampled_from([reason.value for reason in Reason])
    if cls is jobs.BeliefsJob:
        fields["outcomes"] = st.none() | OUTCOMES
    if cls is jobs.Laws:
        fields["inputs"] = st.lists(LAW, max_size=2).map(tuple)
        fields["environ"] = st.dictionaries(TEXTS, LAW, max_size=2)
    if cls is choice_answers.SessionAutomaton:
        return automata()
    if cls is choice_answers.AutomatonReport:
        return st.builds(cls, automaton=automata(), why_not=st.none()) | st.builds(
            cls, automaton=st.none(), why_not=TEXTS
        )

    def made(values: dict[str, Any]) -> Record | None:
        try:
            return cls(**_agreeing(cls, values))
        except ProtocolError:
            return None

    return st.fixed_dictionaries(fields).map(made).filter(lambda value: value is not None)


def _agreeing(cls: type[Record], values: dict[str, Any]) -> dict[str, Any]:
    """The values, cut so that lengths and indices agree: drawn freely they hardly ever would."""
    if "probabilities" in values and "outcomes" in values:
        size = min(len(values[name]) for name in ("probabilities", "outcomes", "stderr") if name in values)
        values = {name: v[:size] if isinstance(v, tuple) else v for name, v in values.items()}
    if "taken" in values:
        values["taken"] %= max(1, len(values["probabilities"]))
    if "lines" in values and "columns" in values:
        size = min([len(values["lines"]), *map(len, values["columns"].values())])
        values["lines"] = values["lines"][:size]
        values["columns"] = {name: column[:size] for name, column in values["columns"].items()}
    if "stands_in" in values:
        places = [dataclasses.replace(each, outer=each.outer % (n + 1)) for n, each in enumerate(values["places"])]
        size = min(len(values[name]) for name in ("commands", "stands_in", "printed"))
        values |= {name: values[name][:size] for name in ("commands", "printed")}
        stands_in = tuple(number % (len(places) + 1) for number in values["stands_in"][:size])
        values |= {"places": tuple(places), "stands_in": stands_in}
    if values.get("exception") is None and "is_syntax_error" in values:
        values |= {name: False for name in ("is_syntax_error", "is_unpromised") if name in values}
    if "stands_in" in values:
        number = len(values["commands"])
        values["places"] = tuple(
            dataclasses.replace(place, outer=min(place.outer, index)) for index, place in enumerate(values["places"])
        )
        values["stands_in"] = (0,) * number
        values["printed"] = (0,) * number
        calls = [dataclasses.replace(call, caller=0, at=0 if number else None) for call in values["calls"]]
        values |= {"calls": tuple(calls), "in_call": (len(calls),) * number}
    return values


@st.composite
def automata(draw: st.DrawFn) -> SessionAutomaton:
    states = draw(st.lists(TEXTS, min_size=1, max_size=3, unique=True))
    move = st.tuples(st.floats(0.0, 1.0), st.sampled_from(states), TEXTS)
    moves = st.lists(move, max_size=2).map(tuple)
    commands = draw(st.dictionaries(TEXTS, st.fixed_dictionaries(dict.fromkeys(states, moves)), max_size=2))
    return SessionAutomaton(
        variables=tuple(draw(st.lists(TEXTS, max_size=2))),
        states=tuple(states),
        start=draw(st.sampled_from(states)),
        commands=commands,
    )


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """The JSON value with one thing in it changed, left out, added or doubled."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def walk(held: Any) -> None:
        for key in held if isinstance(held, dict) else range(len(held)):
            places.append((held, key))
            if isinstance(held[key], (dict, list)):
                walk(held[key])

    if not isinstance(value, (dict, list)) or not value:
        return draw(st.sampled_from(STRANGE))
    walk(value)
    held, key = draw(st.sampled_from(places))
    how = draw(st.sampled_from(("strange", "strange", "strange", "less", "more")))
    if how == "strange":
        held[key] = draw(st.sampled_from(STRANGE))
    elif how == "less":
        del held[key]
    elif isinstance(held, dict):
        held[draw(TEXTS)] = copy.deepcopy(held[key])
    else:
        held.append(copy.deepcopy(held[key]))
    return value


def in_json(value: Record) -> Any:
    return json.loads(json.dumps(to_json(value)))


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_every_record_comes_back(cls):
    @settings(max_examples=6, deadline=None)
    @given(record(cls))
    def check(value):
        assert from_json(cls, in_json(value)) == value

    check()


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_mutated_records_are_refused_or_good(cls):
    @settings(max_examples=12, deadline=None)
    @given(st.data())
    def check(data):
        value = data.draw(mutated(in_json(data.draw(record(cls)))))
        try:
            read = from_json(cls, value)
        except ProtocolError as error:
            assert len(str(error)) < 1_000
        else:
            assert from_json(cls, in_json(read)) == read

    check()


@pytest.mark.parametrize("cls", RECORDS, ids=lambda cls: cls.__name__)
def test_no_int_of_a_record_is_without_a_range(cls):
    def plain(annotation):
        if get_origin(annotation) is Annotated:
            # a range is one of the limits; what a tuple is limited to says nothing of its items
            inside = get_args(get_args(annotation)[0])
            return any(map(plain, inside))
        return annotation is int or any(map(plain, get_args(annotation)))

    unbounded = [name for name, hint in get_type_hints(cls, include_extras=True).items() if plain(hint)]
    assert unbounded == [], "a column takes 64 bits, and Python's own text of an int ends at 4,300 digits"


def test_every_job_and_answer_is_under_its_tag():
    for choice, union in ((JOBS, jobs.Job), (ANSWERS, answers.Answer)):
        assert set(choice._by_tag.values()) == set(get_args(union))
    assert registry.KINDS.keys() == set(get_args(jobs.Job))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_inside_answers_a_bad_job_with_an_end_that_says_so(data):
    cls = data.draw(st.sampled_from(get_args(jobs.Job)))
    job = json.loads(json.dumps(JOBS.to_json(data.draw(record(cls)))))
    value = data.draw(mutated(job) | st.sampled_from(STRANGE))
    try:
        JOBS.from_json(value)
    except ProtocolError:
        sent: list[object] = []
        end = registry.run(value, Limits().as_dict(), sent.append, None)
        assert end["end"] == "exception" and end["escaped"] and str(end["exception"]).startswith("ProtocolError: ")
        assert sent == []


def test_bad_limits_are_answered_too():
    job = JOBS.to_json(jobs.PlainJob(source="1 / 0"))
    for limits in ({}, {**Limits().as_dict(), "events": "many"}, {**Limits().as_dict(), "forks": -1}):
        end = registry.run(job, limits, lambda value: pytest.fail("nothing is run"), None)
        assert end["end"] == "exception" and "JobLimits" in str(end["exception"])
