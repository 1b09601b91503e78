"""The command ``trace-mine verify``: rows of a dataset, run again by whoever reads it.

``verify`` has the checks; here are the options, the repositories that were named, and the report on the terminal.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trace_mine.corpus.environment_arguments import (
    AsOfArgument,
    EnvironmentArgument,
    FindLinksArgument,
    OfflineArgument,
    PythonArgument,
)
from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.command_line import ExitCode, tell_sandbox
from trace_mine.tracer.visible import one_line

if TYPE_CHECKING:
    from trace_mine.corpus.mined.options import MineOptions
    from trace_mine.corpus.verify import GivenRepository, RowFailure, SampleReport
    from trace_mine.tracer.replays.rows import RowVerifier

EPILOG = """\
Example: trace-mine verify traces --sample 50 --repository ./boltons --repository toolz-1.2.0.tar.gz

Exit codes: 0 rows were verified and none failed; 1 a row failed, or none could be checked; 2 wrong usage.
"""
LINE_SECONDS = 5.0
"""At most one line of progress in so many seconds."""
MAX_EVIDENCE = 500


def verify(
    named: Annotated[str, typer.Argument(metavar="DATASET", help="The folder of data/*.parquet, or a URL.")],
    sample: Annotated[int, typer.Option(min=1, help="Rows to run again, drawn at random.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the draw: the same one draws the same rows.")] = 0,
    repositories: Annotated[
        list[str] | None,
        typer.Option(
            "--repository",
            metavar="PATH",
            help="What rows import: a folder, archive or module:NAME, as for mining. Rows find theirs by its name.",
            show_default=False,
        ),
    ] = None,
    packages: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of installed packages that rows may import.", show_default=False),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Wall-clock seconds of one run.")] = 10.0,
    environment: EnvironmentArgument = "auto",
    as_of: AsOfArgument = None,
    find_links: FindLinksArgument = None,
    offline: OfflineArgument = False,
    python: PythonArgument = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
    sandbox_level: Annotated[
        int | None, typer.Option(help="Force this level of the sandbox.", show_default="the strongest that works here")
    ] = None,
    allow_unsafe_sandbox: Annotated[
        bool, typer.Option("--allow-unsafe-sandbox", help="Run without a sandbox where there is none. DANGEROUS.")
    ] = False,
) -> None:
    """Runs rows of a dataset again, and says which of them print what they say.

    Each is read by the unchanged doctest and by a fresh python -i, in a jail in which all that can differ does. What
    it prints is verified; its states, and where its statements stand, are not. A row that goes on after SystemExit is
    not called verified, since no prompt does; one with recorded draws is read by our own reader of those alone.
    """
    from trace_mine.corpus.mined.options import MineOptions
    from trace_mine.corpus.remote_dataset import local_dataset
    from trace_mine.corpus.verify import verify_sample
    from trace_mine.tracer.limits import Limits

    for folder in packages or ():
        if not folder.is_dir():
            raise CorpusError(f"expected a folder of packages, got {str(folder)!r}; give another", exit_code=2)
    dataset = local_dataset(named)
    if not dataset.is_dir():
        raise CorpusError(f"expected a dataset, got {named!r}; give its folder", exit_code=2)
    try:
        options = MineOptions(
            limits=Limits(wall_seconds=timeout, cpu_seconds=math.ceil(0.8 * timeout)),
            packages=tuple(packages or ()),
            environment=environment,
            as_of=as_of,
            find_links=tuple(find_links or ()),
            offline=offline,
            python=python,
            sandbox_level=sandbox_level,
            allow_unsafe=allow_unsafe_sandbox,
        )
    except ValueError as error:
        raise CorpusError(str(error), exit_code=ExitCode.WRONG_USAGE) from error
    # Archives are unpacked below it; a run that root starts belongs to another user, who must be able to read it.
    import tempfile

    with tempfile.TemporaryDirectory(prefix="trace-mine-") as staging:
        Path(staging).chmod(0o755)
        places = _places(repositories or [], options, Path(staging))
        report = verify_sample(
            dataset,
            size=sample,
            seed=seed,
            places=places,
            config=options.tracer_config(),
            on_row=_Progress(is_quiet=as_json),
        )
    if as_json:
        print(json.dumps({"dataset": named, "seed": seed, **report.as_json()}))
    else:
        _print(report)
    if report.failures or not report.verified:
        raise typer.Exit(ExitCode.FAILED)


def _places(paths: list[str], options: MineOptions, staging: Path) -> dict[str, GivenRepository]:
    from trace_mine.corpus.mined.miner import Mined
    from trace_mine.corpus.verify import places_of

    if not paths:
        return {}
    return places_of(unit.payload for unit in Mined(paths, options, staging).units())


class _Progress:
    """Says on standard error how far it is, where there is a terminal, and once how rows are confined."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._last_line = time.monotonic()
        self._num_done = 0
        self._is_sandbox_told = is_quiet

    def __call__(self, report: SampleReport, verifier: RowVerifier | None) -> None:
        self._num_done += 1
        if verifier is not None and verifier.sandbox is not None and not self._is_sandbox_told:
            tell_sandbox(verifier.sandbox)
            self._is_sandbox_told = True
        now = time.monotonic()
        if not self._is_quiet and now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            print(f"rows {self._num_done}/{report.sampled}: not verified {len(report.failures)}", file=sys.stderr)


def _print(report: SampleReport) -> None:
    """Print a line for each row that failed and for each reason why rows could not be checked, then the counts."""
    for failure in report.failures:
        print(_line_of(failure))
    for reason, count in sorted(report.not_checkable.items()):
        print(f"not checkable, {count} of {report.sampled}: {one_line(reason, MAX_EVIDENCE)}")
    readers = ", ".join(f"{reader} {count}" for reader, count in sorted(report.printed.items()))
    print(
        f"verified {report.verified} of {report.sampled} rows{f' ({readers})' if readers else ''}, not verified "
        f"{len(report.failures)}, not checkable {report.not_checkable.total()}; the dataset has {report.num_rows}"
    )


def _line_of(failure: RowFailure) -> str:
    reasons = "; ".join(f"{reader}: {one_line(why, MAX_EVIDENCE)}" for reader, why in sorted(failure.failures.items()))
    place = f"{one_line(failure.path)}:{failure.line}"
    name = f"{one_line(failure.repository)} {one_line(failure.name)}"
    return f"not verified: row {failure.number}, {name} ({place}): {reasons}"
