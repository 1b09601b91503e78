"""Sessions that a model is given: a file's text, or a row of a dataset, as text with segments and known beliefs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trace_mine.tracer.bounded import read_bytes
from trace_mine.tracer.formats import repl
from trace_mine.tracer.schema import Step

MAX_TEXT_BYTES = 1 << 24
"""Size up to which a file with a session is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSegment:
    """A segment of a session: ``text[start:end]``, with its role and the step that it belongs to."""

    start: int
    end: int
    role: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenSession:
    """A session's text with its segments, which cover it in order.

    ``laws`` are what is known of outputs beforehand: number of a segment -> text without its line end -> probability.
    """

    text: str
    segments: tuple[TextSegment, ...]
    laws: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def as_row(self, num_segments: int | None = None) -> dict[str, object]:
        """Return the session, or its first segments, as ``tokenizer.encoded.encode_rows`` reads a row."""
        segments = self.segments[:num_segments]
        return {
            "text": self.text[: segments[-1].end] if segments else "",
            "segments": [{"start": s.start, "end": s.end, "role": s.role, "step": s.step} for s in segments],
        }


def session_of_text(text: str) -> GivenSession:
    """Parse a session's text.

    Raises:
        ValueError: it doesn't begin with a prompt, or isn't as sessions are written (a prompt without its space).
    """
    if text and not text.endswith("\n"):
        text += "\n"  # an editor's last line
    rendered = repl.render(Step(source=source, output=output, kind="statement") for source, output in repl.parse(text))
    if rendered.text != text:
        place = next(
            (n for n, (one, other) in enumerate(zip(rendered.text, text, strict=False)) if one != other),
            min(len(rendered.text), len(text)),
        )
        line = text.count("\n", 0, place) + 1
        raise ValueError(
            f"expected a session as trace-run prints one, got another form in line {line}: "
            f"{text.splitlines()[line - 1][:60]!r}; write prompts with their space"
        )
    return GivenSession(
        text=text,
        segments=tuple(TextSegment(start=s.start, end=s.end, role=s.role, step=s.step) for s in rendered.segments),
    )


def read_session(path: Path, row: int | None) -> GivenSession:
    """Read a session of a file, or a row of a dataset by its number, as ``trace-mine inspect --row`` counts them.

    Raises:
        ValueError: there is neither, the number goes with the other of the two, or there is no such row.
        DamagedFile: the file is too large, or none.
        CorpusError: the dataset is damaged.
    """
    if path.is_dir():
        if row is None:
            raise ValueError(f"expected --row N with a dataset, got {path} alone; trace-mine inspect {path} lists rows")
        return _session_of_row(path, row)
    if row is not None:
        raise ValueError(f"expected --row with a dataset, got the file {path}; leave --row out")
    if not path.exists():
        raise ValueError(
            f"expected a file with a session or a dataset's folder, got {path}; trace-run --out writes one"
        )
    try:
        return session_of_text(read_bytes(path, MAX_TEXT_BYTES).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"expected text in UTF-8, got {path}: {error.reason}; save it as UTF-8") from None


def _session_of_row(folder: Path, number: int) -> GivenSession:
    from trace_mine.corpus.browse.index import row_files
    from trace_mine.corpus.browse.row_trace import trace_of
    from trace_mine.corpus.dataset_rows import UnreadableRow, num_rows, rows_at

    files = row_files(folder)
    sizes = [num_rows(file) for file in files]
    row = next(rows_at(files, sizes, [number]), None) if number >= 0 else None
    if row is None:
        raise ValueError(f"expected a row from 0 to {sum(sizes) - 1}, got {number}; trace-mine inspect lists them")
    if isinstance(row, UnreadableRow):
        raise ValueError(f"expected a readable row, got row {number} of {folder}: {row.evidence:.200}; name another")
    try:
        trace = trace_of(row)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        kind = type(error).__name__
        raise ValueError(f"expected a row as docs/schema.md has it, got row {number} of {folder} ({kind})") from error
    # A law of one outcome says as much as the text.
    laws = {
        belief.segment: dict(zip(belief.outcomes, belief.probabilities, strict=True))
        for belief in trace.beliefs
        if belief.method != "sampled"
    }
    segments = tuple(TextSegment(start=s.start, end=s.end, role=s.role, step=s.step) for s in trace.segments)
    return GivenSession(text=trace.text, segments=segments, laws=laws)


def first_commands(session: GivenSession, count: int) -> GivenSession:
    """Return the session's first commands with their outcomes, all of them where it has fewer."""
    segments = tuple(segment for segment in session.segments if segment.step < count)
    laws = {number: law for number, law in session.laws.items() if number < len(segments)}
    return GivenSession(text=session.text[: segments[-1].end if segments else 0], segments=segments, laws=laws)
