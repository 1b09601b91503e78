"""Runs on datasets: the loss by role, several datasets as one, mixtures, and what is held out of training."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.corpus.synthetic.__main__ import main as synthesize  # noqa: E402
from trace_mine.train import running  # noqa: E402
from trace_mine.train.batches import batches_of  # noqa: E402
from trace_mine.train.held_out import hold_out, joined_splits, splits_of  # noqa: E402
from trace_mine.train.recipes import recipe  # noqa: E402
from trace_mine.train.settings import override  # noqa: E402


def lines(folder, name="metrics.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A small dataset as trace-synth writes it, with beliefs."""
    folder = tmp_path_factory.mktemp("data") / "rows"
    assert synthesize(["permutations", "--rows", "40", "--set", "p=0.3", "--out", str(folder)]) == 0
    return folder


MINED = ["max_steps=4", "batch_size=4", "log_every=2", "model.hidden_size=16", "model.intermediate_size=16"]


MINED += ["model.num_heads=2", "model.head_dim=8", "model.num_hidden_layers=1", "evaluate_every=2", "vocab_size=700"]


def test_a_dataset_trains_with_the_loss_by_role(dataset, tmp_path):
    settings = override(recipe("mined"), [*MINED, f"dataset={dataset}"])
    final = running.train(settings, tmp_path / "run")
    by_role = final["evaluations"][0]["by_role"]
    assert set(by_role) == {"prompt", "command", "reveal", "value"}
    assert all(numbers["loss"] > 0 and numbers["unigram_loss"] > 0 for numbers in by_role.values())
    assert 0 <= final["evaluations"][0]["copy_last_value"] <= 1
    told = final["evaluations"][0]["beliefs"]
    assert told["num_beliefs"] > 0 and told["kl"] > 0 and told["entropy"] > 0
    batches = batches_of(settings)
    batch = batches.batch(0, [0, 1, 2])
    assert (batch["kinds"] == 3).any(1).all()
    epoch = [batches.batch(0, [n])["input_ids"].tolist() for n in range(len(batches.rows["train"]))]
    assert len({str(ids) for ids in epoch}) == len(epoch)


@pytest.mark.slow
def test_several_datasets_are_as_one(dataset, tmp_path):
    other = tmp_path / "others"
    more = ["--rows", "12", "--held-out", "3", "--seed", "1"]
    assert synthesize(["permutations", *more, "--out", str(other)]) == 0
    both = batches_of(override(recipe("mined"), [*MINED, f"dataset={dataset},{other}"]))
    parts = [splits_of(folder) for folder in (dataset, other)]
    assert len(both.rows["train"]) == sum(len(part["train"]) for part in parts)
    assert len(both.held_out()) == sum(len(part["test"]) for part in parts)
    assert both.evaluation_split == "held_out" and len(both.with_beliefs["train"]) == len(parts[0]["train"])
    twice = batches_of(override(recipe("mined"), [*MINED, f"dataset={dataset},{dataset}"]))
    assert {row["text"] for row in parts[0]["test"]}.isdisjoint(row["text"] for row in parts[0]["train"])
    assert len(twice.rows["train"]) == 2 * len(parts[0]["train"])
    leaking = {"train": [*parts[1]["train"], *parts[0]["test"]], "test": parts[1]["test"]}
    joined = joined_splits([parts[0], leaking])
    assert joined["train"] == [*parts[0]["train"], *parts[1]["train"]]
    one = batches_of(override(recipe("mined"), [*MINED, f"dataset={dataset}"]))
    assert one.data_hash != both.data_hash and one.evaluation_split == "test"
    with pytest.raises(ValueError, match="got nowhere"):
        batches_of(override(recipe("mined"), [*MINED, f"dataset={dataset},nowhere"]))


@pytest.mark.slow
def test_a_mixture_takes_steps_of_both(dataset, tmp_path):
    stages = "stages=[{steps: 40, commands: [4], spacings: [2]}]"
    more = ["task=permutations", "task.n=4", "mixture=0.5", stages]
    settings = override(recipe("mined"), [*MINED, f"dataset={dataset}", *more])
    batches = batches_of(settings)
    texts = [batches.tokenizer.decode(batches.batch(step, [0])["input_ids"][0].tolist()) for step in range(12)]
    of_task = ["d = 4" in text for text in texts]
    assert any(of_task) and not all(of_task)
    assert running.train(settings, tmp_path / "run")["evaluations"][0]["by_role"]
    with pytest.raises(ValueError, match="commands and spacings"):
        batches_of(override(recipe("mined"), [f"dataset={dataset}", "task=permutations", "mixture=0.5"]))


def test_a_dataset_without_the_needed_view_is_refused(tmp_path):
    folder = tmp_path / "visible"
    assert synthesize(["permutations", "--rows", "10", "--out", str(folder)]) == 0
    with pytest.raises(ValueError, match="expected rows with beliefs"):
        batches_of(override(recipe("mined"), [f"dataset={folder}", "requires=branch"]))


def test_what_is_evaluated_is_never_trained_on(dataset, tmp_path):
    batches = batches_of(override(recipe("mined"), [*MINED, f"dataset={dataset}"]))
    assert batches.evaluation_split in ("test", "validation", "held_out")
    told = [[row.ids.tolist() for row in batches.rows[name]] for name in ("train", batches.evaluation_split)]
    assert told[1] and not any(ids in told[0] for ids in told[1])
    rows = [{"trace_id": str(n)} for n in range(100)]
    trained, held = hold_out(rows)
    assert len(held) == 5 and len(trained) == 95 and hold_out(rows[::-1])[1] == held
    assert len(hold_out(rows[:2])[1]) == 1
    with pytest.raises(ValueError, match="at least two rows"):
        hold_out(rows[:1])
