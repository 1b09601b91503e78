"""A dataset as one page: its rows with their sessions, its drops and plots, in one file that loads nothing else."""

from __future__ import annotations

import base64
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from trace_mine.corpus.browse.choice import chosen_rows
from trace_mine.corpus.browse.index import RowLine, drop_lines, row_files, row_lines
from trace_mine.corpus.browse.page_parts import PAGE, PROGRAM, STYLE
from trace_mine.corpus.browse.row_trace import edits_of, trace_of
from trace_mine.corpus.dataset_rows import UnreadableRow, num_rows, rows_at
from trace_mine.tracer.inside.reasons import drop_sentence
from trace_mine.tracer.viewer import empty_page, in_script, script_digest, session_data
from trace_mine.tracer.viewer_page import PROGRAM as VIEWER_PROGRAM
from trace_mine.tracer.visible import in_html, one_line, visible

MAX_DROPS = 5_000
"""Drops that a page lists; all of them are counted."""
MAX_SESSION_BYTES = 48 << 20
"""Bytes of all packed sessions of a page: browsers open files of this size in seconds."""
MAX_TEXT = 200_000
"""Characters of a session that a page shows; longer ones are told by their length."""
TITLE, FOOTER, DATA = "@@title@@", "@@footer@@", "@@data@@"
"""The words that the page's program replaces in the viewer's page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Browsed:
    """A page, and how many of the rows have their session in it."""

    html: str
    num_rows: int
    num_sessions: int
    num_damaged: int


def browse_page(
    dataset: Path, *, most: int, is_served: bool = False, on_row: Callable[[int], None] = lambda number: None
) -> Browsed:
    """Return the page of a dataset.

    Args:
        dataset: the folder that ``trace-mine`` or ``trace-synth`` wrote.
        most: sessions in the page.
        is_served: the page asks its server for other sessions.
        on_row: called with the number of rows that were listed so far, and of sessions that were packed.

    Raises:
        CorpusError: the folder is no dataset, or a file is damaged.
    """
    files = row_files(dataset)
    lines: list[RowLine] = []
    num_damaged = 0
    for number, line in enumerate(row_lines(files)):
        on_row(number + 1)
        if line is None:
            num_damaged += 1
        else:
            lines.append(line)
    sessions: dict[str, str] = {}
    num_bytes = 0
    for number, packed in _packed(files, chosen_rows(lines, most)):
        num_bytes += len(packed)
        if num_bytes > MAX_SESSION_BYTES:
            break
        sessions[str(number)] = packed
        on_row(len(lines) + len(sessions))
    drops, num_drops = drop_lines(dataset, MAX_DROPS)
    stats = _stats(dataset)
    data = {
        "rows": [[line.number, *line.as_json()] for line in lines],
        "sessions": sessions,
        "drops": drops,
        "num_drops": num_drops,
        "reasons": sentences_of({str(drop[0]) for drop in drops}),
        "stats": stats,
        "viewer": empty_page(title=TITLE, footer=FOOTER, data=DATA),
        "is_served": is_served,
    }
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src {script_digest(PROGRAM)} "
        f"{script_digest(VIEWER_PROGRAM)}" + ("; connect-src 'self'" if is_served else "")
    )
    html = PAGE.format(
        policy=in_html(policy),
        title=in_html(one_line(dataset.resolve().name)),
        style=STYLE,
        data=in_script(data),
        program=PROGRAM,
    )
    return Browsed(html=html, num_rows=len(lines), num_sessions=len(sessions), num_damaged=num_damaged)


def sentences_of(words: set[str]) -> dict[str, str]:
    """The sentence of each reason; a word that is none has no sentence."""
    sentences = {}
    for word in sorted(words):
        try:
            sentences[word] = drop_sentence(word)
        except ValueError:
            continue
    return sentences


def session_json(dataset: Path, number: int) -> dict[str, object] | None:
    """Return what the page shows of one row; None where there is no such row, or it can't be shown."""
    files = row_files(dataset)
    for row in rows_at(files, [num_rows(file) for file in files], [number]):
        return _session(row)
    return None


def _packed(files: Sequence[Path], numbers: Sequence[int]) -> Iterator[tuple[int, str]]:
    sizes = [num_rows(file) for file in files]
    for number, row in zip(numbers, rows_at(files, sizes, numbers), strict=True):
        session = _session(row)
        if session is not None:
            packed = zlib.compress(json.dumps(session).encode("ascii"), 9)
            yield number, base64.b64encode(packed).decode("ascii")


def _session(row: Mapping[str, object] | UnreadableRow) -> dict[str, object] | None:
    """The viewer's data of a row, with a title and a footer; None where it is no row or too long to be shown."""
    if isinstance(row, UnreadableRow) or len(str(row.get("text", ""))) > MAX_TEXT:
        return None
    try:
        sources: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for function in cast("list[dict[str, object]]", row.get("source") or []):
            sources[str(function["path"])].append((int(str(function["line"])), str(function["text"])))
        words = ("repository", "version", "path", "line", "entry", "licence", "python", "outcome", "trace_id")
        footer = "  ".join(f"{word} {row[word]}" for word in words)
        return {
            "title": one_line(str(row["name"])),
            "footer": visible(footer),
            "data": session_data(trace_of(row), sources, edits_of(row)),
        }
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _stats(dataset: Path) -> dict[str, object]:
    """The counts of ``stats.json`` that a page shows; none where the file is not there, or is no object."""
    try:
        stats = json.loads((dataset / "stats.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(stats, dict):
        return {}
    names = (
        "found",
        "rows",
        "duplicates",
        "drops",
        "splits",
        "by_source",
        "kept_whole",
        "unopened_frames",
        "by_licence",
    )
    kept = {name: stats[name] for name in names if name in stats}
    text = json.dumps(kept)
    shown: dict[str, object] = json.loads(visible(text)) if text.isascii() else {}
    return shown
