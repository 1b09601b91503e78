"""Figures, reports and budgets on tiny runs: every figure of the registry draws, and reports stand alone."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from trace_mine.eval import report, results
from trace_mine.eval.figures import MODULES, figure, figures
from trace_mine.eval.figures.base import Bench, NothingTrained, captioned, save
from trace_mine.eval.figures.style import COLOURS, use_style
from trace_mine.eval.plan import PlannedRun, planned
from trace_mine.eval.rate_sweeps import is_finished, trials
from trace_mine.eval.reproduce import budget_of, draw_all, draw_only, facts, needed
from trace_mine.eval.subjects import label_of
from trace_mine.eval.training import Trained, train_missing
from trace_mine.train import children
from trace_mine.train.recipes import recipe
from trace_mine.train.running import train
from trace_mine.train.settings import override

SHORT = {"max_steps": "2", "batch_size": "4", "evaluate_rows": "2", "evaluate_every": "0", "warmup": "1"}


def shortened(run: PlannedRun) -> PlannedRun:
    overrides = {**run.overrides, **SHORT, "max_tokens": "0"}
    return replace(run, overrides=overrides, expected=20.0, rates=())


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench on which every group of the plan has one run of two steps."""
    runs = tmp_path_factory.mktemp("bench") / "runs"
    plan = [shortened(run) for run in planned(1)]
    for run in plan:
        train(run.settings(), runs / run.name)
    return Bench(plan=plan, runs=runs, rows=4, fast=True)


SLOW = ("simplex", "belief-drift", "fig10", "fig5", "adversary")
"""Those that take seconds to draw, and the simplex, which is measured on models of its own: a minute and more."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in MODULES]
)
def test_every_figure_keeps_the_contract(name: str, bench: Bench, tmp_path: Path) -> None:
    one = figure(name)
    assert one.name == name
    assert one.recipe and one.paper and one.title
    drawn = one.draw(bench)
    paths = save(one, drawn, tmp_path)
    assert [path.suffix for path in paths] == [".png", ".svg", ".pdf", ".csv", ".md", ".json"]
    assert all(path.stat().st_size > 100 for path in paths[:5])
    assert paths[0].read_bytes().startswith(b"\x89PNG") and paths[2].read_bytes().startswith(b"%PDF")
    assert b"/Type3" not in paths[2].read_bytes(), "journals refuse such fonts"
    assert len(drawn.caption) < 700, "a few lines: what takes more is a table"
    rows = results.read(tmp_path / f"{name}.csv")
    assert rows and all(row.metric for row in rows)
    caption = paths[4].read_text()
    assert re.search(r"\d{2}|\d\.\d", caption), "a caption has the measured numbers"
    assert "In the paper:" in caption
    for claim in drawn.claims:
        # one seed of training can't decide anything; what is computed can
        assert claim.verdict == "can't tell" if claim.seeds else claim.verdict != "" and claim.evidence
        assert claim.seeds in (0, 1)
    if one.needs:
        with pytest.raises(NothingTrained):
            one.draw(Bench(plan=bench.plan, runs=tmp_path / "none", rows=4, fast=True))


@pytest.mark.slow
def test_the_same_figure_has_the_same_bytes(bench: Bench, tmp_path: Path) -> None:
    one = figure("fig10")
    first, second = ([p.read_bytes() for p in save(one, one.draw(bench), tmp_path / str(n))] for n in range(2))
    assert first == second


def test_the_report_stands_alone_and_tells_all(bench: Bench, tmp_path: Path) -> None:
    drawn = draw_all([figure("fig9"), figure("fig4")], bench.plan, tmp_path, fast=True)
    assert drawn[1][1] is None, "nothing is trained under this folder"
    trained = Trained(finished=[], skipped=["swaps-delta-s0"], failed={"x": Path("x.log")}, seconds=1.0)
    told = facts(bench.plan, trained, tmp_path, budget_of("10m"), 2.0, 2)
    page = report.write(tmp_path, drawn, told).read_text()
    assert not re.search(r"(src|href)=['\"](?!data:|#)", page), "nothing beside the page is needed"
    assert "<script" not in page and "http" not in page
    for verdict in ("holds", "does not hold", "can&#x27;t tell"):
        assert verdict in page
    assert "Not drawn" in page and "swaps-delta-s0" in page
    markdown = (tmp_path / "report.md").read_text()
    assert "figures/fig9.png" in markdown and (tmp_path / "figures" / "fig9.png").is_file()
    kept = [repr(results.read(tmp_path / f"results.{ending}")) for ending in ("parquet", "csv")]  # nan is not nan
    assert kept[0] == kept[1] and "log2 mass" in kept[0]


def test_a_caption_names_its_seeds(bench: Bench) -> None:
    one = figure("fig4")
    assert "seeds 0" in captioned(one, one.draw(bench))
    assert "nothing trained" in captioned(figure("fig9"), figure("fig9").draw(bench))


def test_a_style_changes_the_look_and_not_the_colours(tmp_path: Path) -> None:
    def drawn(name: str) -> bytes:
        draw_only(["fig9"], tmp_path / name)
        return (tmp_path / name / "figures" / "fig9.svg").read_bytes()

    try:
        ours = drawn("ours")
        use_style("ggplot")
        theirs = drawn("theirs")
        file = tmp_path / "mine.mplstyle"
        file.write_text("font.size: 14\naxes.labelsize: 14\n")
        use_style(str(file))
        mine = drawn("mine")
        assert len({ours, theirs, mine}) == 3
        for colour in COLOURS[:4]:
            assert colour.lower().encode() in ours and colour.lower().encode() in theirs
        with pytest.raises(
            ValueError, match=r"expected a file of matplotlib's style settings, or one of .*ggplot.* got 'no'"
        ):
            use_style("no")
        assert drawn("again") == ours, "a style that is none leaves ours"
    finally:
        use_style("")


def test_unknown_names_are_told() -> None:
    with pytest.raises(ValueError, match=r"expected a figure among fig3, .* got 'fig99'"):
        figures(["fig99"])
    assert [each.name for each in figures(["all"])] == list(MODULES)
    with pytest.raises(ValueError, match="expected a group of the plan"):
        Bench(plan=planned(1), runs=Path("none")).group("nobody")


def test_drawing_without_runs_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give --budget 10m"):
        draw_only(["fig4"], tmp_path)
    assert {path.name for path in draw_only(["fig9"], tmp_path)} >= {"fig9.png", "fig9.svg", "fig9.csv", "fig9.md"}


@pytest.mark.parametrize("text", ["", "ten", "0m", "-3m", "10"])
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="expected a budget such as 10m"):
        budget_of(text)


def test_budgets() -> None:
    assert (budget_of("10m").seconds, budget_of("2h").seconds, budget_of("90s").seconds) == (600, 7200, 90)
    assert budget_of("10m").is_fast and not budget_of("60m").is_fast
    assert 0 < budget_of("10m").training < 600


def test_the_plan_gives_whole_seeds_first_and_every_figure_its_runs() -> None:
    plan = planned(3)
    cheap = [run for run in plan if run.group.startswith("belief-") and run.expected < 60]
    assert plan[:9] == cheap[:9] and {run.seed for run in plan[:9]} == {0, 1, 2}
    # the slowest group comes last, so that it takes no other's third seed
    assert {run.group for run in plan[-3:]} == {"swaps-path"}
    assert [run.seed for run in plan[9:-3]] == sorted(run.seed for run in plan[9:-3])
    assert len({run.name for run in plan}) == len(plan)
    groups = {run.group for run in plan}
    for name in MODULES:
        assert set(figure(name).needs) <= groups
    assert {run.group for run in needed(plan, [figure("fig9")])} == set()
    for run in planned(1, gpu=True):
        assert run.settings().seed == run.seed  # every override is a setting's name


def test_nothing_is_begun_that_would_not_finish(tmp_path: Path) -> None:
    plan = [replace(run, expected=1e6) for run in planned(1)]
    told = train_missing(plan, tmp_path, seconds=10, jobs=2, say=lambda line: None)
    assert told.skipped == [run.name for run in plan]
    assert not told.finished and not told.failed


@pytest.mark.slow
def test_missing_runs_are_trained_once_failed_ones_told(tmp_path: Path) -> None:
    good = replace(shortened(planned(1)[0]), rates=("0.001", "0.003"))
    bad = replace(good, group="bad", overrides={**good.overrides, "model.num_heads": "7"})
    lines: list[str] = []
    told = train_missing([good, bad], tmp_path, seconds=3_000, jobs=2, say=lines.append)
    assert told.finished == [good.name]
    assert list(told.failed) == [bad.name]
    assert "num_heads" in told.failed[bad.name].read_text()
    assert is_finished(tmp_path / good.name, good)
    again = train_missing([good], tmp_path, seconds=3_000, jobs=1, say=lines.append)
    assert again.finished == [good.name]
    assert sum(line.startswith(f"training {good.name}") for line in lines) == 1
    for trial in trials(good).values():
        assert is_finished(tmp_path / trial.name, trial)
        assert sum(line.startswith(f"training {trial.name}") for line in lines) == 1
    other = replace(good, overrides={**good.overrides, "max_steps": "5"})
    with pytest.raises(ValueError, match=r"expected .* to be a run of the plan's settings"):
        is_finished(tmp_path / good.name, other)


def test_claims_are_kept_as_data(bench: Bench, tmp_path: Path) -> None:
    one = figure("fig9")
    save(one, one.draw(bench), tmp_path)
    told = json.loads((tmp_path / "fig9.json").read_text())
    assert told[0]["verdict"] == "holds" and told[0]["seeds"] == 0


def test_a_label_has_what_parts_a_run_from_its_recipe(tiny_subject: Callable) -> None:
    assert tiny_subject("belief", "lstm").label == "lstm"
    assert tiny_subject("belief", "lstm", "seed=1", "model.hidden_size=32").label == "lstm (hidden_size=32)"
    ranges = [
        label_of(override(recipe("contrast", model), [f"model.allow_neg_eigval={told}"]))
        for model in ("delta_net", "renormed_delta_net")
        for told in ("true", "false")
    ]
    assert len(set(ranges)) == 4 and ranges[:2] == ["delta_net [-1, 1]", "delta_net [0, 1]"]
    assert label_of(override(recipe("paper-s5"), ["model.initializer_range=null"])).endswith("(initializer_range=None)")
    assert label_of(override(recipe("contrast"), ["model.conv_size=4"])) == "delta_net [-1, 1]", "a default of its own"


def test_training_elsewhere_runs_this_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.py").write_text("print('another train')\n")
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(children.command("--help"), env=children.environment(), capture_output=True, text=True)
    assert done.returncode == 0 and "Trains a sequence model" in done.stdout
