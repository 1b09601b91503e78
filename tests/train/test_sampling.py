"""A model's answers and its own text are what slow ways give, whatever the tokenizer; what is said of them is true."""

from __future__ import annotations

import re

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.corpus.synthetic.__main__ import main as synth  # noqa: E402
from trace_mine.tokenizer.encoded import encode_text  # noqa: E402
from trace_mine.tokenizer.lexemes import fit_python  # noqa: E402
from trace_mine.train.__main__ import main  # noqa: E402
from trace_mine.train.measure.text_beliefs import outcome_logs  # noqa: E402
from trace_mine.train.models.registry import make_model  # noqa: E402
from trace_mine.train.recipes import recipe  # noqa: E402
from trace_mine.train.running import train  # noqa: E402
from trace_mine.train.sample_command import print_all  # noqa: E402
from trace_mine.train.sampling import SessionSampler  # noqa: E402
from trace_mine.train.session_text import first_commands, read_session, session_of_text  # noqa: E402
from trace_mine.train.settings import override  # noqa: E402

SESSION = (
    ">>> a, b = 1, [2]\n>>> for n in b:\n...     a += n\n>>> a\n3\n>>> print(b, a)\n[2] 3\nend\n>>> a / 0\nTraceback"
)
SESSION += " (most recent call last):\nZeroDivisionError: division by zero\n"
GAME = ">>> a = 1\n>>> b = 2\n>>> c = 3\n>>> if random() < 0.5:\n...     a, b = b, a\n>>> a\n{}\n>>> a, b\n(1, 2)\n"
FEW = ["model.hidden_size=16", "evaluate_rows=4", "batch_size=8", "evaluate_at=[1]", "evaluate_every=0"]


@pytest.fixture(scope="module")
def sampler():
    tokenizer = fit_python([SESSION * 3], vocab_size=600)
    torch.manual_seed(0)
    model = make_model("delta_net", vocab_size=len(tokenizer), hidden_size=16, num_heads=1, initializer_range=None)
    return SessionSampler(model=model.eval(), tokenizer=tokenizer)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "small"
    train(override(recipe("belief"), ["max_steps=20", "task.p=0.5", *FEW]), folder)
    return folder


def test_probabilities_are_those_of_a_pass_over_each_text(sampler):
    session = session_of_text(SESSION)
    answers = list(sampler.answers(session, most=6))
    assert [session.segments[each.segment].role for each in answers] == ["value", "value", "error"]
    assert [each.true for each in answers][:2] == ["3\n", "[2] 3\nend\n"]
    for each in answers:
        prefix = session.as_row(each.segment)
        logs = outcome_logs(sampler.model, sampler.tokenizer, prefix, [each.true])
        assert each.p_true == pytest.approx(float(torch.tensor(logs).exp()), rel=1e-4)


@torch.no_grad()
def test_a_greedy_answer_is_the_likeliest_token_after_each_other(sampler):
    session = session_of_text(SESSION)
    for each in sampler.answers(session, most=5):
        text = session.text[: session.segments[each.segment].start]
        ids = [sampler.tokenizer.bos_token_id, *encode_text(sampler.tokenizer, text)]
        num_before = len(ids)
        for _ in range(5):
            logits = sampler.model(torch.tensor([ids])).logits[0, -1]
            logits[[0, 1]] = -1e9  # padding and <bos> are no text
            token = int(logits.argmax())
            said = sampler.tokenizer.decode(ids[num_before:])
            starts_line = not said or said.endswith("\n")
            if token == 2 or (starts_line and sampler.tokenizer.decode([token]).startswith((">>>", "... "))):
                break
            ids.append(token)
        assert each.given == sampler.tokenizer.decode(ids[num_before:])


@torch.no_grad()
def test_greedy_text_of_its_own_is_what_generate_gives(sampler):
    session = session_of_text(SESSION)
    text = "".join(sampler.continued(session, most=20))
    ids = torch.tensor([[sampler.tokenizer.bos_token_id, *encode_text(sampler.tokenizer, SESSION)]])
    made = sampler.model.generate(ids, max_new_tokens=20, do_sample=False, eos_token_id=2, suppress_tokens=[0, 1])
    assert text == sampler.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)


def test_draws_depend_on_the_seed_alone(sampler):
    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        own = SessionSampler(model=sampler.model, tokenizer=sampler.tokenizer, temperature=1.0, generator=generator)
        return "".join(own.continued(session_of_text(SESSION), most=30))

    assert drawn(1) == drawn(1) != drawn(2)


def test_drawn_tokens_follow_the_law(sampler):
    generator = torch.Generator().manual_seed(0)
    own = SessionSampler(model=sampler.model, tokenizer=sampler.tokenizer, temperature=0.5, generator=generator)
    logits = torch.tensor([9.0, 9.0, 0.0, 0.5, 1.0], dtype=torch.float64)  # of padding, <bos>, <eos> and two others
    counts = torch.bincount(torch.tensor([own._choose(logits) for _ in range(6_000)]), minlength=5) / 6_000
    assert counts[:2].sum() == 0
    assert torch.allclose(counts[2:].double(), (logits[2:] / 0.5).softmax(-1), atol=0.025)


def test_a_session_is_read_as_it_stands(tmp_path):
    (tmp_path / "a.txt").write_text(SESSION.rstrip("\n"))
    session = read_session(tmp_path / "a.txt", None)
    assert session.text == SESSION
    assert first_commands(session, 3).text == SESSION[: SESSION.index(">>> print")]
    for text, message in ((">>>a\n", "begins with"), ("a\n", "begins with"), (">>> a\n>>>  \n", None)):
        (tmp_path / "b.txt").write_text(text)
        if message is None:
            assert read_session(tmp_path / "b.txt", None).text == text
        else:
            with pytest.raises(ValueError, match=message):
                read_session(tmp_path / "b.txt", None)
    (tmp_path / "b.txt").write_text(">>> a\n>>> \n")
    with pytest.raises(ValueError, match="another form in line 2"):
        read_session(tmp_path / "b.txt", None)
    (tmp_path / "b.txt").write_bytes(b">>> \xff\n")
    with pytest.raises(ValueError, match="UTF-8"):
        read_session(tmp_path / "b.txt", None)


def test_what_is_said_is_what_the_exact_filter_knows(run, tmp_path, capsys):
    (tmp_path / "s.txt").write_text(GAME.format(2))
    assert main(["sample", str(run), "--prompt", str(tmp_path / "s.txt")]) == 2
    assert "expected words of the closed vocabulary, got '>>> a, b" in capsys.readouterr().err
    (tmp_path / "s.txt").write_text(GAME.format(2).replace(">>> a, b\n(1, 2)\n", ">>> b\n1\n>>> c\n3\n"))
    assert main(["sample", str(run), "--prompt", str(tmp_path / "s.txt")]) == 0
    told = capsys.readouterr().out
    comments = [line for line in told.splitlines() if line.startswith("    # ")]
    session = "".join(f"{line}\n" for line in told.splitlines() if "# " not in line)
    assert session == (tmp_path / "s.txt").read_text()
    exact = [float(re.search(r", ([\d.e-]+) by the exact belief\Z", line).group(1)) for line in comments]
    assert exact == [0.5, 1.0, 1.0]
    assert re.search(r"# \d of 3 outcomes right; .*at 3 of them, they were 0\.833", told)


def test_text_of_its_own_is_judged_by_the_game(run, tmp_path, capsys):
    (tmp_path / "s.txt").write_text(GAME.format(2).replace(">>> a, b\n(1, 2)\n", ""))
    arguments = ["sample", str(run), "--prompt", str(tmp_path / "s.txt"), "--free", "--temperature", "1"]
    told = []
    for seed in ("3", "3", "4"):
        assert main([*arguments, "--seed", seed, "--max-tokens", "60"]) == 0
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] != told[2]
    assert "    # from here on by the model\n" in told[0]
    assert re.search(r"by the exact belief|# wrong: it shows|# right|nothing is known", told[0])


def test_a_row_brings_its_own_beliefs(run, tmp_path, capsys):
    made = ["permutations", "--set", "n=3", "--set", "p=0.5", "--set", "style=echo", "--rows", "4", "--held-out", "0"]
    made += ["--commands", "6", "--jobs", "1"]
    assert synth([*made, "--out", str(tmp_path / "rows")]) == 0
    capsys.readouterr()
    session = read_session(tmp_path / "rows", 1)
    assert session.laws and all(abs(sum(law.values()) - 1) < 1e-9 for law in session.laws.values())
    assert main(["sample", str(run), "--prompt", str(tmp_path / "rows"), "--row", "1"]) == 0
    told = capsys.readouterr().out
    assert told.count("by the exact belief\n") == 3
    places = [(law, session.segments[number]) for number, law in session.laws.items()]
    shown = [law[session.text[place.start : place.end - 1]] for law, place in places]
    assert f"they were {sum(shown) / 3:.3f}" in told
    for number in ("99", "4"):
        assert main(["sample", str(run), "--prompt", str(tmp_path / "rows"), "--row", number]) == 2
    assert "expected a row from 0 to 3, got 4" in capsys.readouterr().err
    assert main(["sample", str(run), "--prompt", str(tmp_path / "rows")]) == 2
    assert "expected --row N with a dataset" in capsys.readouterr().err


def test_text_of_a_model_is_escaped(capsys):
    print_all(["a\x1b[31m", "\u202e\n"])
    assert capsys.readouterr().out == "a\\x1b[31m\\u202e\n"


def test_wrong_usage_is_one_line(run, tmp_path, capsys):
    for arguments in (
        ["sample", str(tmp_path / "nowhere"), "--prompt", str(tmp_path / "none.txt")],
        ["sample", str(tmp_path), "--prompt", __file__],
        ["sample", str(run), "--prompt", __file__, "--row", "1"],
    ):
        assert main(arguments) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
