"""The candidates of a repository's items: some of those that are alike, the rest counted."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trace_mine.corpus.mined.files import read_bytes
from trace_mine.corpus.mined.items.collection import CollectedTests
from trace_mine.corpus.mined.items.item_protocol import ItemRecipe
from trace_mine.corpus.mined.items.siblings import SIBLINGS, sampled
from trace_mine.corpus.mined.items.spelling import SpeltItem, forms_of
from trace_mine.corpus.mined.snippets.candidate import Candidate
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop, Piece, Snippet

_REASONS = {"hypothesis": Reason.NEEDS_FIXTURE, "generator": Reason.GENERATOR_TEST, "async_fixture": Reason.ASYNC_TEST}


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCounts:
    """The number of a repository's items, by their fate.

    Attributes:
        collected: all that pytest collected.
        left_out: siblings of others, see ``siblings``.
        not_spelt: by what they need (``plugin_fixture benchmark``), those that have no commands.
        errors: files that could not be collected, with the last line of the error.
    """

    collected: int = 0
    left_out: int = 0
    not_spelt: Mapping[str, int] = field(default_factory=dict)
    errors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.left_out + sum(self.not_spelt.values()) > self.collected:
            raise ValueError("expected the items of ItemCounts to be among those collected, got more of them")


def item_candidates(
    tests: CollectedTests,
    root: Path,
    main_roots: Sequence[str],
    licences: Mapping[str, str | None],
    siblings: int = SIBLINGS,
) -> tuple[list[Candidate], ItemCounts]:
    """Make the candidates of a repository's items, in pytest's order.

    Args:
        tests: what was collected.
        root: the repository, of whose files the bytes are hashed.
        main_roots: folders for ``sys.path``, as ``Layout`` has them.
        licences: by path, the licence in a file's own header.
        siblings: the number of items that are alike, of which sessions are made.
    """
    kept, num_left_out = sampled(tests.items, siblings)
    not_spelt = Counter(item.problem.partition(":")[0] for item in kept if item.problem)
    # behind the others the folders of conftest.py files, from which fixtures are imported
    collected = () if tests.summary is None else tests.summary.sys_path
    roots = tuple(dict.fromkeys((*main_roots, *("" if path == "." else path for path in collected))))
    hashes: dict[str, str] = {}
    candidates = []
    for item in kept:
        if item.path not in hashes:
            data = read_bytes(root, item.path)
            hashes[item.path] = "" if isinstance(data, Drop) else hashlib.sha256(data).hexdigest()
        candidates.append(_candidate(item, roots, hashes[item.path], licences.get(item.path)))
    errors = () if tests.summary is None else tests.summary.errors
    uncollected = 0 if tests.summary is None else tests.summary.left_out
    counts = ItemCounts(
        collected=len(tests.items) + uncollected,
        left_out=num_left_out + uncollected,
        not_spelt=dict(sorted(not_spelt.items())),
        errors=errors,
    )
    return candidates, counts


def _candidate(item: ItemRecipe, roots: Sequence[str], source_hash: str, licence: str | None) -> Candidate:
    drop = _drop_of(item)
    snippets = [_snippet(item, spelt) for spelt in forms_of(item)] if drop is None else [_snippet(item, SpeltItem())]
    base = _base_of(item)
    return Candidate(
        snippet=snippets[0],
        fallbacks=tuple(snippets[1:]),
        sys_path=tuple(dict.fromkeys((base, *roots))),
        source_hash=source_hash,
        drop=drop,
        licence=licence,
        item=item.nodeid,
    )


def _snippet(item: ItemRecipe, spelt: SpeltItem) -> Snippet:
    owner = f"{item.cls}." if item.cls else ""
    lines = [item.line] * len(spelt.commands)
    if spelt.first_statement is not None:
        lines[spelt.first_statement : spelt.first_statement + len(item.body)] = item.body_lines
    return Snippet(
        kind="test",
        name=f"{item.module}.{owner}{item.case}",
        path=item.path,
        line=item.line,
        end_line=max(item.line, item.end_line),
        pieces=tuple(
            Piece(source=f"{command}\n", line=line) for command, line in zip(spelt.commands, lines, strict=True)
        ),
        module=item.module,
        code=spelt.code,
        opens=tuple(dict.fromkeys(spelt.opens)),
    )


def _base_of(item: ItemRecipe) -> str:
    """The folder from which the item's module was imported."""
    parts = item.path.split("/")[:-1]
    depth = item.module.count(".") + (1 if item.path.endswith("/__init__.py") else 0)
    return "/".join(parts[: len(parts) - depth] if depth else parts)


def _drop_of(item: ItemRecipe) -> Drop | None:
    if item.skip:
        return Drop(reason=Reason.SKIPPED, evidence=item.skip)
    if item.problem:
        word = item.problem.partition(" ")[0]
        return Drop(reason=_REASONS.get(word, Reason.NEEDS_FIXTURE), evidence=item.problem)
    return None
