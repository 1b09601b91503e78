"""Labels and packing: nothing is lost, nothing counts twice, and ``transformers`` trains on it document by document."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")
pytest.importorskip("tokenizers", reason="needs the extra [train]")

import pyarrow.parquet as pq
import torch
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

from trace_mine.tokenizer.__main__ import main
from trace_mine.tokenizer.encoded import ROLES, encode_rows
from trace_mine.tokenizer.kinds import load
from trace_mine.tokenizer.packing import IGNORED, Document, labels_of, packed, unpacked

ROOT = Path(__file__).parents[2]
PADDING = 0


def documents_of(sizes: list[int], seed: int = 0) -> list[Document]:
    """Documents of these lengths; no two tokens of all are the same, and some are not learnt."""
    generator = np.random.default_rng(seed)
    first = np.cumsum([1, *sizes])
    documents = []
    for number, size in enumerate(sizes):
        ids = np.arange(first[number], first[number] + size, dtype=np.int32)
        labels = np.where(generator.random(size) < 0.7, ids, IGNORED).astype(np.int32)
        labels[:1] = IGNORED
        documents.append(Document(trace_id=f"id{number}", ids=ids, labels=labels))
    return documents


@settings(deadline=None, max_examples=300)
@given(sizes=st.lists(st.integers(0, 40), max_size=40), length=st.integers(2, 24), open_examples=st.integers(1, 8))
def test_unpacked_is_the_inverse(sizes: list[int], length: int, open_examples: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trace_mine.tokenizer.packing.OPEN_EXAMPLES", open_examples)
        documents = documents_of(sizes)
        examples = list(packed(documents, length, PADDING))
        assert [example.trace_ids for example in examples] == [
            example.trace_ids for example in packed(documents, length, PADDING)
        ]
    found = unpacked(examples)
    assert set(found) == {document.trace_id for document in documents if len(document.ids)}
    for document in documents:
        pieces = found.get(document.trace_id, [])
        assert [len(ids) for ids, _ in pieces[:-1]] == [length] * len(pieces[:-1]), "cut only where it must be"
        assert np.concatenate([document.ids[:0], *(ids for ids, _ in pieces)]).tolist() == document.ids.tolist()
        expected = document.labels.copy()
        expected[::length] = IGNORED
        assert np.concatenate([document.labels[:0], *(labels for _, labels in pieces)]).tolist() == expected.tolist()
    for example in examples:
        assert len(example.input_ids) == len(example.labels) == len(example.position_ids) == length
        used = sum(example.sequence_lengths)
        assert (example.input_ids[used:] == PADDING).all() and (example.labels[used:] == IGNORED).all()
        starts = np.flatnonzero(example.position_ids == 0)
        spans = [*example.sequence_lengths, *[length - used] * (used < length)]
        assert np.diff([*starts, length]).tolist() == spans and (example.labels[starts] == IGNORED).all()
    # no token twice, none lost: ids are all different
    ids = [number for example in examples for number in example.input_ids[: sum(example.sequence_lengths)].tolist()]
    assert sorted(ids) == list(range(1, sum(sizes) + 1))


def test_little_is_padding_and_wrong_lengths_are_told() -> None:
    examples = list(packed(documents_of([30, 2, 20, 10, 32, 1, 1]), 32, PADDING))
    assert [sum(example.sequence_lengths) for example in examples] == [32, 32, 32]
    with pytest.raises(ValueError, match="a length of 2 or more"):
        list(packed([], 1, PADDING))
    with pytest.raises(ValueError, match="a label for each id"):
        Document(trace_id="x", ids=np.zeros(2, np.int32), labels=np.zeros(1, np.int32))


def test_what_is_learnt() -> None:
    ids = np.arange(10, 16, dtype=np.int32)
    roles = np.array([-1, *(ROLES.index(name) for name in ("command", "value", "error", "reveal")), -1], np.int8)
    assert labels_of(ids, roles, ROLES, "all").tolist() == [IGNORED, 11, 12, 13, 14, 15]
    assert labels_of(ids, roles, ROLES, "reveals").tolist() == [IGNORED, IGNORED, 12, IGNORED, IGNORED, IGNORED]
    assert labels_of(ids, roles, ROLES, "value,error").tolist() == [IGNORED, IGNORED, 12, 13, IGNORED, IGNORED]
    for wrong in ("", "x", "value,", "all,value"):
        with pytest.raises(ValueError, match="expected what is learnt"):
            labels_of(ids, roles, ROLES, wrong)


# the command ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of a task, with a tokenizer of each kind."""
    folder = tmp_path_factory.mktemp("made")
    told = [sys.executable, "-m", "trace_mine.corpus.synthetic", "permutations", "--rows", "40", "--held-out", "4"]
    done = [*told, "--set", "p=0.5", "--commands", "4-12", "--jobs", "1", "--out", str(folder / "data")]
    subprocess.run(done, cwd=ROOT, check=True, capture_output=True)
    for kind in ("python", "symbols"):
        assert main(["fit", str(folder / "data"), "--out", str(folder / kind), "--kind", kind]) == 0
    return folder


def encoded(made: Path, out: Path, *options: str, kind: str = "python") -> Path:
    assert main(["encode", str(made / "data"), "--tokenizer", str(made / kind), "--out", str(out), *options]) == 0
    return out


def learnt_pairs(ids: list[int], labels: list[int]) -> list[int]:
    return [label for label in labels[1:] if label != IGNORED]


@pytest.mark.parametrize("kind", ["python", "symbols"])
@pytest.mark.parametrize("learn", ["all", "reveals"])
def test_a_folder_of_rows_and_a_packed_one_hold_the_same(
    kind: str, learn: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--learn", learn]
    rows = encoded(made, tmp_path / "rows", *options, kind=kind)
    told = capsys.readouterr().out
    side_by_side = encoded(made, tmp_path / "packed", *options, "--pack", "1024", kind=kind)
    cache = str(tmp_path / "cache")
    one, other = (load_dataset(str(folder), cache_dir=cache) for folder in (rows, side_by_side))
    assert [*one] == [*other] == ["train", "validation", "test"]
    source = load_dataset(str(made / "data"), cache_dir=cache)
    tokenizer = load(made / kind)
    has_ends = kind == "python"
    for split in one:
        by_id = {row["trace_id"]: row for row in one[split]}
        assert [*by_id] == source[split]["trace_id"]
        for row, text in zip(one[split], source[split]["text"], strict=True):
            assert tokenizer.decode(row["ids"]) == text and len(row["ids"]) == len(row["roles"]) == len(row["steps"])
            framed = [tokenizer.bos_token_id, *row["ids"], tokenizer.eos_token_id] if has_ends else row["ids"]
            assert row["input_ids"] == framed and len(row["labels"]) == len(framed)
            if learn == "all":
                assert row["labels"] == [IGNORED, *framed[1:]]
            else:
                values = [n for n, role in zip(row["ids"], row["roles"], strict=True) if role == ROLES.index("value")]
                assert learnt_pairs(row["input_ids"], row["labels"]) == values
        seen = set()
        for example in other[split]:
            assert len(example["input_ids"]) == len(example["labels"]) == len(example["position_ids"]) == 1024
            start = 0
            for trace_id, size in zip(example["trace_ids"], example["sequence_lengths"], strict=True):
                part = slice(start, start + size)
                assert example["input_ids"][part] == by_id[trace_id]["input_ids"]
                assert example["labels"][part] == by_id[trace_id]["labels"]
                start += size
                seen.add(trace_id)
        assert seen == set(by_id)
    learnt = sum(label != IGNORED for row in one["train"] for label in row["labels"])
    assert f"{learnt} of them learnt" in told
    assert learnt == sum(label != IGNORED for row in other["train"] for label in row["labels"])


def test_the_roles_are_those_of_the_projects_own_encoding(made: Path, tmp_path: Path) -> None:
    rows = encoded(made, tmp_path / "rows")
    source = load_dataset(str(made / "data"), split="test", cache_dir=str(tmp_path / "cache"))
    for row, each in zip(pq.read_table(rows / "test.parquet").to_pylist(), source, strict=True):
        (own,) = encode_rows(load(made / "python"), [each])
        assert (row["ids"], row["roles"], row["steps"]) == (own.ids.tolist(), own.roles.tolist(), own.steps.tolist())


def test_a_folder_is_of_one_form(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = encoded(made, tmp_path / "out", "--pack", "64")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    again = ["encode", str(made / "data"), "--tokenizer", str(made / "python"), "--out", str(out)]
    capsys.readouterr()
    assert main([*again, "--pack", "64"]) == 0 and "there already" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    for other in (["--pack", "32"], [], ["--pack", "64", "--learn", "reveals"]):
        assert main([*again, *other]) == 2
        assert "encoded with learn all, pack 64" in " ".join(capsys.readouterr().err.split())
    assert main([*again, "--pack", "64", "--learn", "nonsense"]) == 2
    assert "expected what is learnt" in capsys.readouterr().err
    meta = json.loads((out / "meta.json").read_text())
    (out / "meta.json").write_text(json.dumps({key: value for key, value in meta.items() if key != "form"}))
    assert main([*again, "--pack", "64"]) == 2, "of an earlier version"


def test_rows_of_a_configuration(made: Path, tmp_path: Path) -> None:
    out = encoded(made, tmp_path / "out", "--configuration", "uncertain")
    source = load_dataset(str(made / "data"), "uncertain", split="test", cache_dir=str(tmp_path / "cache"))
    assert pq.read_table(out / "test.parquet")["trace_id"].to_pylist() == source["trace_id"]


def model_of(size: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        use_cache=False,
    )
    return LlamaForCausalLM(config).double().eval()


def test_attention_stays_within_a_document(made: Path, tmp_path: Path) -> None:
    """The loss over packed examples is that over the documents alone, token by token."""
    out = encoded(made, tmp_path / "packed", "--pack", "1024")
    tokenizer = load(made / "python")
    model = model_of(len(tokenizer))
    example = max(pq.read_table(out / "train.parquet").to_pylist(), key=lambda row: len(row["trace_ids"]))
    assert len(example["trace_ids"]) > 1
    columns = {name: torch.tensor([example[name]]) for name in ("input_ids", "labels", "position_ids")}
    with torch.no_grad():
        logits = model(input_ids=columns["input_ids"], position_ids=columns["position_ids"]).logits
        start = 0
        for size in example["sequence_lengths"]:
            alone = model(input_ids=columns["input_ids"][:, start : start + size]).logits
            torch.testing.assert_close(logits[:, start : start + size], alone, rtol=1e-9, atol=1e-9)
            start += size
        told = model(**columns).loss
        targets = columns["labels"][0, 1:]
        losses = torch.nn.functional.cross_entropy(logits[0, :-1], targets, ignore_index=IGNORED)
        torch.testing.assert_close(told.double(), losses, rtol=1e-5, atol=1e-5)


def test_the_trainer_takes_a_packed_folder_as_it_is(made: Path, tmp_path: Path) -> None:
    out = encoded(made, tmp_path / "packed", "--pack", "128", "--learn", "reveals")
    tokenizer = load(made / "python")
    rows = load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "run"),
        per_device_train_batch_size=2,
        per_device_eval_batch_size=2,
        max_steps=4,
        learning_rate=1e-2,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    model = model_of(len(tokenizer)).float()
    trainer = Trainer(model=model, args=arguments, train_dataset=rows["train"], eval_dataset=rows["test"])
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < before
