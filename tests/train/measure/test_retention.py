"""Retention asks for what the exact filter is certain of, and sees who has forgotten it."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.train.batches import TaskBatches  # noqa: E402
from trace_mine.train.measure.retention import holding_plays, retention  # noqa: E402
from trace_mine.train.models.registry import make_model  # noqa: E402
from trace_mine.train.recipes import recipe  # noqa: E402
from trace_mine.train.settings import override  # noqa: E402


@pytest.mark.parametrize("per", ["word", "command"])
def test_the_question_comes_last_and_its_answer_is_certain(per):
    batches = TaskBatches(override(recipe("belief"), [f"per={per}"]))
    model = make_model("lstm", vocab_size=len(batches.tokenizer), hidden_size=16)
    told = retention(model, batches, hold=16, spacing=2)
    assert told["certainty"] == pytest.approx(1.0, abs=1e-12)
    assert told["kl"] > 0
    plays = holding_plays(batches, 16, 2)
    stream = batches.stream(2, 2, "train")
    batch = stream.batch_of(plays, beliefs=True)
    all_shown: set[tuple[str, bool]] = set()
    for row in range(len(batch.tokens)):
        text = batches.tokenizer.decode(batch.tokens[row, : batch.lengths[row]].tolist())
        lines = text.splitlines()
        values = dict(line.removeprefix(">>> ").split(" = ") for line in lines if " = " in line and "," not in line)
        asked = lines[-2].removeprefix(">>> ")
        swaps = {line for line in lines if line.startswith("... ")}
        assert len(swaps) == 1 and asked not in swaps.pop().replace("... ", "")
        assert lines[-1] == values[asked]
        # before the question both of the two are shown, with values that the swap moves between them
        shown = {(lines[i].removeprefix(">>> "), lines[i + 1]) for i in range(len(lines) - 2) if len(lines[i]) == 5}
        assert asked not in {name for name, _ in shown}
        assert {value for _, value in shown} <= {value for name, value in values.items() if name != asked}
        all_shown |= {(name, value == values[name]) for name, value in shown}
    assert {moved for _, moved in all_shown} == {True, False}, "swaps happen"
    assert len({tuple(row) for row in batch.tokens.tolist()}) > len(batch.tokens) // 2, "sessions differ"


def test_a_model_that_tells_the_start_retains_and_one_that_guesses_does_not():
    batches = TaskBatches(recipe("belief"))
    stream = batches.stream(2, 2, "train")
    size = len(batches.tokenizer)

    class Known(torch.nn.Module):
        def __init__(self, certain):
            super().__init__()
            self.certain = torch.nn.Parameter(torch.tensor(certain))

        def forward(self, input_ids):
            logits = torch.full((*input_ids.shape, size), -20.0)
            for name, label in zip("abc", stream.label_tokens, strict=True):
                asked = batches.tokenizer.get_vocab()[f">>> {name}\n"]
                logits[..., label] = torch.where(input_ids == asked, self.certain.item(), 0.0)
            return type("Output", (), {"logits": logits})

    assert retention(Known(20.0), batches, hold=16, spacing=2)["kl"] < 1e-6
    assert retention(Known(0.0), batches, hold=16, spacing=2)["kl"] == pytest.approx(
        torch.log(torch.tensor(3.0)).item()
    )


def test_tasks_without_maybe_swaps_are_refused():
    batches = TaskBatches(recipe("quick"))
    with pytest.raises(ValueError, match="maybe-swaps"):
        holding_plays(batches, 16, 2)
    with pytest.raises(ValueError, match="hold to be a multiple of 2, got 15"):
        holding_plays(TaskBatches(recipe("belief")), 15, 2)
