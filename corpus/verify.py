"""Verifies rows of a dataset that somebody else made: a sample of them is run again, and prints the same or does not.

Three things are asked of a row: that it is one by the table of columns, that its ``trace_id`` and its segments are
those of its text, and that readers which know none of its outputs print its text again, in a jail in which all that
can differ does. What is not asked for: its ``states``, and where its statements stand.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, cast

from trace_mine.corpus.dataset_rows import GivenRow, UnreadableRow, num_rows, rows_at
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.hashing import content_key
from trace_mine.corpus.row_check import check_row
from trace_mine.corpus.schema import COLUMNS, RowColumns
from trace_mine.corpus.work import Payload
from trace_mine.tracer.formats import repl
from trace_mine.tracer.replays.rows import MAX_SESSION_BYTES, RowVerifier
from trace_mine.tracer.replays.session_text import check_written
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import SCHEMA_VERSION, Step
from trace_mine.tracer.views import parse_view

if TYPE_CHECKING:
    from trace_mine.corpus.mined.payload import MinedPayload
    from trace_mine.tracer.config import TracerConfig

READERS = ("fresh", "literal")
"""The readers that hold the most to what a reader of the dataset has: ``python -i`` and ``python -m doctest``."""

MAX_SHOWN = 1_000
"""Characters of a name or a reason that a report repeats."""
MAX_FOLDERS, MAX_FOLDER_BYTES = 100, 1_000
"""The folders of a set-up, and the name of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenRepository:
    """A repository of this machine, as mining would run its snippets.

    ``root`` is None for modules of the standard library; ``packages`` and ``site_folders`` have what the repository
    imports, and ``python`` is the interpreter that runs it.
    """

    root: Path | None
    version: str | None
    commit: str | None
    packages: tuple[Path, ...]
    site_folders: tuple[Path, ...] = ()
    python: str = sys.executable

    def __post_init__(self) -> None:
        if self.root is not None and not self.root.is_absolute():
            raise ValueError(f"expected GivenRepository.root to be absolute, got {str(self.root)!r}; resolve it")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFailure:
    """A row of the sample that was not verified, and why: a reader or a check, with the evidence."""

    number: int
    trace_id: str
    repository: str
    name: str
    path: str
    line: int
    failures: Mapping[str, str]

    def __post_init__(self) -> None:
        if not self.failures:
            raise ValueError("expected a reason why a row was not verified, got none; name the reader with the command")


@dataclass(slots=True, kw_only=True)
class SampleReport:
    """The result of a sample: it grows row by row, so the record is not frozen.

    Attributes:
        num_rows: rows of the dataset.
        sampled: rows of the sample; each is verified, one of ``failures``, or counted in ``not_checkable``.
        verified: rows whose text was printed again by every reader that could be asked.
        printed: for each reader, the rows that it printed again.
        failures: the rows that were not verified, in the order of the dataset.
        not_checkable: rows about which nothing can be said here, by reason.
    """

    num_rows: int
    sampled: int
    verified: int = 0
    printed: Counter[str] = field(default_factory=Counter)
    failures: list[RowFailure] = field(default_factory=list)
    not_checkable: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, object]:
        """The report as a JSON object."""
        return {
            "rows": self.num_rows,
            "sampled": self.sampled,
            "verified": self.verified,
            "not_verified": len(self.failures),
            "not_checkable": self.not_checkable.total(),
            "printed": dict(sorted(self.printed.items())),
            "not_checkable_reasons": dict(sorted(self.not_checkable.items())),
            "failures": [
                {
                    "row": each.number,
                    "trace_id": each.trace_id,
                    "repository": each.repository,
                    "name": each.name,
                    "path": each.path,
                    "line": each.line,
                    "failures": dict(each.failures),
                }
                for each in self.failures
            ],
        }


def places_of(payloads: Iterator[Payload]) -> dict[str, GivenRepository]:
    """The repositories by name, from the payloads of an origin's units (``mined.miner.Mined.units``)."""
    places: dict[str, GivenRepository] = {}
    for payload in payloads:
        if "tracer" not in payload:
            continue  # a repository that could not be read: its rows are not checkable, which the report says
        unit = cast("MinedPayload", payload)
        tracer, origin = unit["tracer"], unit["repository"]
        packages = tuple(Path(path) for path in tracer["packages"])
        known = places.get(origin["name"])
        places[origin["name"]] = GivenRepository(
            root=None if tracer["repository"] is None else Path(tracer["repository"]),
            version=origin["version"],
            commit=origin["commit"],
            packages=tuple(dict.fromkeys((*(known.packages if known else ()), *packages))),
            site_folders=tuple(Path(path) for path in tracer["site_folders"]),
            python=tracer["python"],
        )
    return places


def verify_sample(
    dataset: Path,
    *,
    size: int,
    seed: int,
    places: Mapping[str, GivenRepository],
    config: TracerConfig,
    on_row: Callable[[SampleReport, RowVerifier | None], None] = lambda report, verifier: None,
) -> SampleReport:
    """Verify rows of a dataset.

    Args:
        dataset: its folder.
        size: how many rows, drawn alike from all splits; all of them where there are fewer.
        seed: of the draw; the same one draws the same rows.
        places: the repositories that rows may need, by name.
        config: limits, interpreter and levels of the replays.
        on_row: called after each row with the report so far and, where the row was run, what ran it.

    Raises:
        CorpusError: the folder is no dataset, or this machine has no sandbox.
    """
    files = sorted(dataset.glob("data/*.parquet"))
    sizes = [num_rows(file) for file in files]
    if not sum(sizes):
        raise CorpusError(
            f"expected a dataset with rows, got {str(dataset)!r}; give the folder of data/*.parquet", exit_code=2
        )
    chosen = sorted(random.Random(seed).sample(range(sum(sizes)), min(size, sum(sizes))))
    report = SampleReport(num_rows=sum(sizes), sampled=len(chosen))
    rows = [(number, row) for number, row in zip(chosen, rows_at(files, sizes, chosen), strict=True)]
    # rows that share jails one after the other: starting one costs as much as a hundred rows
    rows.sort(key=lambda each: (_jail_key(each[1]), each[0]))
    with _Verifiers(places, config) as verifiers:
        for number, row in rows:
            verifier = _verify(number, row, report, verifiers)
            on_row(report, verifier)
    report.failures.sort(key=lambda each: each.number)
    return report


# one row --------------------------------------------------------------------------------------------------------------


class _NotCheckable(Exception):
    """Nothing can be said of a row here; the message is the reason that is counted."""


class _NotVerified(Exception):
    """A row is not what it says."""

    def __init__(self, check: str, evidence: str) -> None:
        super().__init__(evidence)
        self.check = check


def _jail_key(row: GivenRow) -> tuple[str, str]:
    if isinstance(row, UnreadableRow):
        return "", ""
    return str(row.get("repository"))[:200], str(row.get("setup"))[:4_000]


def _verify(number: int, given: GivenRow, report: SampleReport, verifiers: _Verifiers) -> RowVerifier | None:
    """Verify a row, and put what came of it into the report; return what ran it, if anything did."""
    verifier = None
    failures: Mapping[str, str] = {}
    row: dict[str, object] = {}
    try:
        if isinstance(given, UnreadableRow):
            raise _NotVerified("columns", given.evidence)
        row = given
        columns = _checked(row)
        setup = _setup_of(columns)
        verifier = verifiers.of(columns, setup)
        verdict = verifier.verify(columns["text"], setup, READERS)
        report.printed.update(verdict.printed)
        failures = verdict.failures
        if verdict.in_part and not failures:
            raise _NotCheckable("not asked at a prompt: it goes on after SystemExit, which ends one")
    except _NotCheckable as why:
        report.not_checkable[str(why)] += 1
        return verifier
    except _NotVerified as why:
        failures = {why.check: str(why)}
    except SandboxUnavailable as error:
        raise CorpusError(str(error)) from error
    if not failures:
        report.verified += 1
        return verifier
    report.failures.append(
        RowFailure(
            number=number,
            trace_id=_shown(row.get("trace_id")),
            repository=_shown(row.get("repository")),
            name=_shown(row.get("name")),
            path=_shown(row.get("path")),
            line=line if type(line := row.get("line")) is int else 0,
            failures={check: _shown(why) for check, why in failures.items()},
        )
    )
    return verifier


def _shown(value: object) -> str:
    return str(value)[:MAX_SHOWN]


def _checked(row: dict[str, object]) -> RowColumns:
    """The row, if it is one of a version that is known here, and its name and segments are those of its text.

    Raises:
        _NotCheckable, _NotVerified: it is not.
    """
    version = row.get("schema_version")
    if type(version) is not int or version > SCHEMA_VERSION:
        raise _NotCheckable("rows of a schema that this version of trace-mine does not know")
    try:
        columns = check_row(row, version, columns=COLUMNS)
    except ValueError as error:
        raise _NotVerified("columns", str(error)) from None
    # before it is taken apart: the row may be made so that this takes long
    size = len(json.dumps([columns["text"], columns["setup"]]))
    if size > MAX_SESSION_BYTES:
        raise _NotVerified("columns", f"expected a text and a set-up of at most {MAX_SESSION_BYTES} bytes, got {size}")
    place = (columns["repository"], columns["version"], columns["path"], columns["name"], columns["line"])
    if content_key(columns["text"], columns["setup"], *place) != columns["trace_id"]:
        raise _NotVerified("trace_id", "it is not the hash of the row's text, set-up and place")
    try:
        steps = [Step(source=step["source"], output=step["output"], kind=step["kind"]) for step in columns["steps"]]
        rendered = repl.render(steps)
    except ValueError as error:
        raise _NotVerified("steps", str(error)) from None
    if rendered.text != columns["text"]:
        raise _NotVerified("steps", "written as a session they give another text than the row's")
    try:
        check_written(columns["text"], [(step.source, step.output) for step in steps])
    except ValueError as error:
        raise _NotVerified("steps", str(error)) from None
    segments = [
        {"start": each.start, "end": each.end, "role": each.role, "step": each.step} for each in rendered.segments
    ]
    if columns["origin"] == "mined" and segments != columns["segments"]:
        raise _NotVerified("segments", "they are not those of the row's steps")
    return columns


def _setup_of(row: RowColumns) -> dict[str, object]:
    """The row's set-up, checked. Raises _NotVerified."""
    setup = json.loads(row["setup"])
    folders, module, code = setup.get("sys_path"), setup.get("module"), setup.get("code")
    good = (
        isinstance(folders, list)
        and len(folders) <= MAX_FOLDERS
        and all(isinstance(folder, str) and _is_below(folder) for folder in folders)
        and isinstance(module, str | None)
        and isinstance(code, str)
        and isinstance(setup.get("choices"), list)
    )
    if not good:
        raise _NotVerified("setup", f"it is not one of docs/schema.md: {row['setup'][:200]!r}")
    return cast("dict[str, object]", setup)


def _is_below(folder: str) -> bool:
    try:
        is_name = len(folder.encode("utf-8")) <= MAX_FOLDER_BYTES
    except UnicodeEncodeError:  # half a surrogate pair, as JSON may have it: no path of a jail holds it
        return False
    return is_name and not folder.startswith("/") and ".." not in folder.split("/") and "\0" not in folder


class _Verifiers:
    """What runs rows, one for each set-up of a jail; the last one is kept. A context manager."""

    def __init__(self, places: Mapping[str, GivenRepository], config: TracerConfig) -> None:
        self._places, self._config = places, config
        self._key: object = None
        self._live: RowVerifier | None = None

    def __enter__(self) -> _Verifiers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        live, self._live, self._key = self._live, None, None
        if live is not None:
            live.close()

    def of(self, row: RowColumns, setup: Mapping[str, object]) -> RowVerifier:
        """What runs this row. Raises _NotCheckable."""
        place = self._places.get(row["repository"])
        folders = tuple(cast("list[str]", setup["sys_path"]))
        if place is None and (folders or not _is_built_in(setup["module"])):
            raise _NotCheckable(f"the repository {row['repository']} was not given")
        for word, wanted, given in (
            ("version", row["version"], place.version if place else None),
            ("commit", row["commit"], place.commit if place else None),
        ):
            if wanted is not None and given is not None and wanted != given:
                raise _NotCheckable(f"of {row['repository']} another {word} was given")
        # a view that hides draws gives the recorded ones again, and only there
        hides = bool(setup["choices"])
        key = (row["repository"], folders, hides)
        if self._live is None or key != self._key:
            self._close()
            config = replace(self._config, view=parse_view("branch")) if hides else self._config
            if place is not None:
                config = replace(config, site_folders=place.site_folders, python=place.python)
            root, packages = (place.root, place.packages) if place else (None, ())
            self._live, self._key = RowVerifier(root, packages, folders, config), key
        return self._live


def _is_built_in(module: object) -> bool:
    """True for a set-up that needs nothing but the interpreter."""
    return module is None or str(module).partition(".")[0] in sys.stdlib_module_names
