"""The splits of a dataset that has perhaps not all of them: who asks for one without rows is told why it has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from trace_mine.tracer.visible import one_line

if TYPE_CHECKING:
    import datasets

SPLITS = ("train", "validation", "test")
CURES = {
    "uncertain": "mine with hidden outcomes or inputs, --view branch or --view inverse",
    "records": "mine with --keep records",
}
"""What gives a configuration rows."""


def split_dict(splits: Mapping[str, datasets.Dataset], folder: Path) -> datasets.DatasetDict:
    """Return the splits of a folder as a ``DatasetDict`` whose KeyError for a split without rows says why."""
    return _class()(splits, folder)


def no_split(split: object, present: Sequence[str], folder: Path) -> str:
    """Return the message of an error: the folder has no rows in a split.

    >>> print(no_split("dev", ["train"], Path("traces")))
    expected a split among train in traces, got 'dev'; name one of them
    """
    where = ", ".join(one_line(name) for name in present) or "no split"
    if split not in SPLITS:
        return (
            f"expected a split among {where} in {one_line(str(folder))}, got {one_line(repr(split))}; name one of them"
        )
    return (
        f"expected a split with rows in {one_line(str(folder))}, got {split!r}; rows stand in {where}, as a "
        "repository's name decides its split: mine more repositories, or these with --split-by function"
    )


def no_configuration(name: str, present: Sequence[str], folder: Path) -> str:
    """Return the message of an error: the folder has no such configuration."""
    cure = CURES.get(name, "name one of these")
    return (
        f"expected a configuration among {', '.join(map(one_line, present))} in {one_line(str(folder))}, got "
        f"{one_line(repr(name))}; {cure}"
    )


@cache
def _class() -> type[datasets.DatasetDict]:
    # made when it is first needed: `datasets` takes a second to import
    import datasets

    class SplitDict(datasets.DatasetDict):  # type: ignore[misc]  # without the library's types its classes are Any
        """A ``DatasetDict`` that says why a split is not there."""

        def __init__(self, splits: Mapping[str, datasets.Dataset], folder: Path | None = None) -> None:
            super().__init__(splits)
            self._folder = folder or Path()

        def __missing__(self, split: object) -> NoReturn:
            raise KeyError(no_split(split, [*self], self._folder))

    return SplitDict
