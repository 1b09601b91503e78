"""Tokenizers lose nothing, tell the role of every token, and never take program text for special tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy")
pytest.importorskip("tokenizers", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.corpus.synthetic.stream import Stream, TokenStream  # noqa: E402
from trace_mine.corpus.synthetic.task import Stage  # noqa: E402
from trace_mine.corpus.synthetic.tasks import make_task  # noqa: E402
from trace_mine.tokenizer.__main__ import main  # noqa: E402
from trace_mine.tokenizer.encoded import ROLES, encode_rows, encode_text, library_ids  # noqa: E402
from trace_mine.tokenizer.kinds import KINDS, load, vocabulary_hash  # noqa: E402
from trace_mine.tokenizer.lexemes import LEXEME, SPECIALS, fallen_to_bytes, fit_python, plain_table  # noqa: E402
from trace_mine.tokenizer.symbols import fit_symbols, symbols_tokenizer  # noqa: E402

ROOT = Path(__file__).parents[2]
SESSION = ">>> total = 12\n>>> def f(x):\n...     return x + total\n>>> f(30)\n42\n>>> print('é😀', total)\né😀 12\n"
NASTY = [
    "",
    "<pad><bos>x<eos>",
    ">>> s = '<eos>'\n>>> s\n'<eos>'\n",
    "\x00\x01\x0b\x0c\x1c\x7f\x85",
    "\ufeff\u2028\u2029\u200b",
    "a\r\nb\rc\n\r\n",
    "\t \t  x\u00a0y\u3000z",
    "é\u0301ẞ\u0130 \u1100\u1161 \U0001f469\u200d\U0001f680",
    ">>> x = '>>> y'\n... \n",
    "x" * 5_000,
    "12345678901234567890 0x_ff 1e-9 ٣٤",
    "Ġ Ċ ĉ Âł",
]
TASKS = [
    ("permutations", {"n": "3"}),
    ("permutations", {"n": "3", "style": "echo", "p": "0.1"}),
    ("permutations", {"n": "4", "moves": "full", "values": "repeated"}),
    ("groups", {}),
]


@pytest.fixture(scope="module")
def python():
    return fit_python([SESSION] * 3, vocab_size=600)


@settings(max_examples=300, deadline=None)
@given(text=st.text())
def test_any_text_comes_back(python, text):
    assert python.decode(encode_text(python, text)) == text


@settings(max_examples=200, deadline=None)
@given(words=st.lists(st.sampled_from([*NASTY, *SPECIALS, ">>> ", "... ", "\n", "total", " " * 4, "é", "\r"])))
def test_texts_of_hostile_pieces_come_back(python, words):
    text = "".join(words)
    ids = encode_text(python, text)
    assert python.decode(ids) == text
    assert not set(ids) & {0, 1, 2}


PIECES = [">>> ", "... ", "total", "tot", "    ", " ", "**=", "1", "<eos>", "\n"]
PLAIN = st.text(st.characters(min_codepoint=10, max_codepoint=126).filter(lambda c: c == "\n" or c >= " "))


@settings(max_examples=500, deadline=None)
@given(text=st.one_of(PLAIN, st.lists(st.sampled_from(PIECES)).map("".join)))
def test_the_short_way_for_plain_texts_is_the_librarys(python, text):
    assert plain_table(python).encode(text).tolist() == library_ids(python, [text])[0].tolist()


def test_what_is_not_plain_or_not_of_the_kind_takes_the_librarys_way(python):
    assert all(plain_table(python).encode(text) is None for text in ("\r\n", "\t", "\x1c", "\u00e9", "\x7f"))
    assert plain_table(symbols_tokenizer(["", "a"])) is None


@pytest.mark.parametrize("text", NASTY)
def test_nasty_texts_come_back_also_from_disk(python, text, tmp_path):
    python.save_pretrained(tmp_path)
    again = load(tmp_path)
    for each in (python, again):
        assert each.decode(encode_text(each, text)) == text
        assert each.decode(each(text, add_special_tokens=False).input_ids) == text
        assert not set(each(text, add_special_tokens=False).input_ids) & {0, 1, 2}
    assert vocabulary_hash(again) == vocabulary_hash(python)


def test_lexemes_are_whole_and_digits_single(python):
    pieces = [python.decode([n]) for n in encode_text(python, ">>> total = 12\n>>> def f(x):\n")]
    assert pieces == [">>> ", "total", " ", "=", " ", "1", "2", "\n", ">>> ", "def", " ", "f", "(", "x", ")", ":", "\n"]
    assert "".join(__import__("re").findall(LEXEME, SESSION)) == SESSION


def test_a_lone_surrogate_is_refused(python):
    with pytest.raises(ValueError, match="lone surrogates, got one at 1"):
        encode_text(python, "a\ud800")


def test_the_vocabulary_depends_on_the_texts_alone():
    texts = [SESSION, "b = a\n" * 5, "a = b\n" * 5]
    one, two = fit_python(texts), fit_python(reversed(texts))
    assert vocabulary_hash(one) == vocabulary_hash(two) != vocabulary_hash(fit_python([]))
    many = [" ".join(f"name_{n}" for n in range(300))] * 3
    assert len(fit_python(many, vocab_size=600)) == 600
    with pytest.raises(ValueError, match="vocab_size of at least"):
        fit_python(texts, vocab_size=100)


def rows_of(name, parameters, count=5, commands=6):
    task = make_task(name, parameters)
    stage = Stage(commands=(commands, commands), spacing=(2, 2))
    stream = Stream(task, seed=0, split="train", stage=stage)
    rows = []
    for index in range(count):
        trace = stream[index]
        segments = [{"start": s.start, "end": s.end, "role": s.role, "step": s.step} for s in trace.segments]
        rows.append({"text": trace.text, "segments": segments, "trace_id": str(index)})
    return task, stage, rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "parameters"), TASKS)
def test_roles_partition_the_text(kind, name, parameters):
    _, _, rows = rows_of(name, parameters)
    chosen = KINDS[kind](rows, vocab_size=1_000, per="word")
    for row, told in zip(rows, encode_rows(chosen, rows), strict=True):
        assert chosen.decode(told.ids.tolist()) == row["text"]
        for index, role in enumerate(ROLES):
            of_role = [n for n, r in zip(told.ids.tolist(), told.roles.tolist(), strict=True) if r == index]
            joined = "".join(row["text"][s["start"] : s["end"]] for s in row["segments"] if s["role"] == role)
            assert chosen.decode(of_role) == joined
        assert (np.diff(told.steps) >= 0).all() and told.steps[-1] == row["segments"][-1]["step"]


def test_a_token_never_has_two_roles_even_where_a_lexeme_would_cross(python):
    text = "ab\n"
    segments = [
        {"start": 0, "end": 1, "role": "command", "step": 0},
        {"start": 1, "end": 3, "role": "value", "step": 1},
    ]
    told = encode_rows(fit_python(["ab\n"] * 3), [{"text": text, "segments": segments}])[0]
    assert told.roles.tolist() == [ROLES.index("command"), ROLES.index("value"), ROLES.index("value")]
    assert told.steps.tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match="cover their text"):
        encode_rows(python, [{"text": text, "segments": segments[:1]}])


def test_bos_and_eos_are_no_text(python):
    row = {"text": "x\n", "segments": [{"start": 0, "end": 2, "role": "value", "step": 0}]}
    told = encode_rows(python, [row], bos=True, eos=True)[0]
    assert told.ids[0] == 1 and told.ids[-1] == 2
    assert told.roles.tolist() == [-1, ROLES.index("value"), ROLES.index("value"), -1]


@pytest.mark.parametrize("per", ["word", "name", "command"])
@pytest.mark.parametrize(("name", "parameters"), TASKS)
def test_symbols_are_the_streams_own(name, parameters, per):
    task, stage, rows = rows_of(name, parameters)
    stream = TokenStream(task, seed=0, split="train", stage=stage, per=per)
    chosen = symbols_tokenizer(stream.vocabulary)
    batch = stream.batch(range(len(rows)))
    for row, tokens, length in zip(rows, batch.tokens, batch.lengths, strict=True):
        assert encode_text(chosen, row["text"]) == tokens[:length].tolist()
        assert chosen.decode(tokens[:length].tolist()) == row["text"]
    fitted = fit_symbols(rows, per=per)
    known = set(fitted.get_vocab()) - {"<unk>", "<pad>"}
    assert known <= set(stream.vocabulary)
    told = encode_rows(fitted, rows)
    assert [len(each.ids) for each in told] == batch.lengths.tolist()


def test_a_closed_vocabulary_names_what_it_lacks():
    chosen = symbols_tokenizer(["", ">>> ", "a", " = ", "1", "\n"])
    with pytest.raises(ValueError, match="got 'b'"):
        encode_text(chosen, ">>> b = 1\n")
    with pytest.raises(ValueError, match="first of them"):
        symbols_tokenizer(["a", "b"])
    rows = [{"text": f"{n}.5\n", "segments": []} for n in range(5_000)]
    with pytest.raises(ValueError, match="closed vocabulary"):
        fit_symbols(rows)


def test_calls_with_truncation_or_padding_leave_nothing_behind(python, tmp_path):
    text = "é a b c\n"
    python(text, truncation=True, max_length=2)
    assert python.decode(encode_text(python, text)) == text
    python([text, "é"], padding=True)
    assert python.decode(encode_text(python, "é")) == "é"
    python(text, truncation=True, max_length=2)
    python.save_pretrained(tmp_path)
    assert python.decode(encode_text(load(tmp_path), text)) == text


@pytest.mark.parametrize(
    ("words", "text", "told"),
    [
        (["", "x", "\n"], "x\n<pad>\n", "<pad>"),
        (["", "x", "\n"], "x<unk>\n", "<unk>"),
        (["", "10", "0", "\n"], "100\n", "100"),
        (["", "a", "10", "\n"], "a10\n", "a10"),
    ],
)
def test_a_closed_vocabulary_is_closed(words, text, told):
    with pytest.raises(ValueError, match=f"got '{told}'"):
        encode_text(symbols_tokenizer(words), text)


def test_broken_input_is_a_value_error(python, tmp_path):
    with pytest.raises(ValueError, match="other than <pad>"):
        symbols_tokenizer(["", "<pad>"])
    row = {"text": "x", "segments": [{"start": 0, "end": 1, "role": "colour", "step": 0}]}
    with pytest.raises(ValueError, match="a role among"):
        encode_rows(python, [row])
    with pytest.raises(ValueError, match="leave bos"):
        encode_rows(symbols_tokenizer(["", "x"]), [row], bos=True)
    with pytest.raises(ValueError, match="lone surrogates"):
        fit_python(["\ud800"])
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="expected a tokenizer in"):
        load(tmp_path)


def test_an_unfitted_tokenizer_has_prompts_and_operators():
    unfitted = fit_python([])
    assert len(encode_text(unfitted, ">>> x **= 2\n... ")) == 8
    assert fallen_to_bytes(unfitted, [">>> abc = None\n"]) == 3


def tokenize(*arguments):
    told = [sys.executable, "-m", "trace_mine.tokenizer", *map(str, arguments)]
    return subprocess.run(told, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
def test_the_command_fits_shows_and_encodes(tmp_path):
    data, tok, out = tmp_path / "data", tmp_path / "tok", tmp_path / "out"
    made = [sys.executable, "-m", "trace_mine.corpus.synthetic", "permutations", "--rows", "40", "--out", str(data)]
    subprocess.run(made, cwd=ROOT, check=True, capture_output=True)
    told = tokenize("fit", data, "--out", tok)
    assert told.returncode == 0, told.stderr
    assert (tok / "tokenizer.json").is_file() and json.loads((tok / "fit.json").read_text())["tokens"] > 100
    shown = tokenize("show", data, "--tokenizer", tok)
    assert shown.returncode == 0 and ">>> |a| |=| |1|" in shown.stdout and "tokens: " in shown.stdout, shown
    assert tokenize("encode", data, "--tokenizer", tok, "--out", out).returncode == 0
    again = tokenize("encode", data, "--tokenizer", tok, "--out", out)
    assert "there already" in again.stdout
    import pyarrow.parquet as pq

    table = pq.read_table(out / "train.parquet").to_pylist()
    chosen = load(tok)
    assert chosen.decode(table[0]["ids"]).startswith(">>> a = ")
    assert len(table[0]["ids"]) == len(table[0]["roles"]) == len(table[0]["steps"])
    assert tokenize("fit", data, "--out", tmp_path / "sym", "--kind", "symbols", "--per", "command").returncode == 0
    assert tokenize("encode", data, "--tokenizer", tmp_path / "sym", "--out", out).returncode == 2


def test_show_of_a_file_keeps_control_bytes_from_the_terminal(tmp_path, capsys):
    path = tmp_path / "session.txt"
    path.write_text(">>> print('\x1b[31m')\n\x1b[31m\n")
    assert main(["show", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "\x1b[31m" not in printed and "\\x1b" in printed


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fit", "nowhere", "--out", "x"), "trace-mine or trace-synth wrote"),
        (("show", "nowhere"), "expected a dataset or a file"),
        (("encode", "nowhere", "--tokenizer", "nowhere", "--out", "x"), "tokenizer.json"),
    ],
)
def test_wrong_input_is_one_line(arguments, told, capsys):
    assert main([*arguments]) == 2
    printed = capsys.readouterr().err
    assert told in printed and len(printed.strip().splitlines()) == 1


def test_a_process_says_no_more_than_that_line():
    done = tokenize("show", "nowhere")
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
