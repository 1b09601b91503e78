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

from trace_mine.tracer.atomic import replacing, write_atomically
from trace_mine.tracer.command_line import make_app, run_app
from trace_mine.tracer.visible import visible as escaped

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from transformers import PreTrainedTokenizerFast

    from trace_mine.tokenizer.encoded import Row

EXAMPLES = """\b
Examples:
  trace-tokenize fit traces --out tok --vocab-size 4096
  trace-tokenize show traces --tokenizer tok --row 3
  trace-tokenize encode traces --tokenizer tok --out encoded"""

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
    per: Annotated[str, typer.Option(help="of symbols: a token a word or a command")] = "word",
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
    out: Annotated[Path, typer.Option(help="folder for Parquet: trace_id, ids, roles, steps")],
) -> None:
    """Encodes every split; a split that is there already, of the same vocabulary, is left alone."""
    from trace_mine.tokenizer.encoded import ROLES
    from trace_mine.tokenizer.kinds import load, vocabulary_hash

    chosen = load(tokenizer)
    out.mkdir(parents=True, exist_ok=True)
    identity = vocabulary_hash(chosen)
    meta = out / "meta.json"
    # Any, for it is read from a file
    state: dict[str, Any] = json.loads(meta.read_text(encoding="utf-8")) if meta.is_file() else {}
    if state and state["vocabulary_hash"] != identity:
        raise ValueError(f"expected a folder of this vocabulary, got {out}, encoded with another; choose another --out")
    state = {"splits": {}, **state, "vocabulary_hash": identity, "roles": list(ROLES), "tokenizer": tokenizer.name}
    for split, rows in read(dataset).items():
        path = out / f"{split}.parquet"
        if path.is_file() and state["splits"].get(split) == identity_of(rows):
            print(f"{split}: {len(rows)} rows, there already")
            continue
        num_tokens = encode_split(chosen, rows, path)
        state["splits"][split] = identity_of(rows)
        write(meta, state)  # after each split: an interrupted call leaves those before as done
        print(f"{split}: {len(rows)} rows, {num_tokens} tokens")


def encode_split(tokenizer: PreTrainedTokenizerFast, rows: Dataset, path: Path) -> int:
    """Write a split as Parquet, completely or not at all, and return the number of its tokens.

    The columns are ``trace_id`` and the lists ``ids``, ``roles`` and ``steps`` of one length (see
    ``trace_mine.tokenizer.encoded``).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from rich.progress import track

    from trace_mine.tokenizer.encoded import encode_rows

    # fixed types: a split without rows must have the columns of the others
    schema = pa.schema(
        [
            ("trace_id", pa.string()),
            ("ids", pa.list_(pa.int32())),
            ("roles", pa.list_(pa.int8())),
            ("steps", pa.list_(pa.int32())),
        ]
    )
    num_tokens = 0
    with replacing(path) as file, pq.ParquetWriter(file, schema) as writer:
        total = -(-len(rows) // ROWS_AT_ONCE)
        for part in track(parts(rows), f"encoding {path.stem}", total=total, disable=not sys.stderr.isatty()):
            encoded = encode_rows(tokenizer, part)
            num_tokens += sum(len(each.ids) for each in encoded)
            columns = [
                [each["trace_id"] for each in part],
                [each.ids for each in encoded],
                [each.roles for each in encoded],
                [each.steps for each in encoded],
            ]
            arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return num_tokens


def read(dataset: Path) -> DatasetDict:
    """Read the splits of a dataset's folder.

    Raises:
        ValueError: the folder isn't one that trace-mine or trace-synth wrote.
    """
    # written after all rows: a folder without it is no dataset, or one that was never finished
    if not (dataset / "stats.json").is_file():
        raise ValueError(f"expected a folder that trace-mine or trace-synth wrote, got {dataset}")
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    return load_dataset(str(dataset))


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
