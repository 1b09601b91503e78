"""The plan of the ladder's runs, the claims on planted results, and the page that shows them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from trace_mine.eval.claims import CANNOT_TELL, DOES_NOT_HOLD, HOLDS
from trace_mine.eval.real_beliefs.drawing import write_report
from trace_mine.eval.real_beliefs.ladder import RUNGS, WINDOWS
from trace_mine.eval.real_beliefs.plan import MODELS, TRAINED_ON, planned_runs
from trace_mine.eval.real_beliefs.scoring import MEMORY_EDGES
from trace_mine.eval.real_beliefs.verdicts import KL, Ladder, claims_of
from trace_mine.eval.results import Result


def planted(kl: Callable[[str, str, str, int], float], seeds: int = 3, memory: float = 0.01) -> list[Result]:
    """Results of all runs with this KL by (model, data, rung, seed), of a guess with KL 1 and filters with .1.

    KL grows by ``memory`` with each command that must be remembered.
    """
    made = [Result(metric=KL, value=1.0, model="outcomes alike", task=f"real-beliefs {rung}") for rung in RUNGS]
    for window, rung in itertools.product(WINDOWS, RUNGS):
        made.append(Result(metric=KL, value=0.1, model=f"filter of {window} commands", task=f"real-beliefs {rung}"))
    for model, data, rung, seed in itertools.product(MODELS, TRAINED_ON, RUNGS, range(seeds)):
        shared = {"run": f"{model}-{data}-s{seed}", "model": model, "seed": seed, "task": f"real-beliefs {rung}"}
        value = kl(model, data, rung, seed)
        made.append(Result(metric=KL, value=value, **shared))  # type: ignore[arg-type]
        for edge in MEMORY_EDGES[:-1]:
            at = {"place": f"memory from {edge}", "at": float(edge), **shared}
            made.append(Result(metric=KL, value=value + memory * edge, **at))  # type: ignore[arg-type]
        # of a bin, which no claim is about
        made.append(Result(metric=KL, value=9.0, place="bits from 1", at=1.0, **shared))  # type: ignore[arg-type]
    return made


def verdicts(results: list[Result]) -> list[str]:
    return [claim.verdict for claim in claims_of(Ladder.of(results))]


def good(model: str, data: str, rung: str, seed: int) -> float:
    """What every claim hopes for."""
    height = {"games": 0.2, "seen": 0.4, "unseen": 0.6, "skip": 0.65, "inverse": 0.7, "draws": 0.8}[rung]
    return height + 0.001 * seed + 0.05 * (model == "transformer") + 0.05 * (data != "both")


def test_all_claims_hold_where_results_are_as_hoped_for_and_none_where_they_are_not() -> None:
    assert set(verdicts(planted(good))) == {HOLDS}
    bad = verdicts(planted(lambda model, data, rung, seed: 1.0 - good(model, data, "draws", seed) * 0.01, memory=0.0))
    # no filter of one command is reached all the more
    assert bad == [DOES_NOT_HOLD] * (len(bad) - 3) + [HOLDS] + [DOES_NOT_HOLD] * 2


def test_a_bin_without_questions_lets_no_claim_about_memory_hold() -> None:
    results = [each for each in planted(good) if (each.task, each.place) != ("real-beliefs unseen", "memory from 5")]
    assert verdicts(results)[-2:] == [HOLDS, CANNOT_TELL]


def test_seeds_that_disagree_and_missing_ones_decide_nothing() -> None:
    assert set(verdicts(planted(good, seeds=2))) == {CANNOT_TELL}
    mixed = verdicts(planted(lambda model, data, rung, seed: 0.99 if seed == 1 else good(model, data, rung, seed)))
    assert mixed[0] == CANNOT_TELL and HOLDS not in mixed[:6]
    assert set(verdicts([])) == {CANNOT_TELL}


def test_a_filter_that_was_not_asked_lets_no_claim_hold() -> None:
    results = [each for each in planted(good) if not each.model.startswith("filter")]
    assert verdicts(results)[-3] == DOES_NOT_HOLD


def test_runs_of_other_names_are_left_out() -> None:
    other = Result(metric=KL, value=0.0, run="mine", model="lstm", seed=0, task="real-beliefs games")
    assert Ladder.of([other]).runs == {}


def test_the_page_has_every_claim_run_and_rung(tmp_path: Path) -> None:
    results = planted(good)
    written = {path.name for path in write_report(results, tmp_path / "ladder")}
    assert written == {"ladder.png", "ladder.svg", "ladder.pdf", "ladder.csv", "claims.json", "README.md"}
    page = (tmp_path / "ladder" / "README.md").read_text()
    claims = json.loads((tmp_path / "ladder" / "claims.json").read_text())
    assert len(claims) == len(claims_of(Ladder.of(results)))
    for claim in claims:
        assert f"| {claim['text']} | {claim['verdict']} |" in page
    svg = (tmp_path / "ladder" / "ladder.svg").read_text()
    for name in (*MODELS, *RUNGS, *(f"trained on {data}" for data in TRAINED_ON)):
        assert f">{name}<" in svg, name
    with pytest.raises(ValueError, match="expected results of trace-eval real-beliefs score"):
        write_report([], tmp_path / "none")


def test_the_plan_gives_every_model_the_same_budget(tmp_path: Path) -> None:
    for rung in ("games", "seen"):
        (tmp_path / "rows" / rung).mkdir(parents=True)
        (tmp_path / "rows" / rung / "stats.json").write_text("{}")
    runs = planned_runs(tmp_path, [*MODELS], [*TRAINED_ON], 3)
    assert len({run.name for run in runs}) == len(runs) == len(MODELS) * len(TRAINED_ON) * 3
    settings = [run.settings() for run in runs]
    budgets = {(each.max_steps, each.batch_size, each.max_length, each.reveal_weight) for each in settings}
    assert len(budgets) == 1
    assert {each.dataset.count("rows") for each in settings} == {1, 2}
    # a short budget reaches all models and seeds of one choice of data first
    assert {run.group.rpartition("-")[2] for run in runs[: len(MODELS) * 3]} == {"both"}
    with pytest.raises(ValueError, match="expected names among lstm"):
        planned_runs(tmp_path, ["gru"], ["both"], 3)
    (tmp_path / "rows" / "games" / "stats.json").unlink()
    with pytest.raises(ValueError, match=r"run trace-eval real-beliefs make first"):
        planned_runs(tmp_path, ["lstm"], ["both"], 3)
