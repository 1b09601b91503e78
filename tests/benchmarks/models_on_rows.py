"""The same model trained on two datasets of the same snippets, and what it loses on held-out repositories.

    python tests/benchmarks/models_on_rows.py OLD NEW --hold-out toolz,anytree --out DIR [--tokens N] [--seeds 0,1,2]

Each dataset is a folder that ``trace-mine`` wrote. Of all of them the snippets that every one has are taken; those of
the held-out repositories are tested on, the rest is trained on, by the recipe ``mined`` for so many tokens each. Runs
that stand in DIR already are taken as they are.

Texts of two versions differ, and so does a loss per token. Compared are bits per *unit*, a command or a shown value:
over all units of a text, and over the units that stand in all texts of a snippet in one order (a value: after the same
command), which the tokenizer has no part in. Of a command's comment nothing counts, nor of shown definitions.
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import torch
from what_is_in_a_row import key_of

import trace_mine
from trace_mine.tokenizer.encoded import encode_rows, token_sizes
from trace_mine.train.measure.tokens import token_losses
from trace_mine.train.recipes import recipe
from trace_mine.train.running import train
from trace_mine.train.settings import Settings, override

Row = Mapping[str, Any]
Key = tuple[object, ...]
KINDS = ("value", "command")
_comments = re.compile(r"(?:#[^\n]*\n(?:\.\.\. )?)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A command or a shown value: what it is known by in other texts, and where it stands in its own."""

    kind: str
    known_by: tuple[str, ...]
    start: int
    end: int


def units_of(row: Row) -> Iterator[Unit]:
    """The units of a session in order, without shown definitions and the comments of commands."""
    text = row["text"]
    for segment in row["segments"]:
        step, start, end = row["steps"][segment["step"]], segment["start"], segment["end"]
        if step["kind"] == "source":
            continue
        if segment["role"] == "command":
            comment = _comments.match(text, start, end)
            start = comment.end() if comment is not None and comment.end() < end else start
            yield Unit(kind="command", known_by=(text[start:end],), start=start, end=end)
        elif segment["role"] in ("value", "error"):
            command = re.sub(r"\A(?:#[^\n]*\n)+", "", step["source"])
            yield Unit(kind="value", known_by=(command, text[start:end]), start=start, end=end)


def in_both(left: Sequence[Unit], right: Sequence[Unit]) -> Iterator[tuple[Unit, Unit]]:
    """The units of a longest common subsequence of two texts' units of one kind."""
    matcher = difflib.SequenceMatcher(None, [u.known_by for u in left], [u.known_by for u in right], autojunk=False)
    for block in matcher.get_matching_blocks():
        yield from zip(left[block.a : block.a + block.size], right[block.b : block.b + block.size], strict=True)


def write_dataset(
    rows: list[Row], schema: pyarrow.Schema, held_out: frozenset[str], folder: Path, version: int
) -> None:
    """Write rows with those of held-out repositories as the split ``test``."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        chosen = [row for row in rows if (row["repository"] in held_out) == (split == "test")]
        table = pyarrow.Table.from_pylist(chosen, schema=schema)
        pyarrow.parquet.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    (folder / "stats.json").write_text("{}")
    files = "".join(f"  - split: {split}\n    path: data/{split}-*.parquet\n" for split in ("train", "test"))
    card = f"---\nconfigs:\n- config_name: default\n  version: 0.0.{version}\n  data_files:\n{files}---\n"
    (folder / "README.md").write_text(card)  # the cache of ``datasets`` tells two folders apart by the version


def bits_of(run: Path, rows: Mapping[Key, Row], limit: int) -> dict[tuple[Key, Unit], float]:
    """The bits that a run's model needs for each unit of rows, as far as it stands in the first ``limit`` tokens."""
    model, tokenizer = trace_mine.load_model(run).eval(), trace_mine.load_tokenizer(run)
    sizes = token_sizes(tokenizer)
    bits = {}
    for (key, row), encoded in zip(rows.items(), encode_rows(tokenizer, list(rows.values()), bos=True), strict=True):
        ids = torch.from_numpy(encoded.ids[:limit].astype(np.int64))[None]
        with torch.no_grad():
            losses = token_losses(model(input_ids=ids[:, :-1]).logits.float(), ids[:, 1:])[0].numpy()
        ends = np.cumsum(sizes[ids[0, 1:].numpy()])  # in bytes
        for unit in units_of(row):
            start, end = (len(row["text"][:place].encode()) for place in (unit.start, unit.end))
            first, last = np.searchsorted(ends, start, side="right"), np.searchsorted(ends, end, side="left")
            if last < len(ends):
                bits[key, unit] = float(losses[first : last + 1].sum()) / math.log(2)
    return bits


def table_of(
    datasets: Sequence[Mapping[Key, Row]], bits: Sequence[Mapping[tuple[Key, Unit], float]]
) -> dict[str, list]:
    """For each measure the mean bits of a unit in each dataset, and the number of units."""
    table: dict[str, list] = {}
    for kind in KINDS:
        every = [[value for (_, unit), value in each.items() if unit.kind == kind] for each in bits]
        table[f"{kind}s, all of each text"] = [[statistics.mean(each), len(each)] for each in every]
        pairs: list[tuple[float, float, bool]] = []
        for key in datasets[0]:
            units = [
                [unit for unit in units_of(rows[key]) if unit.kind == kind] for rows in (datasets[0], datasets[-1])
            ]
            for left, right in in_both(*units):
                if (key, left) in bits[0] and (key, right) in bits[-1]:
                    pairs.append((bits[0][key, left], bits[-1][key, right], bool(datasets[-1][key]["opened_calls"])))
        for name, chosen in (
            (f"{kind}s in both", pairs),
            (f"{kind}s in both, rows that open calls", [pair for pair in pairs if pair[2]]),
        ):
            means = [statistics.mean(pair[side] for pair in chosen) for side in (0, 1)] if chosen else [0.0, 0.0]
            table[name] = [[mean, len(chosen)] for mean in means]
    return table


def settings_for(options: argparse.Namespace, dataset: Path, seed: int) -> Settings:
    """The recipe's settings for a dataset and a seed, with the budget of tokens."""
    settings = replace(
        recipe("mined", options.model),
        dataset=str(dataset),
        seed=seed,
        data_seed=seed,
        evaluate_every=0,
        evaluate_rows=4,
    )
    return override(settings, [*options.set, f"save_every={10**6}", f"max_tokens={options.tokens}"])


def main() -> None:
    """Train, measure, and print a line for each measure: for each dataset the mean over seeds and their values."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs=2, type=Path)
    parser.add_argument("--hold-out", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--tokens", type=int, default=2_000_000)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--model")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--rows", type=int, default=10**6, help="held-out rows that are measured, chosen by a hash")
    options = parser.parse_args()
    held_out = frozenset(options.hold_out.split(","))
    files = [sorted(folder.rglob("data/*.parquet")) for folder in options.datasets]
    tables = [
        pyarrow.concat_tables([pyarrow.parquet.read_table(f) for f in each], promote_options="default")
        for each in files
    ]
    all_rows = [{key_of(row): row for row in table.to_pylist()} for table in tables]
    common = sorted(all_rows[0].keys() & all_rows[1].keys(), key=repr)
    for number, rows in enumerate(all_rows):
        kept = [rows[key] for key in common]
        write_dataset(kept, tables[number].schema, held_out, options.out / str(number), number + 1)
    tested = [key for key in common if key[0] in held_out]
    tested = sorted(tested, key=lambda key: all_rows[0][key]["trace_id"])[: options.rows]
    datasets = [{key: rows[key] for key in tested} for rows in all_rows]
    results = []
    for seed in map(int, options.seeds.split(",")):
        bits = []
        for number, rows in enumerate(datasets):
            settings = settings_for(options, options.out / str(number), seed)
            run = options.out / f"run-{number}-{seed}"
            if not (run / "final.json").exists():
                train(settings, run)
            bits.append(bits_of(run, rows, settings.max_length))
        results.append(table_of(datasets, bits))
        print(json.dumps({"seed": seed, **results[-1]}), flush=True)
    for name in results[0]:
        told = []
        for side in (0, 1):
            values = [result[name][side][0] for result in results]
            each = " ".join(f"{value:.2f}" for value in values)
            told.append(f"{statistics.mean(values):.2f} ({each}) of {results[0][name][side][1]}")
        print(name.ljust(44), " | ".join(told))


if __name__ == "__main__":
    main()
