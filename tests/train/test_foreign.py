"""Models of others are trained by our loss: tokens have the right roles, runs resume, folders open elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from tiny_causal import save_tiny  # noqa: E402
from trace_mine.corpus.synthetic.__main__ import main as synth  # noqa: E402
from trace_mine.tokenizer.encoded import ROLES  # noqa: E402
from trace_mine.tracer.formats import repl  # noqa: E402
from trace_mine.tracer.schema import Step  # noqa: E402
from trace_mine.train import run_folder, running  # noqa: E402
from trace_mine.train.__main__ import main  # noqa: E402
from trace_mine.train.batches import LAST_REVEAL, OTHER, PADDING, REVEAL  # noqa: E402
from trace_mine.train.foreign.alignment import encode_aligned  # noqa: E402
from trace_mine.train.foreign.batches import ForeignTaskBatches  # noqa: E402
from trace_mine.train.foreign.opening import open_tokenizer  # noqa: E402
from trace_mine.train.recipes import finetune  # noqa: E402
from trace_mine.train.settings import override  # noqa: E402

STAGES = "stages=[{steps: 6, commands: [2, 3], spacings: [1]}]"
FEW = ["batch_size=2", "accumulate=2", "evaluate_rows=4", "evaluate_every=3", "save_every=2", "log_every=1", "keep=9"]
TASK = ["--task", "permutations", "--set", "task.n=3"]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("gpt2"), "gpt2", dropout=0.1)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("qwen"), "qwen2")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows") / "made"
    made = ["permutations", "--set", "n=3", "--rows", "12", "--held-out", "4", "--commands", "3", "--spacing", "1"]
    assert synth([*made, "--jobs", "1", "--out", str(folder)]) == 0
    return folder


def as_row(text):
    rendered = repl.render(Step(source=s, output=o, kind="statement") for s, o in repl.parse(text))
    assert rendered.text == text
    segments = [{"start": s.start, "end": s.end, "role": s.role, "step": s.step} for s in rendered.segments]
    return {"text": text, "segments": segments}


# alignment ------------------------------------------------------------------------------------------------------------


def pieces(tokenizer, text):
    (encoded,) = encode_aligned(tokenizer, [as_row(text)])
    return [
        (tokenizer.decode([number]), "" if role < 0 else ROLES[role], step)
        for number, role, step in zip(encoded.ids.tolist(), encoded.roles.tolist(), encoded.steps.tolist(), strict=True)
    ]


def test_tokens_have_the_role_of_their_first_character(qwen):
    found = pieces(open_tokenizer(qwen), ">>> a, b, c = c, a, b\n>>> print('a', a)\na 1\n")
    assert "".join(text for text, _, _ in found[:-1]) == ">>> a, b, c = c, a, b\n>>> print('a', a)\na 1\n"
    assert found[-1] == ("<|endoftext|>", "", -1)
    by_role = {}
    for text, role, step in found:
        by_role.setdefault((step, role), []).append(text)
    assert (
        "".join(by_role[1, "value"]).strip() == "a 1" and "".join(by_role[0, "command"]).strip() == "a, b, c = c, a, b"
    )
    assert "".join(by_role[1, "prompt"]).strip() == ">>>"


class Merging:
    """A tokenizer whose tokens reach over segments: pieces of a text cut at given places."""

    is_fast, unk_token_id, eos_token_id = True, None, None

    def __init__(self, cuts):
        self.cuts = cuts

    def __call__(self, text, **_):
        ends = sorted({cut for cut in self.cuts if 0 < cut < len(text)} | {len(text)})
        spans = list(zip([0, *ends[:-1]], ends, strict=True))
        return {"input_ids": [*range(len(spans))], "offset_mapping": spans}


SESSION = ">>> x = 1\n>>> if x:\n...     x\n1\n>>> x, \"é\u2028\"\n(1, '\u00e9')\n"


@given(st.lists(st.integers(1, len(SESSION) - 1), max_size=20))
def test_however_a_text_is_cut_a_token_has_a_role_that_it_holds(cuts):
    row = as_row(SESSION)
    tokenizer = Merging(cuts)
    (encoded,) = encode_aligned(tokenizer, [row])
    for (start, end), role, step in zip(
        tokenizer(SESSION)["offset_mapping"], encoded.roles, encoded.steps, strict=True
    ):
        # the slow way: the segment of each character that the token stands for
        held = [next(s for s in row["segments"] if s["start"] <= at < s["end"]) for at in range(start, end)]
        visible = [s for at, s in zip(range(start, end), held, strict=True) if not SESSION[at].isspace()]
        expected = (visible or held)[0]
        assert (ROLES[role], step) == (expected["role"], expected["step"])


def test_tokenizers_that_tell_no_characters_or_know_no_text_are_refused(qwen):
    slow = Merging([])
    slow.is_fast = False
    with pytest.raises(ValueError, match="which is not fast"):
        encode_aligned(slow, [as_row(SESSION)])
    with pytest.raises(ValueError, match="surrogates"):
        encode_aligned(open_tokenizer(qwen), [{**as_row(">>> a\n"), "text": ">>> \ud800\n"}])


@pytest.mark.parametrize(
    ("parameters", "values"),
    [({}, [["1"]]), ({"style": "echo"}, [["1"]]), ({"reveals": "full"}, [["1", "2", "3"]])],
)
def test_reveals_of_a_task_are_the_tokens_of_its_values(qwen, parameters, values):
    settings = override(
        finetune(qwen, task="permutations"), [STAGES, "task.n=3", *(f"task.{k}={v}" for k, v in parameters.items())]
    )
    tokenizer = open_tokenizer(qwen)
    batches = ForeignTaskBatches(settings, tokenizer)
    made = batches.sessions(range(3), 3, 1, "train")
    for ids, kinds in zip(made["input_ids"].tolist(), made["kinds"].tolist(), strict=True):
        text = tokenizer.decode([number for number, kind in zip(ids, kinds, strict=True) if kind != PADDING])
        outputs = [output for _, output in repl.parse(text) if output]
        expected = [
            word for output in outputs for word in output.replace(",", " ").strip("()").split() if word.isdigit()
        ]
        reveals = [tokenizer.decode([n]).strip() for n, kind in zip(ids, kinds, strict=True) if kind >= REVEAL]
        assert reveals == expected
        last = [tokenizer.decode([n]).strip() for n, kind in zip(ids, kinds, strict=True) if kind == LAST_REVEAL]
        assert last == expected[-len(values[0]) :]
        assert kinds.count(OTHER) > 0


# runs -----------------------------------------------------------------------------------------------------------------


def settings_of(folder, *more, lora=0, dataset=""):
    task = "" if dataset else "permutations"
    sets = [*FEW, *([] if dataset else [STAGES, "task.n=3"]), *more]
    return override(finetune(folder, task=task, dataset=str(dataset), lora_rank=lora, max_length=200), sets)


def weights(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()


@pytest.mark.parametrize(("lora", "accumulate"), [(0, 2), (4, 1)])
def test_resuming_is_bit_equal(gpt2, lora, accumulate, tmp_path):
    if lora:
        pytest.importorskip("peft", reason="needs the extra [lora]")
    settings = settings_of(gpt2, f"accumulate={accumulate}", lora=lora)
    running.train(settings, tmp_path / "whole")
    running.train(settings, tmp_path / "broken")
    for name in ("model.safetensors", "final.json"):
        (tmp_path / "broken" / name).unlink()
    for path in (tmp_path / "broken" / "checkpoints").iterdir():
        if path.name != "checkpoint-2":
            (path / "complete.json").unlink()
    assert main(["--resume", str(tmp_path / "broken")]) == 0
    one, other, begin = weights(tmp_path / "whole"), weights(tmp_path / "broken"), weights(gpt2)
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert any(not torch.equal(one[key], begin[key]) for key in one)


def test_all_weights_of_a_model_learn_a_dataset(qwen, rows, tmp_path):
    out = tmp_path / "tuned"
    sets = [part for s in (*FEW, "max_steps=30", "learning_rate=1e-2", "warmup=3") for part in ("--set", s)]
    assert main(["finetune", "--hf", str(qwen), "--dataset", str(rows), *sets, "--out", str(out)]) == 0
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["loss_reveal"] < lines[0]["loss_reveal"] - 1
    assert lines[-1]["loss_other"] < lines[0]["loss_other"] - 1
    final = run_folder.read_final(out)
    by_role = final["evaluations"][0]["by_role"]
    assert by_role["prompt"]["accuracy"] > 0.5 and by_role["value"]["loss"] < lines[0]["loss_reveal"] - 1
    assert final["trained_parameters"] == final["parameters"]
    assert "fine-tuned in all its weights" in (out / "README.md").read_text()


def test_lora_trains_its_updates_alone_and_peft_opens_them(qwen, tmp_path):
    peft = pytest.importorskip("peft", reason="needs the extra [lora]")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = tmp_path / "tuned"
    running.train(settings_of(qwen, "learning_rate=1e-2", lora=4), out)
    final = run_folder.read_final(out)
    assert 0 < final["trained_parameters"] < final["parameters"] / 2
    ids = AutoTokenizer.from_pretrained(out)(">>> a, b = b, a\n", return_tensors="pt")["input_ids"]
    merged = AutoModelForCausalLM.from_pretrained(out).eval()
    base = AutoModelForCausalLM.from_pretrained(qwen).eval()
    adapted = peft.PeftModel.from_pretrained(base, out / "adapter").eval()
    with torch.no_grad():
        assert torch.allclose(merged(ids).logits, adapted(ids).logits, atol=1e-5)
        with adapted.disable_adapter():
            plain = adapted(ids).logits
        assert not torch.allclose(merged(ids).logits, plain, atol=1e-3)
        original = AutoModelForCausalLM.from_pretrained(qwen).eval()(ids).logits
        assert torch.equal(plain, original)


def test_the_loss_is_ours_over_their_tokens(qwen, tmp_path):
    from transformers import AutoModelForCausalLM

    settings = settings_of(qwen, "max_steps=1", "reveal_weight=3", "other_weight=0.5", "batch_size=4", "accumulate=1")
    running.train(settings, tmp_path / "one")
    (line,) = [json.loads(line) for line in (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()]
    made = ForeignTaskBatches(settings, open_tokenizer(qwen)).batch(0, range(4))
    model = AutoModelForCausalLM.from_pretrained(qwen).eval()
    with torch.no_grad():
        logs = model(made["input_ids"]).logits[:, :-1].log_softmax(-1)
    losses = -logs.gather(-1, made["input_ids"][:, 1:, None])[..., 0]
    kinds = made["kinds"][:, 1:]
    other, reveal = losses[kinds == OTHER].mean().item(), losses[kinds >= REVEAL].mean().item()
    assert line["loss"] == pytest.approx(0.5 * other + 3 * reveal, rel=1e-4)
    assert np.isclose(line["loss_reveal"], reveal, rtol=1e-4)


def test_what_does_not_go_together_is_one_line(qwen, rows, tmp_path, capsys):
    for arguments, message in (
        (["--hf", str(qwen)], "expected --dataset FOLDER or --task NAME"),
        (["--hf", str(tmp_path), *TASK], "expected a local folder with config.json"),
        (["--hf", str(qwen), *TASK, "--set", "max_length=999"], "expected max_length of at most 256"),
        (["--hf", str(qwen), *TASK, "--set", "max_length=20"], "expected sessions of at most 20 tokens"),
        (["--hf", str(qwen), *TASK, "--set", "model.rank=2"], "expected a key of hf, got 'rank'"),
        (["--hf", str(qwen), *TASK, "--set", "model.lora_rank=-1"], "expected lora_rank >= 0"),
        (["--hf", str(qwen), *TASK, "--set", f"dataset={rows}"], "expected a dataset or a task, got both"),
    ):
        assert main(["finetune", *arguments, "--out", str(tmp_path / "out")]) == 2, arguments
        err = capsys.readouterr().err
        assert message in err and len(err.splitlines()) == 1


def test_settings_are_shown_by_the_names_that_set_takes(qwen, capsys):
    assert main(["finetune", "--hf", str(qwen), *TASK, "--lora", "--show"]) == 0
    shown = capsys.readouterr().out
    assert "model: hf\n" in shown and "model.lora_rank: 16\n" in shown and "max_length: 256\n" in shown


def test_a_folder_is_no_run_of_ours(qwen, tmp_path):
    running.train(settings_of(qwen, "max_steps=1"), tmp_path / "one")
    with pytest.raises(ValueError, match="a fine-tuned model of others; give it as --hf"):
        run_folder.settings_of(tmp_path / "one")


def test_weights_that_are_pickles_are_refused(qwen, tmp_path):
    (tmp_path / "config.json").write_bytes((qwen / "config.json").read_bytes())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((qwen / name).read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(Exception, match="expected a causal language model \\(safetensors\\)"):
        running.train(settings_of(tmp_path), tmp_path / "out")


# peft's way to say that it asked the Hub for a model that is called like the folder
@pytest.mark.filterwarnings("error:Unable to fetch remote file")
def test_a_fine_tuned_model_goes_to_the_hub_with_its_adapter(qwen, tmp_path, capsys):
    pytest.importorskip("peft", reason="needs the extra [lora]")
    running.train(settings_of(qwen, "max_steps=1", lora=2), tmp_path / "one")
    assert main(["push", str(tmp_path / "one"), "me/tuned", "--dry-run"]) == 0
    told = {line.split()[1] for line in capsys.readouterr().out.splitlines()[:-2]}
    assert {"model.safetensors", "config.json", "README.md", "adapter/adapter_model.safetensors"} <= told
    assert not [name for name in told if name.startswith(("checkpoints", "run.json", "tokenizer/"))]
    # neither the base's folder nor the run's own
    for name in told:
        assert str(tmp_path.parent).encode() not in (tmp_path / "one" / name).read_bytes(), name


def test_without_peft_lora_is_refused_by_its_extra(qwen, tmp_path, capsys, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "peft" else find(name, *more))
    assert main(["finetune", "--hf", str(qwen), *TASK, "--lora", "--out", str(tmp_path / "out")]) == 2
    assert "pip install 'trace-mine[lora]'" in capsys.readouterr().err


def test_our_evaluations_take_the_folder(qwen, tmp_path):
    pytest.importorskip("scipy", reason="needs the extra [eval]")
    from trace_mine.eval import results
    from trace_mine.eval.__main__ import main as evaluate

    running.train(settings_of(qwen, "max_steps=1"), tmp_path / "tuned")
    arguments = ["--hf", str(tmp_path / "tuned"), "--task", "permutations", "--set", "n=3", "--commands", "2"]
    arguments += ["--spacing", "1", "--rows", "2", "--out", str(tmp_path / "results.parquet")]
    assert evaluate(arguments) == 0
    found = {(each.metric, each.model): each.value for each in results.read(tmp_path / "results.parquet")}
    assert 0 <= found["accuracy", "tuned"] <= 1 and ("accuracy", "chance") in found


@pytest.mark.parametrize("lora", [0, 2])
def test_a_run_of_ours_is_a_model_like_others(tmp_path, lora):
    if lora:
        pytest.importorskip("peft", reason="needs the extra [lora]")
    from trace_mine.train.models.registry import load_model
    from trace_mine.train.recipes import recipe

    small = ["max_steps=1", "model.hidden_size=16", "evaluate_rows=2", "batch_size=2", "evaluate_at=[1]"]
    running.train(override(recipe("quick"), [*small, STAGES.replace("6", "1")]), tmp_path / "ours")
    running.train(settings_of(tmp_path / "ours", lora=lora), tmp_path / "tuned")
    tuned, begin = load_model(tmp_path / "tuned"), load_model(tmp_path / "ours")
    assert type(tuned) is type(begin)
    different = [
        name for name, weight in begin.state_dict().items() if not torch.equal(weight, tuned.state_dict()[name])
    ]
    assert different
