"""Batches: rows are functions of settings, step and index; kinds of tokens; what is kept for evaluations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.corpus.synthetic.task import Stage  # noqa: E402
from trace_mine.corpus.synthetic.tasks import make_task  # noqa: E402
from trace_mine.tokenizer.encoded import ROLES, Encoded  # noqa: E402
from trace_mine.train import batches as module  # noqa: E402
from trace_mine.train.batches import (  # noqa: E402
    LAST_REVEAL,
    OTHER,
    PADDING,
    REVEAL,
    Collator,
    DatasetBatches,
    MixedBatches,
    TaskBatches,
    padded,
    tensors,
)
from trace_mine.train.recipes import recipe  # noqa: E402
from trace_mine.train.settings import override  # noqa: E402

STAGES = "stages=[{steps: 4, commands: [2], spacings: [1]}, {steps: 4, commands: [8], spacings: [2]}]"


def rows(count: int, seed: int = 0) -> list[dict]:
    """Rows of a dataset, as ``splits_of`` gives them."""
    task, stage = make_task("permutations", {"n": "3"}), Stage(commands=(6, 6), spacing=(2, 2))
    found = []
    for index in range(count):
        trace = task.trace(index, seed=seed, split="train", stage=stage)
        segments = [{"start": s.start, "end": s.end, "role": s.role, "step": s.step} for s in trace.segments]
        found.append({"text": trace.text, "segments": segments, "beliefs": [], "trace_id": f"{seed}-{index}"})
    return found


@pytest.fixture
def splits(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    made = {"train": rows(12), "validation": rows(3, 1), "test": rows(3, 2)}
    monkeypatch.setattr(module, "splits_of", lambda folder: made)
    return made


def dataset(*more: str) -> DatasetBatches:
    return DatasetBatches(override(recipe("mined"), ["dataset=somewhere", *more]))


def texts(batches: DatasetBatches, indices: Sequence[int]) -> list[str]:
    ids = batches.batch(0, indices)["input_ids"]
    return [batches.tokenizer.decode(row.tolist(), skip_special_tokens=True) for row in ids]


def test_each_epoch_has_every_row_once_in_an_order_of_its_own_and_of_the_seed(splits: dict[str, list]) -> None:
    batches = dataset()
    epochs = [texts(batches, range(12 * epoch, 12 * (epoch + 1))) for epoch in range(3)]
    assert len({tuple(sorted(epoch)) for epoch in epochs}) == 1 and len(set(epochs[0])) == 12
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert texts(dataset("data_seed=1"), range(12)) != epochs[0]
    assert texts(dataset("seed=1"), range(12)) == epochs[0]  # the model's seed is another


def test_rows_are_cut_at_the_length_and_only_longer_ones_are_counted(splits: dict[str, list]) -> None:
    lengths = [len(row.ids) for split in dataset().rows.values() for row in split]
    most = max(lengths) - 3
    cut = dataset(f"max_length={most}")
    assert cut.num_cut == sum(length > most for length in lengths) > 0
    assert cut.batch(0, range(12))["input_ids"].shape[1] == most
    assert dataset(f"max_length={max(lengths)}").num_cut == 0


def test_evaluations_take_the_test_split_before_validation(splits: dict[str, list]) -> None:
    assert dataset().evaluation_split == "test"
    assert dataset("final_split=validation").evaluation_split == "validation"
    splits["test"] = []
    assert dataset().evaluation_split == "validation"


def test_a_run_to_choose_from_does_not_fall_back_on_the_test(splits: dict[str, list]) -> None:
    splits["validation"] = []
    with pytest.raises(ValueError, match="expected rows in the split validation or held_out, got rows in train, test"):
        dataset("final_split=validation")


def test_a_dataset_that_is_held_out_as_a_whole_can_not_be_trained_on(splits: dict[str, list]) -> None:
    del splits["train"]
    with pytest.raises(ValueError, match="whose rows stand in validation, test; mine more"):
        dataset()


def test_kinds_of_a_row_are_those_of_its_roles_and_the_last_value_is_the_last_reveal() -> None:
    value = ROLES.index("value")
    row = Encoded(
        ids=np.arange(1, 8, dtype=np.int32),
        roles=np.array([-1, 0, value, 0, value, value, -1], dtype=np.int8),
        steps=np.array([-1, 0, 0, 1, 1, 1, -1], dtype=np.int32),
    )
    short = Encoded(ids=row.ids[:3], roles=row.roles[:3], steps=row.steps[:3])
    batch = padded([row, short], 100)
    last, other, reveal = LAST_REVEAL, OTHER, REVEAL
    assert batch["kinds"].tolist() == [
        [other, other, reveal, other, last, last, other],
        [other, other, last, PADDING, PADDING, PADDING, PADDING],
    ]
    assert batch["input_ids"].tolist()[1] == [1, 2, 3, 0, 0, 0, 0]
    assert batch["roles"].tolist()[1] == [-1, 0, value, -1, -1, -1, -1]


def test_kinds_of_a_session_are_other_up_to_its_end_but_for_its_reveals() -> None:
    batches = TaskBatches(override(recipe("quick"), ["task.p=0.5", "task.visible=0.5", STAGES]))
    batch = batches.stream(6, 2, "train").batch(range(20))
    kinds = tensors(batch)["kinds"].numpy()
    assert len(set(batch.lengths.tolist())) > 1  # visible commands are shorter than hidden ones
    assert ((kinds != PADDING).sum(1) == batch.lengths).all()
    for row in range(20):
        assert np.flatnonzero(kinds[row] == LAST_REVEAL).tolist() == batch.reveals[row, -1].tolist()
        assert np.flatnonzero(kinds[row] == REVEAL).tolist() == batch.reveals[row, :-1, 0].tolist()


def test_sizes_and_sessions_are_of_the_data_seed_and_stages_end_on_their_step() -> None:
    one, other = (TaskBatches(override(recipe("quick"), [f"data_seed={seed}"])) for seed in (0, 1))
    assert [one.size(step) for step in range(30)] != [other.size(step) for step in range(30)]
    streams = [each.stream(8, 2, "train").batch(range(4)).tokens for each in (one, other)]
    assert streams[0].shape != streams[1].shape or (streams[0] != streams[1]).any()
    staged = TaskBatches(override(recipe("quick"), [STAGES]))
    assert [staged.size(step)[0] for step in range(10)] == [2] * 4 + [8] * 6


def test_the_step_of_a_batch_is_its_indices_place_among_all_processes() -> None:
    asked = []

    class Records:
        tokenizer = data_hash = None

        def batch(self, step: int, indices: Sequence[int]) -> dict:
            asked.append(step)
            return {}

    collate = Collator(Records(), 8)
    for indices in ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [23]):
        collate(indices)
    assert asked == [0, 0, 1, 2]


def test_a_mixture_takes_the_dataset_for_its_share_of_steps(splits: dict[str, list]) -> None:
    settings = override(recipe("mined"), ["dataset=somewhere", "task=permutations", "task.n=4", "mixture=0.8", STAGES])
    mixed = MixedBatches(settings)
    of_dataset = sum("d = 4" not in mixed.tokenizer.decode(mixed.batch(n, [0])["input_ids"][0]) for n in range(60))
    assert 38 <= of_dataset <= 57
