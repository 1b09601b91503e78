"""Questions of rows: which reveals are one, what they hold, how a set of them is chosen, and their file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trace_mine.corpus.synthetic.__main__ import main as synthesize
from trace_mine.eval.mined import rows_of
from trace_mine.eval.real_beliefs import questions as under_test
from trace_mine.eval.real_beliefs.asking import answer_of_window
from trace_mine.eval.real_beliefs.questions import (
    OF_A_PROGRAM,
    RevealQuestion,
    RoleSpan,
    WindowLaw,
    asked_reveals,
    questions_of,
    read_questions,
    write_questions,
)


def row(name: str = "lib.f~0", repository: str = "lib", *, laws: tuple[tuple[float, ...], ...] = ((0.5, 0.5),)) -> Any:
    """A row whose commands each show one of "0", "1", ... by these laws, and which showed the first of each."""
    text, segments, beliefs = "", [], []
    for step, law in enumerate(laws):
        for role, part in (("prompt", ">>> "), ("command", "f()\n"), ("value", "0\n")):
            segments.append({"start": len(text), "end": len(text) + len(part), "role": role, "step": step})
            text += part
        outcomes = [str(n) for n in range(len(law))]
        belief = {"segment": len(segments) - 1, "method": "exact", "outcomes": outcomes, "probabilities": [*law]}
        beliefs.append(belief)
    shared = {"trace_id": f"{repository}{name}", "repository": repository, "name": name, "entry": "doctest"}
    shared["kept_whole"] = '{"hidden": 1}'
    return {**shared, "text": text, "segments": segments, "beliefs": beliefs, "edits": [{}, {}]}


def test_a_question_has_the_text_before_the_reveal_and_its_law() -> None:
    made = asked_reveals(row(laws=((1.0,), (0.25, 0.75), (0.5, 0.5))), "seen")
    assert [each.law for each in made] == [(0.25, 0.75), (0.5, 0.5)], "what is certain is no question"
    first, second = made
    assert first.text == ">>> f()\n0\n>>> f()\n" and first.ending == "\n" and first.outcomes == ("0", "1")
    assert (first.distance, second.distance) == (2, 1), "commands since the last open reveal, or the beginning"
    assert first.program == "lib.f" and first.edits == 2 and first.shown == 0
    assert "".join(first.text[s.start : s.end] for s in first.segments) == first.text


@pytest.mark.parametrize(
    "change",
    [
        {"method": "bounded"},
        {"method": "sampled"},
        {"probabilities": [0.999, 0.001]},
        {"outcomes": ["0", ""]},
        {"outcomes": ["0", "<T object at 0x7ffff62edcd0>"]},
        {"outcomes": ["1", "2"]},
    ],
    ids=[
        "bounded",
        "sampled",
        "nearly certain",
        "an outcome shows nothing",
        "an outcome shows an address",
        "not what was shown",
    ],
)
def test_what_is_no_question(change: dict[str, Any]) -> None:
    given = row()
    assert len(asked_reveals(given, "seen")) == 1
    given["beliefs"][0] |= change
    assert asked_reveals(given, "seen") == []


def test_a_session_that_was_written_again_is_not_asked_about() -> None:
    given = {**row(), "kept_whole": '{"hidden": 1, "unstable": 1}'}
    assert asked_reveals(given, "seen") == []


def test_too_long_and_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    given = row(laws=((0.5, 0.5), (0.25, 0.25, 0.5)))
    monkeypatch.setattr(under_test, "MOST_OUTCOMES", 2)
    assert [each.law for each in asked_reveals(given, "seen")] == [(0.5, 0.5)]
    monkeypatch.setattr(under_test, "MOST_CHARACTERS", 7)
    assert asked_reveals(given, "seen") == []


def test_a_program_gives_few_and_a_large_repository_no_more_than_its_share() -> None:
    rows = [row(f"lib.f~{n}", laws=((0.5, 0.5),) * 3) for n in range(9)]
    assert len(questions_of(rows, "seen", most=99)) == OF_A_PROGRAM
    rows += [row(f"lib.g{n}~0") for n in range(50)] + [row(f"small.g{n}~0", "small") for n in range(4)]
    taken = questions_of(rows, "seen", most=10)
    assert sum(each.repository == "small" for each in taken) == 4 and len(taken) == 10
    assert questions_of(rows[::-1], "seen", most=10) == taken, "the order on disk decides nothing"


def test_games_have_exact_laws_and_no_program(tmp_path: Path) -> None:
    command = "permutations --rows 12 --held-out 4 --set n=3 --set p=0.3 --commands 6 --spacing 2 --out"
    assert synthesize([*command.split(), str(tmp_path / "games")]) == 0
    rows = rows_of(tmp_path / "games")
    made = questions_of(rows, "games", most=1_000)
    assert len(made) > OF_A_PROGRAM * 4 and {each.program for each in made} == {""}
    by_id = {each["trace_id"]: each for each in rows}
    for question in made:
        trace_id, _, segment = question.name.partition(":")
        text, whole = by_id[trace_id]["text"], question.text + question.outcomes[question.shown] + question.ending
        assert text.startswith(whole)
        assert len(question.segments) == int(segment)


def test_a_question_has_the_laws_after_windows_of_its_reveal_alone() -> None:
    given = row(laws=((0.25, 0.75), (0.5, 0.5)))
    first, second = (each["segment"] for each in given["beliefs"])
    given["windows"] = [
        {"segment": first, "commands": 1, "outcomes": ["0", "1", "2"], "probabilities": [0.25, 0.25, 0.5]},
        # of more outcomes than are listed
        {"segment": second, "commands": 1, "outcomes": ["0", "1"], "probabilities": [0.5, 0.25]},
        {"segment": second, "commands": 4, "outcomes": ["0", "1"], "probabilities": [0.5, 0.5]},
    ]
    one, other = asked_reveals(given, "seen")
    assert one.outcomes == ("0", "1", "2") and one.law == (0.25, 0.75, 0.0)
    assert one.windows == (WindowLaw(commands=1, law=(0.25, 0.25, 0.5)),)
    assert other.windows == (WindowLaw(commands=1, law=(0.5, 0.25)), WindowLaw(commands=4, law=(0.5, 0.5)))
    assert (one.memory, other.memory) == (2, 4)
    answered = answer_of_window(other, 1)
    assert answered.law.tolist() == [2 / 3, 1 / 3] and answered.mass == 0.75
    missing = answer_of_window(one, 4)
    assert missing.law.tolist() == [1 / 3] * 3 and missing.mass != missing.mass, "not answered: outcomes alike"
    with pytest.raises(ValueError, match="for each outcome after each window"):
        replace(one, windows=(WindowLaw(commands=1, law=(1.0,)),))


def test_what_was_shown_long_ago_is_a_question_for_who_forgets_it() -> None:
    given = row(laws=((0.5, 0.5), (1.0,), (1.0,), (1.0,)))
    # one reader knows it in any case, one has forgotten, and one who remembers four commands has not
    windows = {1: {0: (1.0,)}, 2: {0: (0.5, 0.5), 1: (1.0,)}, 3: {0: (0.25, 0.25, 0.5), 1: (0.5, 0.5), 4: (1.0,)}}
    given["windows"] = [
        {"segment": 3 * step + 2, "commands": n, "outcomes": [*map(str, range(len(law)))], "probabilities": [*law]}
        for step, laws in windows.items()
        for n, law in laws.items()
    ]
    first, second, third = asked_reveals(given, "seen")
    assert first.memory != first.memory, "no filter is known"
    assert (second.outcomes, second.law, second.memory, second.bits) == (("0", "1"), (1.0, 0.0), 1, 0)
    assert (third.outcomes, third.law, third.memory) == (("0", "1", "2"), (1.0, 0.0, 0.0), 4)
    assert (first.distance, second.distance, third.distance) == (1, 2, 1)


def test_questions_that_need_memory_are_as_many_as_others() -> None:
    def needing(n: int, repository: str, number: int) -> Any:
        given = row(f"lib.f{number}~0", repository, laws=((0.5, 0.5),))
        given["windows"] = [
            {"segment": 2, "commands": w, "outcomes": ["0", "1"], "probabilities": [0.5, 0.5] if w >= n else [0.9, 0.1]}
            for w in (0, 1, 4, 16)
        ]
        return given

    rows = [needing(0, "lib", number) for number in range(30)]
    rows += [needing(n, repository, n) for n in (1, 16, 17) for repository in ("lib", "other")]
    taken = questions_of(rows, "seen", most=12)
    assert sorted(each.memory for each in taken) == [*[0] * 6, 1, 1, 16, 16, 17, 17]
    assert {each.memory for each in questions_of(rows, "seen", most=4)} == {0, 1, 16}, "one of each group in turn"


@pytest.mark.parametrize(
    ("outcomes", "law", "shown"),
    [(("0",), (1.0,), 0), (("0", "0"), (0.5, 0.5), 0), (("0", "1"), (0.5, 0.6), 0), (("0", "1"), (0.5, 0.5), 2)],
)
def test_a_question_without_a_law_is_refused(outcomes: tuple[str, ...], law: tuple[float, ...], shown: int) -> None:
    with pytest.raises(ValueError, match="expected "):
        RevealQuestion(
            name="a",
            rung="seen",
            repository="",
            program="",
            text="",
            segments=(),
            ending="",
            outcomes=outcomes,
            law=law,
            shown=shown,
            edits=0,
            distance=1,
        )


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # on a busy machine a first draw takes seconds
@given(
    outcomes=st.lists(st.lists(st.text(max_size=3), min_size=2, max_size=3, unique=True), max_size=2),
    text=st.text(max_size=5),
)
def test_a_file_gives_back_what_was_written(
    outcomes: list[list[str]], text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = [
        RevealQuestion(
            name=f"{n}:0",
            rung="unseen",
            repository=text,
            program=text,
            text=text,
            segments=(RoleSpan(start=0, end=len(text), role="command", step=0),),
            ending="\n",
            outcomes=tuple(texts),
            law=(1 - 0.125 * (len(texts) - 1), *[0.125] * (len(texts) - 1)),
            shown=1,
            edits=n,
            distance=1,
            windows=(WindowLaw(commands=n, law=(0.5, *[0.125] * (len(texts) - 1))),) * n,
        )
        for n, texts in enumerate(outcomes)
    ]
    path = tmp_path_factory.mktemp("questions") / "a.jsonl"
    write_questions(path, made)
    assert read_questions(path) == made


def test_another_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got no file; make them with trace-eval"):
        read_questions(tmp_path / "none.jsonl")
    made = asked_reveals(row(), "seen")
    write_questions(tmp_path / "a.jsonl", made)
    entry = json.loads((tmp_path / "a.jsonl").read_text())
    for broken in ("[]", "{}", json.dumps({**entry, "law": [2, 3]}), json.dumps({**entry, "segments": [{"x": 1}]})):
        (tmp_path / "b.jsonl").write_text(f"{json.dumps(entry)}\n{broken}\n")
        with pytest.raises(ValueError, match="expected a question in line 2 of"):
            read_questions(tmp_path / "b.jsonl")
