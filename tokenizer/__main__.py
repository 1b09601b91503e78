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

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from transformers import PreTrainedTokenizerFast

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
    if kind == "python" and per != "word":
        raise ValueError(f"expected --per with --kind symbols alone, got --per {per} with --kind python")
    rows = read(dataset)["train"]
    fitted = KINDS[kind](rows, vocab_size=vocab_size, per=per)
    tokens = sum(len(each.ids) for part in parts(rows) for each in encode_rows(fitted, part))
    fitted.save_pretrained(str(out))
    told = {
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
        told["share_of_bytes_of_unknown_words"] = fallen_to_bytes(fitted, rows["text"]) / max(tokens, 1)
    write(out / "fit.json", told)
    print(json.dumps(told, indent=2))


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

    chosen = load(tokenizer) if tokenizer is not None else fit_python([])
    told = encode_rows(chosen, [one_row(path, row)])[0]
    console = Console()
    line = Text()
    pending: list[int] = []
    for number, role in zip(told.ids.tolist(), told.roles.tolist(), strict=True):
        pending.append(number)
        text = chosen.decode(pending)
        if "\ufffd" in text and len(pending) < 4:
            continue  # bytes of one character: shown together
        pending = []
        line.append(visible(text), style=COLOURS[ROLES[role]])
        line.append("\n" if text.endswith("\n") else "|", style="dim")
    console.print(line, end="", soft_wrap=True)
    counts = Counter(ROLES[role] for role in told.roles.tolist())
    legend = Text(f"{len(told.ids)} tokens: ")
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
    known: dict[str, Any] = json.loads(meta.read_text(encoding="utf-8")) if meta.is_file() else {}
    if known and known["vocabulary_hash"] != identity:
        raise ValueError(f"expected a folder of this vocabulary, got {out}, encoded with another; choose another --out")
    known = {"splits": {}, **known, "vocabulary_hash": identity, "roles": list(ROLES), "tokenizer": tokenizer.name}
    for split, rows in read(dataset).items():
        path = out / f"{split}.parquet"
        if path.is_file() and known["splits"].get(split) == identity_of(rows):
            print(f"{split}: {len(rows)} rows, there already")
            continue
        num_tokens = encode_split(chosen, rows, path)
        known["splits"][split] = identity_of(rows)
        write(meta, known)
        print(f"{split}: {len(rows)} rows, {num_tokens} tokens")


def encode_split(tokenizer: PreTrainedTokenizerFast, rows: Dataset, path: Path) -> int:
    """Writes a split as Parquet, whole or not at all, and returns the number of its tokens.

    Columns: ``trace_id``, and the lists ``ids``, ``roles`` and ``steps`` of one length (see
    ``trace_mine.tokenizer.encoded``).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from rich.progress import track

    from trace_mine.tokenizer.encoded import encode_rows

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
            found = encode_rows(tokenizer, part)
            num_tokens += sum(len(each.ids) for each in found)
            columns = [
                [each["trace_id"] for each in part],
                [each.ids for each in found],
                [each.roles for each in found],
                [each.steps for each in found],
            ]
            arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return num_tokens


def read(dataset: Path) -> DatasetDict:
    """The splits of a dataset's folder.

    Raises:
        ValueError: nothing there that trace-mine or trace-synth wrote.
    """
    if not (dataset / "stats.json").is_file():
        raise ValueError(f"expected a folder that trace-mine or trace-synth wrote, got {dataset}")
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    return load_dataset(str(dataset))


def identity_of(rows: Dataset) -> str:
    """SHA-256 over the rows' trace_ids, which are hashes of what they hold, in order."""
    return hashlib.sha256("\n".join(rows["trace_id"]).encode()).hexdigest()


def parts(rows: Dataset) -> Iterator[list[Mapping[str, Any]]]:
    """The rows in lists of ``ROWS_AT_ONCE``."""
    for first in range(0, len(rows), ROWS_AT_ONCE):
        yield list(rows.select(range(first, min(len(rows), first + ROWS_AT_ONCE))))


def one_row(path: Path, number: int) -> Mapping[str, Any]:
    """Row ``number`` of a dataset's training split, or the session of a file as a row (``text`` and ``segments``).

    Raises:
        ValueError: no dataset, no file, or no row of this number.
    """
    if path.is_dir():
        rows = read(path)["train"]
        if not 0 <= number < len(rows):
            raise ValueError(f"expected a row from 0 to {len(rows) - 1}, got {number}")
        row: Mapping[str, Any] = rows[number]
        return row
    if not path.is_file():
        raise ValueError(f"expected a dataset or a file, got {path}")
    from trace_mine.tracer.formats import repl
    from trace_mine.tracer.schema import Step

    text = path.read_text(encoding="utf-8")
    parsed = repl.parse(text)
    rendered = repl.render(
        [Step(source=told, output=output.removesuffix("\n"), kind="statement") for told, output in parsed]
    )
    segments = [{"start": s.start, "end": s.end, "role": s.role, "step": s.step} for s in rendered.segments]
    return {"text": rendered.text, "segments": segments}


def visible(text: str) -> str:
    """A token's text on one line: a sign for a line end, and escapes for all that isn't printable, tabs too, so that a
    snippet's bytes never reach the terminal raw.
    """
    told = text.replace("\n", "\u23ce")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in told)


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Replace the file by ``record`` as indented JSON. A reader finds the old file or the new one, nothing between."""
    write_atomically(path, (json.dumps(record, indent=2) + "\n").encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script; gives the exit code."""
    return run_app(app, "trace-tokenize", arguments, wrong_usage=(ValueError, OSError), extra="train")


if __name__ == "__main__":
    sys.exit(main())
