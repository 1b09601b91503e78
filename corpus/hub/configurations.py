"""The configurations of a dataset, and the files of each: what ``datasets.load_dataset(DIR, NAME)`` reads.

``default``    all rows
``uncertain``  the rows in which more than one outcome of an output could be; files of ``default`` that hold these alone
``records``    snippets without a session that replays (``--keep records``), in files of their own

A configuration without rows, and a split without rows, are none: ``datasets`` refuses a split of no rows ("corresponds
to no data", as of 3.0, 4.0 and 5.2), and takes a file of no rows in streams alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from trace_mine.corpus.splits import SPLITS

DATA, RECORDS = "data", "records"
"""The folders of a dataset: rows, and records of snippets without a session that replays."""
MEANINGS = {
    "default": "all sessions",
    "uncertain": "the sessions of `default` in which an output could have been another one",
    "records": "runs of snippets without a session that replays; compared with nothing",
}
"""The content of each configuration, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A configuration by its name: split to files, relative to the dataset with ``/``, and to the pattern of these.

    Raises:
        ValueError: the name is no configuration's, or it has no files.
    """

    name: str
    files: Mapping[str, Sequence[str]]
    patterns: Mapping[str, str | Sequence[str]]

    def __post_init__(self) -> None:
        if self.name not in MEANINGS or not self.files or set(self.files) != set(self.patterns):
            raise ValueError(f"expected a configuration with files, got {self.name!r} with {dict(self.files)}")


def configurations_of(
    shards: Sequence[str], *, uncertain: Collection[str] = (), records: Sequence[str] = ()
) -> list[Configuration]:
    """Return the configurations that these files make up.

    Args:
        shards: names of the Parquet files of rows.
        uncertain: those among them that hold the uncertain rows.
        records: names of the Parquet files of records.
    """
    configurations = []
    for name, folder, chosen, others in (
        ("default", DATA, shards, ()),
        ("uncertain", DATA, [shard for shard in shards if shard in uncertain], shards),
        ("records", RECORDS, records, ()),
    ):
        files = {split: [f"{folder}/{shard}" for shard in sorted(chosen) if _is_of(shard, split)] for split in SPLITS}
        present = {split: each for split, each in files.items() if each}
        patterns: dict[str, str | Sequence[str]] = {}
        for split, each in present.items():
            # A pattern where it matches these files and no others, since a large dataset has thousands.
            is_whole = not others or len(each) == sum(_is_of(shard, split) for shard in others)
            listed: str | Sequence[str] = each[0] if len(each) == 1 else each
            patterns[split] = f"{folder}/{split}-*.parquet" if is_whole else listed
        if present:
            configurations.append(Configuration(name=name, files=present, patterns=patterns))
    return configurations


def _is_of(shard: str, split: str) -> bool:
    return shard.startswith(f"{split}-")
