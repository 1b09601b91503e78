"""The items of a unit: made by its origin's function, written to the unit's result, and counted for its marker."""

from __future__ import annotations

import gzip
import json
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import BinaryIO

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.rows import MAX_EVIDENCE, text_key
from trace_mine.corpus.work import Dropped, Item, Marker, Payload, Traces, entries_of
from trace_mine.tracer.inside.reasons import Reason


def all_items(traces: Traces, payload: Payload) -> Iterator[Item]:
    """Yield the items of a unit; what the origin's function raises over one snippet costs that one and those after it.

    Raises:
        CorpusError: nothing can be run here, which is so for all snippets.
        OSError, MemoryError: this machine has no disk or memory left.
    """
    entries = entries_of(payload)
    num_items = 0
    try:
        for item in traces(payload):
            yield item
            num_items += 1
    except (CorpusError, OSError, MemoryError):
        raise
    except Exception as error:  # a mistake of trace-mine; without this, one row would end the run for all repositories
        evidence = "".join(traceback.format_exception(error))[-MAX_EVIDENCE:]
        for entry in entries[num_items:]:
            yield Dropped.at(entry, reason=Reason.INTERNAL_ERROR.value, evidence=evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultCounts:
    """What a result holds, as its marker says it."""

    rows: int
    drops: int
    interrupted: int
    texts: tuple[str, ...]
    repositories: Mapping[str, int]
    records: Mapping[str, int]

    def marker(self, *, num_bytes: int, sha256: str) -> Marker:
        """Return the marker of a result of so many bytes with this hash."""
        return Marker(
            found=self.rows + self.drops,
            rows=self.rows,
            drops=self.drops,
            texts=self.texts,
            repositories=self.repositories,
            bytes=num_bytes,
            sha256=sha256,
            interrupted=self.interrupted,
            records=self.records,
        )


def write_items(file: BinaryIO, items: Iterable[Item], num_snippets: int) -> ResultCounts:
    """Write a unit's result, gzip of a line for each item, as its items come.

    Args:
        file: where it is written.
        items: the unit's rows and drops, in the order of its snippets.
        num_snippets: how many items there must be.
    """
    rows = drops = interrupted = 0
    texts: list[str] = []
    repositories: Counter[str] = Counter()
    records: Counter[str] = Counter()
    with _packed(file) as packed:
        for item in items:
            if isinstance(item, Dropped):
                drops += 1
                interrupted += item.reason == Reason.JAIL_DIED
                # ASCII, with escapes for all else: a line end inside a text can't end the line.
                line = json.dumps(asdict(item), sort_keys=True).encode("ascii")
            else:
                rows += 1
                line = item.line
                texts.append(text_key(item.columns["text"]))
                repositories[item.columns["repository"]] += 1
                if item.is_record:
                    records[item.columns["repository"]] += 1
            packed.write(line + b"\n")
    # An origin that loses a snippet is our mistake, and would break found = rows + duplicates + drops for good.
    assert rows + drops == num_snippets, f"{num_snippets} snippets became {rows} rows and {drops} drops"
    return ResultCounts(
        rows=rows,
        drops=drops,
        interrupted=interrupted,
        texts=tuple(texts),
        repositories=dict(repositories),
        records=dict(records),
    )


def _packed(file: BinaryIO) -> gzip.GzipFile:
    """Return a gzip stream into the file whose header has no file name and no time: the same items, the same bytes."""
    return gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0)
