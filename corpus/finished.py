"""A finished dataset as the next command with the same inputs finds it: nothing is opened, run or written again.

``finished.json`` in the ledger says of which inputs the dataset was made, by an origin's ``signature``, and how its
files stood then, by size and time. Where any of that is another, the command goes the whole way.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from trace_mine.corpus.hashing import content_key
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.merge import Merged
from trace_mine.tracer.atomic import write_atomically
from trace_mine.tracer.inside.reasons import Reason

_FILES = ("README.md", "errors.jsonl", "stats.json", "DATASHEET.md", "croissant.json")
_FOLDERS = ("data", "records", "plots", ".ledger/results", ".ledger/done")


def remember_finished(ledger: Ledger, signature: str, merged: Merged) -> None:
    """Say that the dataset is finished; not one without rows, nor one of which another run may make more."""
    if merged.first_text is None or merged.stats["drops"].get(Reason.JAIL_DIED.value):
        return
    said = {"inputs": signature, "files": state_of(ledger.out), "first_text": merged.first_text}
    write_atomically(_place(ledger), json.dumps(said).encode("ascii"))


def recall_finished(ledger: Ledger, signature: str) -> Merged | None:
    """Return what the merge gave, where the dataset is finished and stands as it was; None otherwise."""
    try:
        said = json.loads(_place(ledger).read_bytes())
        stats = json.loads((ledger.out / "stats.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get("first_text"), str) or not isinstance(stats, dict):
        return None
    if said.get("inputs") != signature or said.get("files") != state_of(ledger.out):
        return None
    return Merged(stats=stats, first_text=said["first_text"], is_recalled=True)  # type: ignore[arg-type]  # as written


def forget_finished(ledger: Ledger) -> None:
    """Say nothing of the dataset any more, before it changes."""
    _place(ledger).unlink(missing_ok=True)


def _place(ledger: Ledger) -> Path:
    return ledger.root / "finished.json"


def state_of(out: Path) -> str:
    """Return a hash of the sizes and times of all files that a dataset and its units consist of."""
    facts: list[tuple[str, int, int]] = []
    for name in _FILES:
        facts += _fact(out / name, name)
    for folder in _FOLDERS:
        if (out / folder).is_dir():
            for entry in os.scandir(out / folder):
                facts += _fact(Path(entry.path), f"{folder}/{entry.name}")
    return content_key(sorted(facts))


def _fact(path: Path, name: str) -> list[tuple[str, int, int]]:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return []
    return [(os.fsencode(name).decode("latin-1"), status.st_size, status.st_mtime_ns)]
