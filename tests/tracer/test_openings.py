"""What views let the driver open and show: each implementation of ``Opening`` against what it promises."""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace
from typing import Any

import pytest

from trace_mine.tracer.hiding import Believed, not_contradicted
from trace_mine.tracer.inside.observe.reveals import Reveals
from trace_mine.tracer.inside.program import fresh_namespace
from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.states import interpreter
from trace_mine.tracer.inside.states.records import Spent
from trace_mine.tracer.inside.states.world import World
from trace_mine.tracer.inside.views.choose import choose_opening
from trace_mine.tracer.inside.views.narrowed import OpensNothing, SkipsLoops
from trace_mine.tracer.inside.views.opening import Opening
from trace_mine.tracer.inside.views.opens_agreed import OpensAgreed
from trace_mine.tracer.inside.views.opens_all import MOST_REVEALS, OpensAll
from trace_mine.tracer.inside.views.opens_spaced import OpensSpaced
from trace_mine.tracer.inside.views.spaced_reveals import SpacedReveals, Spacing
from trace_mine.tracer.schema import Belief, BeliefStates

IF, LOOP, TRY = (ast.parse(text).body[0] for text in ("if x: y()", "for i in x: y()", "try: y()\nexcept E: z()"))
RETURNING = ast.parse("def f():\n  for i in x:\n    return i").body[0].body[0]  # type: ignore[attr-defined]
PLAIN = ast.parse("x = 1").body[0]


class Shown:
    """A session that records the reveals that it is asked for; values of names in ``refused`` can't be shown."""

    def __init__(self, refused: tuple[str, ...] = ()) -> None:
        self.reveals: list[str] = []
        self.refused = refused

    def show_value(self, source: str) -> bool:
        if source not in self.refused:
            self.reveals.append(source)
        return source not in self.refused

    def show_by_command(self, source: str) -> None:
        self.reveals.append(source)


def spacing(**changes: Any) -> Spacing:
    return Spacing(**{"every": 2, "partial": False, "style": "echo", "seed": 0, **changes})


def opens_all(
    namespace: dict[str, Any] | None = None, *, comprehensions: bool = False, repeats: bool = False
) -> OpensAll:
    reveals = Reveals({} if namespace is None else namespace, lambda filename: True)
    return OpensAll(reveals, spare="_", comprehensions=comprehensions, repeats=repeats)


class Box:
    """A class of the program's own, as the openings of these tests are told."""

    def __init__(self, **fields: object) -> None:
        vars(self).update(fields)


class Written:
    """A session of the plain view: ``after`` executes a command and returns the reveals that follow it."""

    def __init__(self, code: str = "", *, refused: tuple[str, ...] = (), repeats: bool = False) -> None:
        self.namespace: dict[str, Any] = {"__name__": __name__, "Box": Box}
        exec(code, self.namespace)
        self.opening = opens_all(self.namespace, repeats=repeats)
        self.refused = refused

    def run(self, command: str) -> list[str]:
        """Execute a command, and return the names that it binds."""
        before = dict(self.namespace)
        exec(command, self.namespace)
        return [name for name, value in self.namespace.items() if before.get(name, before) is not value]

    def after(self, command: str, *changed: str) -> list[str]:
        binds = [name for name in self.run(command) if name != "__builtins__"]
        session = Shown(self.refused)
        self.opening.reveal_after(command, binds, [*changed, *(n for n in binds if n not in changed)], session)
        return session.reveals


def make_world(code: str = "", seconds: float = 20.0, lazy: bool = True) -> World:
    namespace = fresh_namespace(Program(code=code))
    return World(namespace, 0, lambda path: False, output_limit=1 << 16, max_seconds=seconds, lazy=lazy)


def opens_agreed(code: str, seconds: float = 20.0, **changes: Any) -> OpensAgreed:
    from trace_mine.tracer.inside.draws.patches import install

    install()
    return OpensAgreed(lambda lazy: make_world(code, seconds, lazy), SpacedReveals(spacing(**changes)))


# which implementation


@pytest.mark.parametrize(
    ("has_spacing", "hides", "expected"),
    [(False, False, OpensAll), (True, False, OpensSpaced), (True, True, OpensAgreed)],
)
def test_a_view_gets_its_opening(has_spacing: bool, hides: bool, expected: type) -> None:
    def choose(*, opens_statements: bool = True, skips_loops: bool = False) -> Opening:
        return choose_opening(
            {},
            is_own=lambda filename: True,
            spare="_",
            spacing=spacing() if has_spacing else None,
            make_world=(lambda lazy: make_world()) if hides else None,
            opens_statements=opens_statements,
            skips_loops=skips_loops,
            opens_comprehensions=False,
        )

    assert type(choose()) is expected
    assert type(choose(skips_loops=True)) is SkipsLoops
    assert type(choose(skips_loops=True, opens_statements=False)) is OpensNothing


# what is kept by its kind


def test_a_full_session_keeps_what_it_can() -> None:
    opening = opens_all()
    for node in (IF, LOOP, TRY):
        assert opening.keeps(node, is_full=False) is None
        assert opening.keeps(node, is_full=True) == "budget"
    assert opening.keeps(RETURNING, is_full=True) is None, "it cannot be a command by itself"


def test_skipping_keeps_loops_and_nothing_else() -> None:
    opening = SkipsLoops(opens_all())
    assert opening.keeps(LOOP, is_full=False) == "skipped"
    assert opening.keeps(LOOP, is_full=True) == "budget"
    assert opening.keeps(IF, is_full=False) is None
    assert opening.keeps(RETURNING, is_full=False) is None


def test_the_last_resort_keeps_every_compound_statement() -> None:
    opening = OpensNothing(SkipsLoops(opens_all()))
    for node in (IF, LOOP, TRY, RETURNING):
        assert opening.keeps(node, is_full=False) == opening.keeps(node, is_full=True) == "closed"


@pytest.mark.parametrize("kind", [OpensNothing, SkipsLoops])
def test_a_narrowed_opening_leaves_all_else_to_the_inner_one(kind: type) -> None:
    """Each question goes to the inner opening, with its arguments, and the inner one's answer comes back."""
    asked: list[tuple[str, tuple[Any, ...]]] = []

    def answering(name: str) -> Any:
        def answer(self: Any, *arguments: Any) -> Any:
            asked.append((name, arguments))
            return f"answer of {name}"

        return property(answer) if isinstance(vars(Opening)[name], property) else answer

    names = Opening.__abstractmethods__
    inner = type("Inner", (Opening,), {name: answering(name) for name in names})()
    opening = kind(inner)
    for name in sorted(names - {"keeps"}):
        asked.clear()
        if isinstance(vars(Opening)[name], property):
            arguments: tuple[Any, ...] = ()
            answer = getattr(opening, name)
        else:
            count = len(inspect.signature(vars(Opening)[name]).parameters) - 1
            arguments = tuple(object() for _ in range(count))
            answer = getattr(opening, name)(*arguments)
        assert asked == [(name, arguments)]
        assert answer in (f"answer of {name}", None)
        assert answer is not None or name in ("emitted", "rewritten", "reveal_after", "unshown", "forget")


# the written session


def test_written_variables_are_shown_up_to_a_bound() -> None:
    namespace: dict[str, Any] = {name: index for index, name in enumerate("abcdefg")}
    session = Shown(refused=("b",))
    opens_all(namespace).reveal_after("f()", [], list("abcdefg"), session)
    assert session.reveals == ["a", "c", "d", "e"] and len(session.reveals) == MOST_REVEALS


def test_what_the_command_spells_is_not_shown_again() -> None:
    namespace: dict[str, Any] = {"x": 1, "_": 2}
    session = Shown()
    opening = opens_all(namespace)
    opening.reveal_after("x = 1", ["x"], ["x", "_", "gone"], session)
    assert not session.reveals
    opening.reveal_after("x = f()", ["x"], ["x", "_", "gone"], session)
    assert session.reveals == ["x"]


def test_an_object_is_shown_once_under_the_name_that_the_command_uses() -> None:
    session = Written("x = y = []; box = self_1 = Box(items=x, n=0); held = Box(box=box)")
    for command in ("f = print", "f = max"):  # remembers the fields as they are
        session.after(command, "box", "self_1", "held")
    assert session.after("x.append(1)", "x", "y", "box", "self_1", "held") == ["x"]
    assert session.after("y.append(1)", "x", "y", "box", "self_1", "held") == ["y"]
    assert session.after("box.items.append(1)", "x", "y", "box", "self_1", "held") == ["box.items"]
    assert session.after("self_1.n += 1", "box", "self_1", "held") == ["self_1.n"]
    assert session.after("held.box.n += 1", "box", "self_1", "held") == ["held.box.n"]
    assert session.after("vars(self_1).update(n=7)", "box", "self_1", "held") == ["self_1.n"]
    # no name of it in the text: the shortest one, of these the latest
    session.namespace["grow"] = lambda: session.namespace["x"].append(2)
    assert session.after("grow()", "x", "y", "box", "self_1", "held") == ["y"]


def test_equal_values_of_two_objects_are_both_shown() -> None:
    """CPython shares what can't change by itself, so that nothing follows from it."""
    session = Written("x, y, n, m, t, u = [], [], 0, 0, (), ()")
    assert session.after("x.append(1); y.append(1)", "x", "y") == ["x", "y"]
    assert session.after("n, m = len(x), len(y)") == ["n", "m"]
    assert session.after("t, u = tuple(x), (1,)") == ["t", "u"]
    assert session.after("n = m = len(x) + 1") in (["n"], ["m"])


def test_another_name_for_a_value_that_the_text_gave_is_not_shown() -> None:
    session = Written("n = 5", refused=("secret",))
    assert session.after("a = n") == ["a"], "the text has no value of n yet"
    assert session.after("b = a") == [] and session.after("c = b") == []
    assert session.after("secret = a + 1") == []
    assert session.after("d = secret") == ["d"], "it could not be shown"
    assert session.after("e = None") == [] and session.after("g = e") == []
    # a command after which nothing was shown
    session.opening.unshown(session.run("a = 7"))
    assert session.after("h = a") == ["h"]
    session.opening.forget("b")
    assert session.after("i = b") == ["i"]


def test_the_fields_of_an_object_are_not_shown_again_under_another_name() -> None:
    session = Written("box = Box(n=1); held = Box(box=box)")
    session.after("f = print", "box", "held")
    assert session.after("x = box") == [] and session.after("y = held.box") == []
    session.run("outer = Box(inner=Box(n=3))")
    assert session.after("v = outer.inner") == ["v.n"], "nothing has shown this object"
    assert session.after("z = held.box.n") == ["z"], "a value that is read back"
    session.namespace["Reading"] = type("Reading", (Box,), {"box": property(lambda self: Box(n=2))})
    session.run("reading = Reading()")
    assert session.after("w = reading.box") == ["w.n"], "the class makes another object"


def test_a_field_that_the_command_gives_is_not_shown() -> None:
    session = Written("box = Box(); n = 5")
    assert session.after("box.a = 1", "box") == []
    assert session.after("box.b = n", "box") == ["box.b"], "the text has no value of n yet"
    session.after("m = n + 1")
    assert session.after("box.c = m", "box") == []
    assert session.after("box.c = box.d = m + 1", "box") in (["box.c"], ["box.d"])
    assert session.after("box.d = m + 2", "box") == ["box.d"]
    session.namespace["Changing"] = type(
        "Changing", (Box,), {"__setattr__": lambda self, name, value: Box.__init__(self, **{name: 2})}
    )
    session.namespace["box"] = session.namespace["Changing"]()
    assert session.after("box.a = 1", "box") == ["box.a"], "the class made it another value"


def test_all_names_are_shown_where_repeats_are_wanted() -> None:
    session = Written("x = y = []; box = Box()", repeats=True)
    assert session.after("x.append(1)", "x", "y") == ["x", "y"]
    assert session.after("n = 5") == ["n"] and session.after("m = n") == ["m"]
    assert session.after("box.n = 5", "box") == ["box.n"]


# spaced reveals


def test_reveals_come_after_every_second_command() -> None:
    namespace: dict[str, Any] = {"x": 1, "y": [1, 2], "f": print}
    opening = OpensSpaced(namespace, SpacedReveals(spacing()))
    session = Shown()
    opening.reveal_after("x = 1", ["x"], [], session)
    assert not session.reveals
    opening.reveal_after("y = [1, 2]; f = print", ["y", "f"], [], session)
    assert session.reveals == ["x", "y"], "a function is not shown"
    opening.forget("x")
    opening.reveal_after("pass", [], [], session)
    opening.reveal_after("pass", [], [], session)
    assert session.reveals == ["x", "y", "y"]


def test_partial_reveals_are_drawn_by_seed_and_not_by_value() -> None:
    def drawn(seed: int, value: int) -> list[str]:
        namespace: dict[str, Any] = dict.fromkeys("abcdef", value)
        opening = OpensSpaced(namespace, SpacedReveals(spacing(every=1, partial=True, style="print", seed=seed)))
        session = Shown()
        for _ in range(20):
            opening.reveal_after("f()", list("abcdef"), list("abcdef")[:value], session)
        return session.reveals

    assert drawn(0, 1) == drawn(0, 2) != drawn(1, 1)
    assert set(drawn(0, 1)) == {f"print({name!r}, {name})" for name in "abcdef"}


def test_no_reveal_is_due_once_the_hidden_inputs_are_asked_for() -> None:
    reveals = SpacedReveals(spacing(every=1, asked={"x": "print('x', x)"}))
    assert reveals.due("y = f()", ["y"], lambda name: True) == ["y"]
    reveals.emitted("print('x', x)", "x 1\n", None)
    assert not reveals.due("y = f()", ["y"], lambda name: True)


@pytest.mark.parametrize("style", ["echo", "print"])
def test_what_the_text_gave_is_not_shown_again(style: str) -> None:
    namespace: dict[str, Any] = {"x": "a"}
    opening = OpensSpaced(namespace, SpacedReveals(spacing(every=1, partial=True, style=style)))
    session = Shown()
    opening.reveal_after("x = 'a'", ["x"], [], session)
    assert not session.reveals, "the command spells the value"
    opening.reveal_after("x = f()", ["x"], [], session)
    reveal = "print('x', x)" if style == "print" else "x"
    assert session.reveals == [reveal]
    opening.emitted(reveal, "x a\n" if style == "print" else "'a'\n", None)
    opening.reveal_after("g()", [], [], session)
    assert session.reveals == [reveal], "nothing could have changed it"
    namespace["x"] = "b"  # by g, through another name
    opening.reveal_after("g()", [], [], session)
    assert session.reveals == [reveal, reveal]


def test_what_the_text_gave_is_not_shown_under_another_name() -> None:
    namespace: dict[str, Any] = {"x": [1], "y": [1]}
    opening = OpensSpaced(namespace, SpacedReveals(spacing(every=1, partial=True)))
    session = Shown()
    opening.reveal_after("x = [1]", ["x"], [], session)
    namespace["y"] = namespace["x"]
    opening.reveal_after("y = x", ["y"], [], session)
    assert not session.reveals, "the commands give both values"
    namespace["x"].append(2)
    opening.reveal_after("x.append(2)", [], [], session)
    assert session.reveals in (["x"], ["y"])
    opening.emitted(session.reveals[0], "[1, 2]\n", None)
    opening.reveal_after("f()", [], [], session)
    assert len(session.reveals) == 1, "the other name is another one for what was shown"
    namespace["y"] = [1, 2]
    opening.reveal_after("y = f()", ["y"], [], session)
    assert session.reveals[1:] == ["y"], "it was bound anew"


def test_reveals_that_tell_nothing_are_given_on_request() -> None:
    for changes in ({"repeats": True, "partial": True}, {"partial": False}):
        session = Shown()
        opening = OpensSpaced({"x": 1}, SpacedReveals(spacing(every=1, **changes)))
        opening.reveal_after("x = 1", ["x"], [], session)
        opening.reveal_after("pass", [], [], session)
        assert session.reveals == ["x", "x"]


@pytest.mark.parametrize("change", [{"every": -1}, {"style": "loud"}])
def test_a_spacing_checks_itself(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected .*got"):
        spacing(**change)


def test_spaced_views_open_what_hiding_ones_could() -> None:
    opening = OpensSpaced({}, SpacedReveals(spacing()))
    comprehension = ast.parse("[x for x in y]", mode="eval").body
    assert opening.opens_block(TRY)  # type: ignore[arg-type]
    assert not opening.opens_block(ast.parse("def f():\n  with x: return 1").body[0].body[0])  # type: ignore[attr-defined]
    assert not opening.opens_generators() and not opening.opens_comprehension(comprehension)  # type: ignore[arg-type]
    assert opens_all(comprehensions=True).opens_comprehension(comprehension)  # type: ignore[arg-type]


# hidden outcomes


def test_a_test_is_opened_where_all_states_agree() -> None:
    opening = opens_agreed("from random import random, choice")
    opening.emitted("x = choice([1, 2, 4])", "", None)
    assert not opening.is_certain and opening.failure is None
    assert opening.opens_test("x > 0") and not opening.opens_test("x > 1")
    opening.emitted("print(x % 2)", "0\n", None)
    assert opening.opens_test("x > 1") and not opening.is_certain
    opening.emitted("print(x)", "4\n", None)
    assert opening.is_certain


def test_a_variable_that_may_have_changed_is_shown_again() -> None:
    """It changed in some states and not in others, so whether it is shown says nothing of the state that is there."""
    opening = opens_agreed("from random import random", every=1, partial=True)
    session = Shown()
    opening.emitted("x = [0]", "", None)
    opening.reveal_after("x = [0]", ["x"], ["x"], session)
    assert not session.reveals
    opening.emitted("x.append(1) if random() < 0.5 else None", "", None)
    opening.reveal_after("x.append(1) if random() < 0.5 else None", [], [], session)
    assert session.reveals == ["x"]
    opening.emitted("x", "[0]\n", None)
    opening.reveal_after("pass", [], [], session)
    assert session.reveals == ["x"], "every state that is left has the value that was shown"


def test_a_hidden_input_is_shown_under_no_name() -> None:
    opening = opens_agreed("from random import choice", every=1, asked={"x": "print('x', x)"})
    session = Shown()
    opening.emitted("x = choice([1, 2]); y = x; z = 3", "", None)
    opening.reveal_after("x = choice([1, 2]); y = x; z = 3", ["x", "y", "z"], [], session)
    assert session.reveals == ["z"]


def test_where_the_support_is_lost_nothing_is_opened_or_shown() -> None:
    opening = opens_agreed("from random import random", every=1)
    opening.emitted("x = 1", "", None)
    assert opening.opens_test("x")
    opening.emitted("print(x)", "2\n", None)  # no state shows that
    assert opening.failure is not None and opening.failure.startswith("Impossible")
    loop = ast.parse("while x: pass").body[0]
    assert not opening.opens_test("x") and not opening.opens_loop(loop)  # type: ignore[arg-type]
    assert not opening.opens_call([], [PLAIN]) and not opening.is_certain
    session = Shown()
    opening.reveal_after("x = 1", ["x"], ["x"], session)
    assert not session.reveals


def test_a_world_that_cannot_be_made_is_a_lost_support() -> None:
    def spent(lazy: bool) -> World:
        raise Spent("no time")

    opening = OpensAgreed(spent, SpacedReveals(spacing()))
    assert opening.failure == "Spent: no time" and not opening.opens_test("True")


def test_an_error_that_speaks_of_floats_is_no_reason_to_lose_the_states() -> None:
    opening = opens_agreed("from random import randint")
    opening.emitted("x = randint(0, 1)", "", None)
    # refused with lazy reals and without: the states are followed all the same, and no draw is sampled
    error = "TypeError: '<' not supported between instances of 'float' and 'str'"
    shown = f"Traceback (most recent call last):\n    ...\n{error}"
    opening.emitted("1.5 < ''", "", shown)
    assert opening.failure is None and opening.loss is None
    assert opening.opens_test("1 < 2") and not opening.opens_test("x")


def test_why_the_states_are_lost_is_told_apart() -> None:
    opening = opens_agreed("from random import random")
    opening.emitted("x = random() < 0.5", "", None)
    opening.emitted("print(x)", "2\n", None)
    assert opening.loss is Reason.SUPPORT_LOST and "Impossible" in str(opening.failure)
    opening = opens_agreed("from random import random\nimport json")
    opening.emitted("x = random()", "", None)
    opening.emitted("_ = json.dumps(x)", "", None)
    assert opening.loss is Reason.SUPPORT_LOST and "Refused" in str(opening.failure), "a sampled number is no certainty"
    opening = opens_agreed("from random import random", seconds=0.0)
    opening.emitted("x = random() < 0.5", "", None)
    assert opening.loss is Reason.OPENING_SPENT and not opening.opens_test("True")


def test_no_belief_is_called_exact_where_the_states_were_wrong() -> None:
    def belief(method: str) -> Belief:
        return Belief(segment=0, outcomes=("1",), probabilities=(1.0,), method=method, stderr=(0.0,))

    def law(absent: str) -> BeliefStates:
        return BeliefStates(segment=0, variables=(), states=(), outcomes=(), probabilities=(), absent=absent)

    beliefs = tuple(map(belief, ("exact", "bounded", "sampled")))
    states = tuple(map(law, ("long", "undrawn", "sampled")))
    found = Believed(choices=(), beliefs=beliefs, states=states, windows=(), failure=None)
    sampled = replace(found, beliefs=beliefs[2:], states=states[2:])
    assert not_contradicted(found, {Reason.OPENING_SPENT: 1}) == found
    assert not_contradicted(found, {Reason.SUPPORT_LOST: 1}) == replace(sampled, failure="support_lost")
    assert not_contradicted(sampled, {Reason.SUPPORT_LOST: 1}) == sampled
    spent = replace(found, failure="Spent")
    assert not_contradicted(spent, {Reason.SUPPORT_LOST: 1}) == replace(sampled, failure="Spent")


RETURNS = """
x = v[k]
for i in range(2):
    x += v[k]
return x
"""


def test_an_exception_that_some_states_raise_keeps_nothing_whole() -> None:
    opening = opens_agreed("from random import choice\nv = [1, 2]")
    opening.emitted("k = choice([1, 2])", "", None)  # past the end of v in half of the states
    body = ast.parse(RETURNS).body
    assert opening.opens_call([], body)
    loop = body[1]
    assert isinstance(loop, ast.For) and opening.opens_loop(loop) and opening.opens_iteration(loop, "i = 1")
    hidden = ast.parse("for i in range(2):\n    if k == 2:\n        return v[k]\nreturn 0").body
    assert not opening.opens_call([], hidden), "a return that is not shown"
    assert not opening.opens_test("v[k] > 0"), "a test has to have one truth"
    opening.emitted("v[k]", "2\n", None)
    assert opening.opens_call([], hidden)


@pytest.mark.parametrize("most", [1, 4_096])
def test_what_no_jump_leaves_is_opened_however_many_states_there_are(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(interpreter, "MOST_STATES", most)
    opening = opens_agreed("from random import random")
    opening.emitted("n = [random() < 0.5, random() < 0.5]", "", None)
    straight = ast.parse("for i in n:\n    for j in n:\n        if j:\n            break\nreturn sum(n)").body
    assert opening.opens_call([], straight) and opening.opens_iteration(straight[0], "i = n[1]")
    # the same with a jump is looked at from all states, if these are not too many
    jump = ast.parse("for i in n:\n    if i is None:\n        return 1\nreturn 2").body
    assert opening.opens_call([], jump) is (most > 1)


def test_nothing_hidden_is_said_by_the_opening_s_kind() -> None:
    assert opens_agreed("").hides and SkipsLoops(opens_agreed("")).hides
    assert not opens_all().hides
