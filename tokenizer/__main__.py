"""``trace-tokenize``: fits a tokenizer on a dataset, shows a coloured encoding, encodes a dataset."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trace_mine.tracer.atomic import write_atomically
from trace_mine.tracer.command_line import make_app, run_app
from trace_mine.tracer.visible import visible as escaped

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from trace_mine.tokenizer.encoded import Row

EXAMPLES = """\b
Examples:
  trace-tokenize fit traces --out tok --vocab-size 4096
  trace-tokenize show traces --tokenizer tok --row 3
  trace-tokenize encode traces --tokenizer tok --out encoded
  trace-tokenize encode traces --tokenizer tok --out packed --pack 1024 --learn reveals"""

app = make_app(description="Tokens of traces, with the role and step of each.", epilog=EXAMPLES)
COLOURS = {
    "prompt": "bright_black",
    "command": "cyan",
    "reveal": "yellow",
    "value": "green",
    "hidden": "magenta",
    "error": "red",
}
# Enough for the library to spread a batch over its threads, few enough to stay in a few megabytes.
ROWS_AT_ONCE = 512


@app.command(epilog="Example: trace-tokenize fit traces --out tok --vocab-size 4096")
def fit(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="what trace-mine or trace-synth wrote")],
    out: Annotated[Path, typer.Option(help="folder for tokenizer.json")],
    kind: Annotated[str, typer.Option(help="python or symbols")] = "python",
    per: Annotated[str, typer.Option(help="of symbols: a token a word, name or command")] = "word",
    vocab_size: Annotated[int, typer.Option(help="of python")] = 8_192,
) -> None:
    """Fits a tokenizer on the training split."""
    from trace_mine.tokenizer.encoded import encode_rows
    from trace_mine.tokenizer.kinds import KINDS, vocabulary_hash
    from trace_mine.tokenizer.lexemes import fallen_to_bytes

    if kind not in KINDS:
        raise ValueError(f"expected a kind among {', '.join(KINDS)}, got {kind!r}")
    # an error rather than a silent no-op: whoever gives --per expects whole commands
    if kind == "python" and per != "word":
        raise ValueError(f"expected --per with --kind symbols alone, got --per {per} with --kind python")
    splits = read(dataset)
    if "train" not in splits:
        # held-out rows must not decide what has a token of its own
        raise ValueError(
            f"expected rows to train on, got none in {dataset}, whose rows stand in {', '.join(splits)}; "
            "mine more repositories, or this one with --split-by function"
        )
    rows = splits["train"]
    fitted = KINDS[kind](rows, vocab_size=vocab_size, per=per)
    # encoded once before it is saved, so that a tokenizer which can't encode its own dataset is never left behind
    tokens = sum(len(each.ids) for part in parts(rows) for each in encode_rows(fitted, part))
    fitted.save_pretrained(str(out))
    report = {
        "kind": kind,
        "per": per,
        "vocabulary": len(fitted),
        "vocabulary_hash": vocabulary_hash(fitted),
        "rows": len(rows),
        "tokens": tokens,
        "characters": sum(len(text) for text in rows["text"]),
        "dataset_hash": identity_of(rows),
    }
    if kind == "python":
        report["share_of_bytes_of_unknown_words"] = fallen_to_bytes(fitted, rows["text"]) / max(tokens, 1)
    write(out / "fit.json", report)
    print(json.dumps(report, indent=2))


@app.command(epilog="Example: trace-tokenize show traces --tokenizer tok --row 3")
def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="a dataset, or a file with a session")],
    tokenizer: Annotated[
        Path | None, typer.Option(help="a fitted tokenizer; else one of keywords and builtins")
    ] = None,
    row: Annotated[int, typer.Option(help="which row of the dataset")] = 0,
) -> None:
    """Prints a session's tokens, coloured by role, with a bar between tokens."""
    from rich.console import Console
    from rich.text import Text

    from trace_mine.tokenizer.encoded import ROLES, encode_rows
    from trace_mine.tokenizer.kinds import load
    from trace_mine.tokenizer.lexemes import fit_python

    # without a tokenizer one of keywords and builtins, so that the command shows something before anything is fitted
    chosen = load(tokenizer) if tokenizer is not None else fit_python([])
    encoded = encode_rows(chosen, [one_row(path, row)])[0]
    console = Console()
    line = Text()
    pending: list[int] = []
    for number, role in zip(encoded.ids.tolist(), encoded.roles.tolist(), strict=True):
        pending.append(number)
        text = str(chosen.decode(pending))  # of a list of lists it would be a list
        if "\ufffd" in text and len(pending) < 4:
            continue  # bytes of one character, four at most, are shown together: alone they decode to U+FFFD
        pending = []
        line.append(visible(text), style=COLOURS[ROLES[role]])
        line.append("\n" if text.endswith("\n") else "|", style="dim")
    console.print(line, end="", soft_wrap=True)
    counts = Counter(ROLES[role] for role in encoded.roles.tolist())
    legend = Text(f"{len(encoded.ids)} tokens: ")
    for role_name, count in counts.most_common():
        legend.append(f"{role_name} {count}  ", style=COLOURS[role_name])
    console.print(legend)


@app.command(epilog="Example: trace-tokenize encode traces --tokenizer tok --out encoded")
def encode(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="what trace-mine or trace-synth wrote")],
    tokenizer: Annotated[Path, typer.Option(help="a fitted tokenizer")],
    out: Annotated[Path, typer.Option(help="folder for Parquet, which datasets.load_dataset reads")],
    learn: Annotated[
        str,
        typer.Option(
            metavar="all|reveals|ROLE,...",
            help="tokens with a label: all, those of reveals, or those of these roles; the others have -100",
        ),
    ] = "all",
    pack: Annotated[
        int | None,
        typer.Option(min=2, metavar="LENGTH", help="examples of this length, of whole rows", show_default="a row each"),
    ] = None,
    configuration: Annotated[str, typer.Option(help="default, uncertain: the rows that are taken")] = "default",
) -> None:
    """Encodes every split, as input_ids and labels; a split that is there already, made the same way, is left alone.

    With --pack, position_ids begin at 0 with each row, and sequence_lengths has the rows' lengths.
    """
    import numpy as np

    from trace_mine.tokenizer.encoded import ROLES
    from trace_mine.tokenizer.encoded_folder import encode_split, write_card
    from trace_mine.tokenizer.kinds import load, vocabulary_hash
    from trace_mine.tokenizer.packing import labels_of

    labels_of(np.zeros(0, np.int32), np.zeros(0, np.int8), ROLES, learn)  # raises before anything is read
    chosen = load(tokenizer)
    out.mkdir(parents=True, exist_ok=True)
    identity = vocabulary_hash(chosen)
    meta = out / "meta.json"
    # Any, for it is read from a file
    state: dict[str, Any] = json.loads(meta.read_text(encoding="utf-8")) if meta.is_file() else {}
    if state and state["vocabulary_hash"] != identity:
        raise ValueError(f"expected a folder of this vocabulary, got {out}, encoded with another; choose another --out")
    form = {"learn": learn, "pack": pack, "configuration": configuration}
    if state and state.get("form") != form:
        earlier = ", ".join(f"{key} {value}" for key, value in (state.get("form") or {"form": "of before 0.3"}).items())
        raise ValueError(f"expected a folder encoded this way, got {out}, encoded with {earlier}; choose another --out")
    state = {"splits": {}, **state, "vocabulary_hash": identity, "roles": list(ROLES), "tokenizer": tokenizer.name}
    state["form"] = form
    for split, rows in read(dataset, configuration).items():
        path = out / f"{split}.parquet"
        if path.is_file() and state["splits"].get(split) == identity_of(rows):
            print(f"{split}: {len(rows)} rows, there already")
            continue
        counts = encode_split(chosen, parts(rows), path, learn=learn, pack=pack)
        state["splits"][split] = identity_of(rows)
        write(meta, state)  # after each split: an interrupted call leaves those before as done
        examples = f" in {counts.examples} examples of {pack}" if pack is not None else ""
        print(f"{split}: {counts.rows} rows, {counts.tokens} tokens{examples}, {counts.learnt} of them learnt")
    write_card(out, state)


def read(dataset: Path, configuration: str = "default") -> DatasetDict:
    """Read the splits of a configuration of a dataset's folder.

    Raises:
        ValueError: the folder isn't one that trace-mine or trace-synth wrote, or has no such configuration.
    """
    # written after all rows: a folder without it is no dataset, or one that was never finished
    if not (dataset / "stats.json").is_file():
        raise ValueError(f"expected a folder that trace-mine or trace-synth wrote, got {dataset}")
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    return load_dataset(str(dataset), configuration)


def identity_of(rows: Dataset) -> str:
    """Hash rows by SHA-256 over their trace_ids in order, which are hashes of the rows' contents themselves."""
    return hashlib.sha256("\n".join(rows["trace_id"]).encode()).hexdigest()


def parts(rows: Dataset) -> Iterator[list[Row]]:
    """Yield the rows in lists of ``ROWS_AT_ONCE``, in order."""
    for first in range(0, len(rows), ROWS_AT_ONCE):
        yield list(rows.select(range(first, min(len(rows), first + ROWS_AT_ONCE))))


def one_row(path: Path, number: int) -> Row:
    """Give row ``number`` of a dataset's first split (train, where it has rows), or the session in a file as a row
    (``text`` and ``segments``).

    Raises:
        ValueError: the path is neither a dataset nor a file, or the dataset has no such row.
    """
    if path.is_dir():
        rows = next(iter(read(path).values()))
        if not 0 <= number < len(rows):
            raise ValueError(f"expected a row from 0 to {len(rows) - 1}, got {number}")
        row: Row = rows[number]
        return row
    if not path.is_file():
        raise ValueError(f"expected a dataset or a file, got {path}")
    from trace_mine.tracer.formats import repl
    from trace_mine.tracer.schema import Step

    text = path.read_text(encoding="utf-8")
    # parsed and rendered again, which gives the segments that a bare file doesn't have
    parsed = repl.parse(text)
    rendered = repl.render(
        [Step(source=source, output=output.removesuffix("\n"), kind="statement") for source, output in parsed]
    )
    segments = [{"start": s.start, "end": s.end, "role": s.role, "step": s.step} for s in rendered.segments]
    return {"text": rendered.text, "segments": segments}


def visible(text: str) -> str:
    """Give a token's text on one line: a sign for a line end, and escapes for all that isn't printable, tabs too.

    Texts come from snippets, whose control characters must not reach the terminal.
    """
    return escaped(text).replace("\n", "\u23ce").replace("\t", "\\t")


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Replace the file by ``record`` as indented JSON. A reader finds the old file or the new one, nothing between."""
    write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console script ``trace-tokenize`` with these arguments (None: the process's); return its exit code."""
    return run_app(app, "trace-tokenize", arguments, wrong_usage=(ValueError, OSError), extra="train")


if __name__ == "__main__":
    sys.exit(main())
