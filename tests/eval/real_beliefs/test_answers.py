"""Answers and their scores: the exact law is the floor, baselines are what they say, models are asked as they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_questions import row

from trace_mine.corpus.synthetic.__main__ import main as synthesize
from trace_mine.eval.hf import hf_predictor
from trace_mine.eval.mined import rows_of
from trace_mine.eval.real_beliefs.asking import UNANSWERED, ModelAnswer, answers_of_model, answers_of_run
from trace_mine.eval.real_beliefs.ladder import RUNGS
from trace_mine.eval.real_beliefs.making import TRAINING
from trace_mine.eval.real_beliefs.predictors import Frequency, LastOutcome, alike, baselines, exact
from trace_mine.eval.real_beliefs.questions import RevealQuestion, asked_reveals, questions_of, write_questions
from trace_mine.eval.real_beliefs.ranking import METRICS, score_all, table
from trace_mine.eval.real_beliefs.scoring import calibration_error, score
from trace_mine.eval.subjects import Subject, subject
from trace_mine.train.measure.text_beliefs import scored_beliefs
from trace_mine.train.recipes import recipe
from trace_mine.train.running import train
from trace_mine.train.settings import override


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic") / "games"
    command = "permutations --rows 40 --held-out 8 --set n=3 --set p=0.3 --commands 6 --spacing 2 --out"
    assert synthesize([*command.split(), str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def run(games: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "mined"
    small = ["max_steps=4", "batch_size=4", "evaluate_rows=4", "evaluate_every=0", "max_length=256"]
    train(override(recipe("mined"), [f"dataset={games}", *small]), folder)
    return folder


def answer(law: np.ndarray) -> ModelAnswer:
    return ModelAnswer(law, UNANSWERED)


def of(results: Any, metric: str, place: str = "") -> float:
    return next(each.value for each in results if each.metric == metric and each.place == place)


def test_the_exact_law_loses_nothing_and_no_other_less(games: Path) -> None:
    questions = questions_of(rows_of(games), "games", most=100)
    told = score(questions, [answer(exact(each)) for each in questions], model="exact")
    assert of(told, "KL among outcomes") == pytest.approx(0, abs=1e-12)
    assert of(told, "top-1 among outcomes") == 1 and of(told, "calibration error") == pytest.approx(0, abs=1e-9)
    for name, law in baselines(questions).items():
        other = score(questions, [answer(law(each)) for each in questions], model=name)
        assert of(other, "KL among outcomes") >= -1e-12
        assert {each.task for each in other} == {"real-beliefs games"}
    even = score(questions, [answer(alike(each)) for each in questions], model="alike")
    by_session: dict[str, list[float]] = {}
    for each in questions:
        by_session.setdefault(each.name.partition(":")[0], []).append(math.log(len(each.law)) - each.bits * math.log(2))
    expected = np.mean([np.mean(values) for values in by_session.values()])
    assert of(even, "KL among outcomes") == pytest.approx(expected), "a session counts as one number"


def test_a_program_counts_once_whatever_its_variants() -> None:
    rows = [row(f"lib.f~{n}", laws=((0.9, 0.1),)) for n in range(3)] + [row("lib.g~0", laws=((0.5, 0.5),))]
    questions = [each for given in rows for each in asked_reveals(given, "seen")]
    told = score(questions, [answer(alike(each)) for each in questions], model="alike")
    skewed = math.log(2) + 0.9 * math.log(0.9) + 0.1 * math.log(0.1)
    assert of(told, "KL among outcomes") == pytest.approx(skewed / 2)
    assert next(each.count for each in told if each.metric == "KL among outcomes") == 2
    assert of(told, "KL among outcomes", "bits from 0") == pytest.approx(skewed)
    assert of(told, "KL among outcomes", "bits from 1") == pytest.approx(0)
    assert of(told, "KL among outcomes", "characters from 1") == of(told, "KL among outcomes"), "outcomes are one digit"
    assert of(told, "KL among outcomes", "edits from 2") == of(told, "KL among outcomes")


def test_baselines_count_in_training_questions_alone() -> None:
    zeros = [each for n in range(8) for each in asked_reveals(row(f"lib.t{n}~0"), TRAINING)]
    (question,) = asked_reveals(row("lib.f~0", laws=((0.5, 0.25, 0.25),)), "seen")
    assert Frequency.of(zeros)(question) == pytest.approx([9 / 11, 1 / 11, 1 / 11])
    assert Frequency.of([])(question) == pytest.approx([1 / 3] * 3)
    # in a second reveal the first one's value stands before it
    last = asked_reveals(row("lib.f~0", laws=((0.5, 0.5), (0.5, 0.25, 0.25))), "seen")[1]
    repeated = [each for n in range(8) for each in asked_reveals(row(f"lib.t{n}~0", laws=((0.5, 0.5),) * 2), TRAINING)]
    assert LastOutcome.of(repeated).share == pytest.approx(9 / 10), "counted from one hit and one miss"
    assert LastOutcome.of(repeated)(last) == pytest.approx([0.9, 0.05, 0.05])
    assert LastOutcome.of(repeated)(question) == pytest.approx([1 / 3] * 3), "nothing was shown before"


def test_calibration_is_against_exact_laws() -> None:
    laws = [np.array([0.8, 0.2])] * 4
    assert calibration_error(laws, laws, 10) == pytest.approx(0)
    assert calibration_error(laws, [np.array([0.6, 0.4])] * 4, 10) == pytest.approx(0.2)
    mixed = [np.array([1.0, 0.0])] * 2 + [np.array([0.6, 0.4])] * 2
    assert calibration_error(laws, mixed, 10) == pytest.approx(0), "right on average"


def test_a_run_is_asked_as_its_own_evaluation_asks_it(run: Path, games: Path) -> None:
    opened = subject(run)
    rows = [each for each in rows_of(games) if each["split"] == "test"][:3]
    questions = [each for given in rows for each in asked_reveals(given, "games")]
    told = {
        (rows[each.row]["trace_id"], each.segment): each
        for each in scored_beliefs(opened.model, opened.batches.tokenizer, rows, max_length=10_000)[0]
    }
    for question, got in zip(questions, answers_of_run(opened, questions), strict=True):
        trace_id, _, segment = question.name.partition(":")
        expected = told[trace_id, int(segment)]
        assert got.mass == pytest.approx(expected.mass, rel=1e-6) and got.law.sum() == pytest.approx(1)
        kl = sum(p * math.log(p / q) for p, q in zip(question.law, got.law, strict=True) if p)
        assert kl == pytest.approx(expected.kl + math.log(expected.mass), abs=1e-5)


def test_a_run_on_a_task_is_refused(tiny_subject: Callable[..., Subject]) -> None:
    with pytest.raises(ValueError, match="expected a run with an open vocabulary"):
        next(answers_of_run(tiny_subject("belief", "lstm"), asked_reveals(row(), "seen")))


def test_a_language_model_is_asked_by_its_own_tokens_and_what_is_too_long_is_counted(
    tmp_path: Path, games: Path
) -> None:
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    questions = questions_of(rows_of(games), "games", most=6)
    raw = ByteLevelBPETokenizer()
    raw.train_from_iterator([each.text for each in questions], vocab_size=300, show_progress=False)
    PreTrainedTokenizerFast(tokenizer_object=raw._tokenizer).save_pretrained(tmp_path)
    longest = max(len(raw.encode(each.text + each.outcomes[0] + each.ending).ids) for each in questions)
    GPT2LMHeadModel(
        GPT2Config(vocab_size=400, n_positions=longest - 1, n_embd=16, n_layer=1, n_head=1)
    ).save_pretrained(tmp_path)
    opened = hf_predictor(tmp_path)
    answers = list(answers_of_model(opened, questions))
    unanswered = [math.isnan(each.mass) for each in answers]
    assert any(unanswered) and not all(unanswered)
    told = score(questions, answers, model="gpt2")
    assert of(told, "answered") == pytest.approx(1 - np.mean(unanswered))
    for question, got in zip(questions, answers, strict=True):
        if math.isnan(got.mass):
            assert got.law == pytest.approx(alike(question))
            continue
        # the slow way: each outcome's tokens one by one, from the first that differs

        ids = [
            opened.tokenizer(question.text + outcome + question.ending)["input_ids"] for outcome in question.outcomes
        ]
        shared = next(n for n in range(min(map(len, ids))) if len({row[n] for row in ids}) > 1)
        with torch.no_grad():
            logs = [opened.model(torch.tensor([each])).logits[0].double().log_softmax(-1) for each in ids]
        slow = [
            sum(float(log[n - 1, each[n]]) for n in range(shared, len(each)))
            for log, each in zip(logs, ids, strict=True)
        ]
        assert got.mass == pytest.approx(sum(map(math.exp, slow)), rel=1e-5)
        assert got.law == pytest.approx(np.exp(slow) / np.exp(slow).sum(), rel=1e-5)


def test_the_ladder_s_table_has_a_column_for_each_rung(tmp_path: Path, games: Path, run: Path) -> None:
    folder = tmp_path / "questions"
    folder.mkdir()
    made: list[RevealQuestion] = questions_of(rows_of(games), "games", most=12)
    real = [each for n in range(3) for each in asked_reveals(row(f"lib.f{n}~0"), "unseen")]
    for name in (*RUNGS, TRAINING):
        write_questions(folder / f"{name}.jsonl", {"games": made, TRAINING: made, "unseen": real}.get(name, []))
    results = score_all(tmp_path, [run], [])
    header, lines = table(results)
    assert header[:3] == ("metric", "model", "run")
    assert [each.partition(" (")[0] for each in header[3:]] == ["games", "unseen"], "a rung without questions has none"
    assert header[4] == "unseen (3 programs)"
    assert len(lines) == 3 * 5 + 2, "four baselines and a run, which alone has a mass"
    assert {line[0] for line in lines} == {*METRICS}
    best = next(line for line in lines if line[:2] == ("KL among outcomes", "exact filter"))
    assert best[3].startswith("0.000") and best[4].startswith("0.000")
    with pytest.raises(ValueError, match="expected questions in"):
        score_all(tmp_path / "none", [], [])
