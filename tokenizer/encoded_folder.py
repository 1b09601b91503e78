"""A folder of encoded rows: a Parquet file for each split, with a card by which ``datasets.load_dataset`` finds them.

Without packing an example is a row: ``input_ids`` and ``labels`` with ``<bos>`` and ``<eos>`` around it, where the
tokenizer has them; and ``ids``, ``roles`` and ``steps`` of the text alone. With packing see ``packing``.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_mine.tokenizer.encoded import ROLES, Row, encode_rows
from trace_mine.tokenizer.packing import IGNORED, Document, Packed, labels_of, packed
from trace_mine.tracer.atomic import replacing, write_atomically

if TYPE_CHECKING:
    import pyarrow
    from transformers import PreTrainedTokenizerBase

EXAMPLES_AT_ONCE = 512
"""Examples of a row group."""
SPLITS = ("train", "validation", "test")


@dataclass(slots=True)
class SplitCounts:
    """Numbers of rows and of examples; of tokens, without padding; and of those that have a label."""

    rows: int = 0
    examples: int = 0
    tokens: int = 0
    learnt: int = 0


def encode_split(
    tokenizer: PreTrainedTokenizerBase,
    parts: Iterable[Sequence[Row]],
    path: Path,
    *,
    learn: str = "all",
    pack: int | None = None,
) -> SplitCounts:
    """Write a split as Parquet, completely or not at all, and return its counts.

    Args:
        tokenizer: a fitted one.
        parts: the rows, some at a time, each with its ``trace_id``.
        path: the file.
        learn: which tokens have labels, as ``packing.labels_of`` takes it.
        pack: the length of examples; None: an example is a row.

    Raises:
        ValueError: as ``encode_rows`` and ``packing.packed``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from rich.progress import track

    counts = SplitCounts()
    shown = track(parts, f"encoding {path.stem}", disable=not sys.stderr.isatty())
    schema = _schema(is_packed=pack is not None)
    made = _rows(tokenizer, shown, learn, counts) if pack is None else _packed(tokenizer, shown, learn, pack, counts)
    with replacing(path) as file, pq.ParquetWriter(file, schema) as writer:
        waiting: list[Mapping[str, Any]] = []
        for example in made:
            counts.examples += 1
            waiting.append(example)
            if len(waiting) == EXAMPLES_AT_ONCE:
                writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
    return counts


def write_card(folder: Path, state: Mapping[str, Any]) -> None:
    """Write the card of a folder, with the version that ``datasets`` keeps what it loaded under.

    Args:
        folder: the folder, with its files.
        state: what ``meta.json`` holds.
    """
    content = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
    version = f"0.{int(content[:12], 16) % 10**9}.{int(content[12:24], 16) % 10**9}"
    present = [split for split in SPLITS if split in state["splits"]]
    # JSON strings are YAML's; a split's name is one of ours, or letters and digits
    files = "".join(
        f"  - split: {split}\n    path: {split}.parquet\n" for split in present if re.match(r"\w+\Z", split)
    )
    is_packed = state["form"]["pack"] is not None
    text = _CARD.format(
        version=version,
        files=files,
        columns=_PACKED_COLUMNS.format(length=state["form"]["pack"]) if is_packed else _ROW_COLUMNS,
        learn=state["form"]["learn"],
        ignored=IGNORED,
        collator="" if is_packed else "data_collator=DataCollatorForSeq2Seq(tokenizer), ",
    )
    write_atomically(folder / "README.md", text.encode("utf-8"))


_CARD = """---
configs:
- config_name: default
  version: {version}
  data_files:
{files}tags:
- code
- execution-traces
---

# Encoded execution traces

Written by `trace-tokenize encode`; `meta.json` names the vocabulary by its hash.

{columns}

Labels: `{learn}` tokens are learnt, the others have {ignored}. `transformers` takes the folder as it is:

```python
from datasets import load_dataset
from transformers import AutoTokenizer, DataCollatorForSeq2Seq, Trainer

rows = load_dataset("PATH/OF/THIS/FOLDER")
Trainer(model=model, args=args, {collator}train_dataset=rows["train"])
```
"""
_ROW_COLUMNS = """A row is a session: `trace_id`; `input_ids` and `labels`; `ids`, `roles` and `steps` of the text
alone, where roles are indices into `roles` of `meta.json`."""
_PACKED_COLUMNS = """A row is {length} tokens of whole sessions side by side: `input_ids`, `labels`, `position_ids`,
which begin at 0 with each session, so that attention stays within it (leave `attention_mask` out); `trace_ids` and
`sequence_lengths` of the sessions, without the padding behind them."""


def _schema(*, is_packed: bool) -> pyarrow.Schema:
    # fixed types: a split without rows must have the columns of the others
    import pyarrow as pa

    tokens = pa.list_(pa.int32())
    if is_packed:
        names = ("input_ids", "labels", "position_ids", "sequence_lengths")
        return pa.schema([*((name, tokens) for name in names), ("trace_ids", pa.list_(pa.string()))])
    roles = pa.list_(pa.int8())
    columns = [("ids", tokens), ("roles", roles), ("steps", tokens), ("input_ids", tokens), ("labels", tokens)]
    return pa.schema([("trace_id", pa.string()), *columns])


def _rows(
    tokenizer: PreTrainedTokenizerBase, parts: Iterable[Sequence[Row]], learn: str, counts: SplitCounts
) -> Iterator[Mapping[str, Any]]:
    has_bos, has_eos = tokenizer.bos_token_id is not None, tokenizer.eos_token_id is not None
    for part in parts:
        for row, each in zip(part, encode_rows(tokenizer, part, bos=has_bos, eos=has_eos), strict=True):
            labels = labels_of(each.ids, each.roles, ROLES, learn)
            text = slice(int(has_bos), len(each.ids) - int(has_eos))
            counts.rows += 1
            counts.tokens += len(each.ids)
            counts.learnt += int((labels != IGNORED).sum())
            yield {
                "trace_id": row["trace_id"],
                "ids": each.ids[text],
                "roles": each.roles[text],
                "steps": each.steps[text],
                "input_ids": each.ids,
                "labels": labels,
            }


def _packed(
    tokenizer: PreTrainedTokenizerBase, parts: Iterable[Sequence[Row]], learn: str, length: int, counts: SplitCounts
) -> Iterator[Mapping[str, Any]]:
    padding = tokenizer.pad_token_id
    if padding is None:
        raise ValueError("expected a tokenizer with a token of padding, got one without; fit one with trace-tokenize")
    # what is learnt is counted anew: the first token of each piece of a long row is not
    rows = _rows(tokenizer, parts, learn, counts)
    documents = (Document(trace_id=row["trace_id"], ids=row["input_ids"], labels=row["labels"]) for row in rows)
    learnt = 0
    for example in packed(documents, length, padding):
        learnt += int((example.labels != IGNORED).sum())
        counts.learnt = learnt
        yield _as_columns(example)
    counts.learnt = learnt


def _as_columns(example: Packed) -> Mapping[str, Any]:
    return {
        "input_ids": example.input_ids,
        "labels": example.labels,
        "position_ids": example.position_ids,
        "sequence_lengths": example.sequence_lengths,
        "trace_ids": example.trace_ids,
    }
