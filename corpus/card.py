"""The dataset card: README.md with the YAML that ``datasets.load_dataset(DIR)`` reads. No dates: the same dataset
has the same card.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from corpus.splits import SPLITS

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

_BODY = """
# Execution traces that replay

{rows} sessions of real Python, recorded by [trace-mine]: each row's `text` is a valid doctest that a fresh
interpreter, given the row's `setup`, repeats to the letter.

```python
from datasets import load_dataset

rows = load_dataset("PATH/OF/THIS/FOLDER", split="train")
print(rows[0]["text"])
```

## To replay a row
Unpack the row's `repository` at its `version` (or `commit`), install what `requires` names, put the folders of
`setup["sys_path"]` (relative to the repository) in front of `sys.path`, take a copy of the globals of
`setup["module"]` (or a fresh namespace), run `setup["code"]`, and feed `text` to `doctest`.

## Counts
found {found} = rows {rows} + duplicates {duplicates} + drops {num_drops}

{sources}

{repositories}

## Splits
By repository, so that no project is in two of them: {splits}. Exact duplicates are dropped everywhere,
near-duplicates (MinHash over token 5-grams, 0.7) where they would straddle two splits.

## Why snippets were dropped
{drops}

## Licences
Each row names the licence of its source (`licence`, SPDX): {licences}. `NOASSERTION` means that none was found. The
sessions quote that source: its terms go with them.

## What this is not
Outputs are what one interpreter printed in a sandbox without network; a row shows one run, not all. Doctest
examples marked `+SKIP` are left out of their sessions (`num_skipped`). Nothing was checked by hand.
"""


def dataset_card(stats: Mapping[str, Any], shards: Sequence[str]) -> str:
    """The card of a dataset with these statistics and shards."""
    present = [split for split in SPLITS if any(shard.startswith(f"{split}-") for shard in shards)]
    licences = sorted(stats["by_licence"])
    size = next((name for limit, name in _SIZES if stats["rows"] < limit), "n>1M")
    header = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split in present:
        header += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
    header += ["tags:", "- code", "- execution-traces", "- python", "size_categories:", f"- {json.dumps(size)}"]
    header += ["license: other", f"license_name: {json.dumps(', '.join(licences) or 'none')}", "---"]
    body = _BODY.format(
        found=stats["found"],
        rows=stats["rows"],
        duplicates=stats["duplicates"],
        num_drops=sum(stats["drops"].values()),
        sources=_table("source", stats["by_source"]),
        repositories=_table("repository", stats["by_repository"]),
        splits=", ".join(f"{split} {stats['splits'].get(split, 0)}" for split in present),
        drops="\n".join(f"* `{reason}`: {count}" for reason, count in stats["drops"].items()) or "None was.",
        licences=", ".join(f"{name} {count}" for name, count in stats["by_licence"].items()) or "no rows",
    )
    return "\n".join(header) + "\n" + body


def _table(title: str, groups: Mapping[str, Any]) -> str:
    lines = [f"| {title} | found | rows | duplicates | drops |", "|---|---|---|---|---|"]
    for name, tally in groups.items():
        drops = sum(tally["drops"].values())
        lines.append(f"| {name} | {tally['found']} | {tally['rows']} | {tally['duplicates']} | {drops} |")
    return "\n".join(lines)
