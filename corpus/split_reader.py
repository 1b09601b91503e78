"""Reads the rows, records and drops of finished units, split by split, for the merge.

A split's rows are read when the split is written, so that no row is held: memory does not grow with the dataset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.rows import Row, text_key
from trace_mine.corpus.splits import SPLITS, SplitRule
from trace_mine.corpus.work import Dropped, Item, Marker
from trace_mine.tracer.inside.protocol.forms import shown
from trace_mine.tracer.inside.reasons import Reason


class SplitReader:
    """Reads the units' rows split by split. A row's number is the place of its snippet among those of all units.

    Args:
        ledger: the dataset's ledger.
        keys: the units, all finished, in the order of the dataset.
        markers: of these units.
        rule: says which split a row stands in.
    """

    def __init__(self, ledger: Ledger, keys: Sequence[str], markers: Sequence[Marker], rule: SplitRule) -> None:
        self._ledger, self._keys, self._markers, self._rule = ledger, keys, markers, rule
        self._with_more_drops: set[str] = set()  # units in which more was refused than their markers know of

    def rows(self, split: str) -> Iterator[tuple[int, bytes, Row]]:
        """Yield (number, text key, row) of the rows that stand in this split."""
        for key, marker, start in self._units():
            # Units without rows of this split aren't decompressed: a mined unit has one repository, so it is read once
            # where splits are by repository.
            if self._may_have(split, marker.repositories):
                for number, item in enumerate(self._items(key, marker), start):
                    if isinstance(item, Dropped) or item.is_record:
                        continue
                    if self._rule.of_row(item.columns) == split:
                        # not the marker's text key: it may say that two rows are one
                        yield number, bytes.fromhex(text_key(item.columns["text"])), item

    def records(self, split: str) -> Iterator[Row]:
        """Yield the records that stand in this split."""
        for key, marker, _ in self._units():
            if self._may_have(split, marker.records):
                for item in self._items(key, marker):
                    if isinstance(item, Dropped) or not item.is_record:
                        continue
                    if self._rule.of_row(item.columns) == split:
                        yield item

    def drops(self) -> Iterator[Dropped]:
        """Yield every drop, in the units' order."""
        for key, marker, _ in self._units():
            # The units without drops are read for their rows alone, if their rows stand in any split.
            is_read = any(self._may_have(split, marker.repositories) for split in SPLITS)
            if marker.drops or key in self._with_more_drops or not is_read:
                yield from (item for item in self._items(key, marker) if isinstance(item, Dropped))

    def sizes(self) -> Counter[str]:
        """Return the number of rows of each split: by the markers where they tell, else by reading the rows once."""
        sizes: Counter[str] = Counter()
        for key, marker, _ in self._units():
            splits = {name: self._rule.of_repository(name) for name in marker.sessions if self._is_known(name)}
            for name, split in splits.items():
                if split is not None:
                    sizes[split] += marker.sessions[name]
            if None in splits.values():
                items = (item for item in self._items(key, marker) if not isinstance(item, Dropped))
                sizes.update(
                    self._rule.of_row(item.columns)
                    for item in items
                    if not item.is_record and splits[item.columns["repository"]] is None
                )
        return sizes

    def _may_have(self, split: str, repositories: Iterable[str]) -> bool:
        """True unless the names alone say that no row of these repositories stands in the split."""
        return any(self._rule.of_repository(name) in (split, None) for name in repositories if self._is_known(name))

    def _is_known(self, repository: str) -> bool:
        try:
            self._rule.of_repository(repository)
        except KeyError:
            return False
        return True

    def _units(self) -> Iterator[tuple[str, Marker, int]]:
        start = 0
        for key, marker in zip(self._keys, self._markers, strict=True):
            yield key, marker, start
            start += marker.found

    def _items(self, key: str, marker: Marker) -> Iterator[Item]:
        """Yield the unit's items; a row of a repository that the unit is not said to have stands in no split."""
        num_drops = 0
        for item in self._ledger.items(key):
            if not isinstance(item, Dropped):
                repository = item.columns["repository"]
                if repository in marker.repositories and self._is_known(repository):
                    yield item
                    continue
                evidence = f"a row of {shown(repository)}, of which its unit has none"
                item = Dropped(reason=Reason.BAD_ROW.value, path="", name="", evidence=evidence)
            num_drops += 1
            yield item
        if num_drops > marker.drops:
            self._with_more_drops.add(key)
