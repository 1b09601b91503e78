"""The card of an exported dataset: README.md, with the YAML block that ``datasets.load_dataset(DIR)`` reads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from trace_mine.corpus.card import version_of
from trace_mine.corpus.export.counts import WORDS, ExportCounts
from trace_mine.corpus.export.formats import ExportFormat

CONFIGURATIONS = {"data": "default", "records": "records"}
"""The name of the configuration in which each folder's lines stand."""

_BODY = """
# Execution traces of real Python: {description}

Written by `trace-mine export` from a dataset of [trace-mine]: its rows are sessions that replay, and these are the
same runs in another format. No code was run to write them.

```python
from datasets import load_dataset

lines = load_dataset("PATH/OF/THIS/FOLDER", split="{split}")
```

## Columns
{columns}

`trace_id`, `repository`, `path`, `name`, `licence`: of the row that a line was made of. The lines quote that source:
its terms (`licence`, SPDX) go with them.

## Counts
{counts}
{records}"""

_RECORDS = """
The configuration `records` has snippets without a session that replays: what their run did was recorded once and
compared with nothing. `no_session` says why.
"""


def export_card(kind: ExportFormat, counts: Mapping[str, ExportCounts], folder: Path) -> str:
    """Return the text of the card of what was written to a folder."""
    from huggingface_hub import DatasetCard, DatasetCardData

    content = hashlib.sha256()
    configs = []
    for name, each in counts.items():
        splits = sorted(each.lines)
        for split in splits:
            with open(folder / name / f"{split}.jsonl", "rb") as file:
                content.update(hashlib.file_digest(file, "sha256").digest())
        if splits:
            files = [{"split": split, "path": f"{name}/{split}.jsonl"} for split in splits]
            configs.append({"config_name": CONFIGURATIONS[name], "data_files": files})
    for config in configs:
        config["version"] = version_of(content.hexdigest())  # as in ``corpus.card``: the cache of ``datasets`` asks it
    data = DatasetCardData(configs=configs, tags=["code", "execution-traces", "python"], license="other")
    sentences = []
    for name, each in counts.items():
        sentences.append(f"{name}: {each.read} read, {each.lines.total()} lines written.")
        sentences += [f"* `{word}` {number}: {WORDS[word]}" for word, number in each.not_given.most_common()]
        sentences += [f"* events cut (`{word}`): {number}" for word, number in sorted(each.cut.items())]
    body = _BODY.format(
        description=kind.description,
        split=next((split for each in counts.values() for split in sorted(each.lines)), "train"),
        columns="\n".join(f"* `{name}`: {meaning}" for name, meaning in kind.columns.items()),
        counts="\n".join(sentences),
        records=_RECORDS if counts.get("records") is not None else "",
    )
    return str(DatasetCard(f"---\n{data.to_yaml()}\n---\n{body}"))
