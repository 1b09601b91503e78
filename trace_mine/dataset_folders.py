"""``mine`` and ``load``: datasets of rows as a ``datasets.DatasetDict``."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datasets

    from trace_mine.corpus.produce import Watcher
    from trace_mine.corpus.tally import Counts
    from trace_mine.corpus.work import Marker
    from trace_mine.tracer.limits import Limits


class Quiet:
    """A ``corpus.produce.Watcher`` that shows nothing."""

    def tell(self, line: str) -> None:
        """Do nothing."""

    def begun(self, done: frozenset[str]) -> None:
        """Do nothing."""

    def planned(self, num_units: int, num_snippets: int, share: float) -> None:
        """Do nothing."""

    def finished(self, key: str, marker: Marker) -> None:
        """Do nothing."""

    def merged(self, counts: Counts) -> None:
        """Do nothing."""


def mine(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str] | None = None,
    view: str = "written",
    entries: Sequence[str] | None = None,
    follow: int = 3,
    limit: int | None = None,
    per_repository: int | None = None,
    siblings: int | None = None,
    environment: str | os.PathLike[str] = "auto",
    split_by: str = "repository",
    sessions: int = 1,
    only_choices: bool = False,
    windows: Sequence[int] = (),
    keep: str = "",
    licences: str | None = None,
    keep_personal: bool = False,
    decontaminate: Sequence[str | os.PathLike[str]] = (),
    scripts: Sequence[str] = (),
    keep_duplicates: bool = False,
    packages: Sequence[str | os.PathLike[str]] = (),
    seed: int = 0,
    limits: Limits | None = None,
    engine: str = "loky",
    address: str | None = None,
    jobs: int | None = None,
    progress: bool = False,
    overwrite: bool = False,
    sandbox_level: int | None = None,
    allow_unsafe_sandbox: bool = False,
) -> datasets.DatasetDict:
    """Mines files, folders, git checkouts, sdists, wheels or ``module:NAME`` into a dataset, as ``trace-mine`` does.

    Args:
        paths: one or several of these.
        out: the dataset's folder, where an interrupted run goes on, or a URL of fsspec; None: the rows are held in
            memory alone.
        view: what sessions show, as ``parse_view`` reads it.
        entries: the snippets that are mined, by how they are entered; None: all of ``doctest``, ``script``, ``test``,
            ``call`` and ``docs``, or with an inverse view ``call``, which goes with no other.
        follow: how deep calls of a repository's own functions are opened; 0 keeps each call one command.
        limit: stop after this many snippets; None: mine all.
        per_repository: of each repository at most so many snippets, spread over its sources and files.
        siblings: tests that differ in parameters, literals or their class alone, of which sessions are made; None:
            four.
        environment: ``auto`` installs for each repository what its files ask for; ``none`` shows what is installed
            here; else a folder with an environment.
        split_by: ``repository`` puts all rows of a repository into one split, ``function`` all rows that open one.
        sessions: number of sessions of each snippet that draws, each with draws of its own.
        only_choices: drop snippets that draw nothing at random.
        windows: numbers of commands: beside each exact belief, what a reader of the outputs of so many would believe.
        keep: ``records`` keeps the runs of snippets without a session that replays, in the folder ``records``.
        licences: ``all`` or ``permissive``; None: permissive ones of repositories (of a folder, unknown ones too), all
            of files and modules.
        keep_personal: keep secrets and personal data, which are replaced by fakes otherwise.
        decontaminate: files of benchmark problems that no row may hold.
        scripts: patterns of paths: files of a repository that one matches are its scripts, and no others; none: those
            that no other file imports and that do something.
        keep_duplicates: keep sessions that nearly repeat another one of their split.
        packages: folders of installed packages that snippets may import.
        seed: seed of the snippets' draws.
        limits: what one run may use.
        engine: the name of the engine that runs the work, in ``trace_mine.corpus.engines.ENGINES``.
        address: of a Dask scheduler or a Ray cluster whose workers do the work; None: the engine starts its own.
        jobs: workers that the engine starts; None: one for each core.
        progress: show a bar, or lines where there is no terminal.
        overwrite: start afresh in ``out``.
        sandbox_level: force this level of the sandbox, 3 or 2; None: the strongest that works here.
        allow_unsafe_sandbox: run even where this machine has no sandbox. DANGEROUS.

    Raises:
        trace_mine.corpus.errors.CorpusError: nothing could be mined, or ``out`` holds something else.
        ValueError: an option is unknown or doesn't go with another.

    >>> import trace_mine
    >>> rows = trace_mine.mine("module:bisect", entries=["doctest"], limit=1, jobs=1)
    Traceback (most recent call last):
        ...
    trace_mine.corpus.errors.CorpusError: nothing could be mined: no snippet was found; name other inputs or entries
    >>> rows = trace_mine.mine("module:fractions", entries=["doctest"], limit=1, jobs=1)["train"]
    >>> rows[0]["name"]
    'fractions.Fraction.__new__'
    """
    from trace_mine.corpus.engines import make_engine
    from trace_mine.corpus.errors import CorpusError
    from trace_mine.corpus.mined.items.siblings import SIBLINGS
    from trace_mine.corpus.mined.miner import Mined
    from trace_mine.corpus.mined.options import MineOptions
    from trace_mine.corpus.produce import open_ledger, produce
    from trace_mine.corpus.remote_dataset import DatasetPlace
    from trace_mine.corpus.report import Progress
    from trace_mine.tracer.limits import Limits

    workers = make_engine(engine, jobs or len(os.sched_getaffinity(0)), address)
    options = MineOptions(
        entries=None if entries is None else tuple(entries),
        follow=follow,
        limits=limits or Limits(),
        limit=limit,
        per_repository=per_repository,
        siblings=SIBLINGS if siblings is None else siblings,
        environment=os.fspath(environment),
        split_by=split_by,
        licences=licences,
        keep_personal=keep_personal,
        decontaminate=tuple(Path(file) for file in decontaminate),
        scripts=tuple(scripts),
        keep_duplicates=keep_duplicates,
        packages=tuple(Path(folder) for folder in packages),
        seed=seed,
        view=view,
        only_choices=only_choices,
        windows=tuple(windows),
        keep=keep,
        sessions=sessions,
        sandbox_level=sandbox_level,
        allow_unsafe=allow_unsafe_sandbox,
    )
    several = [paths] if isinstance(paths, str | os.PathLike) else paths
    inputs = [os.fspath(path) for path in several]
    with tempfile.TemporaryDirectory(prefix="trace-mine-") as scratch:
        # Archives are unpacked below it, and a run that root starts belongs to another user, who must be able to read
        # it.
        os.chmod(scratch, 0o755)
        place = DatasetPlace(out if out is not None else Path(scratch) / "traces")
        place.check_free(overwrite=overwrite)
        watching: AbstractContextManager[Watcher] = Progress() if progress else nullcontext(Quiet())
        with open_ledger(place.folder, overwrite=overwrite) as ledger, watching as watcher:
            origin = Mined(inputs, options, ledger.sources, watcher.tell)
            # The same configuration as the command's: `mine` and `trace-mine` may go on with each other's folders.
            config = {**options.as_config(), "inputs": origin.input_names}
            merged = produce(ledger, origin, config, engine=workers, watcher=watcher)
            if merged.first_text is not None:
                place.publish()
        if merged.first_text is None:
            stats = merged.stats
            why = ", ".join(f"{reason} {count}" for reason, count in stats["drops"].items()) or "no snippet was found"
            raise CorpusError(f"nothing could be mined: {why}; name other inputs or entries")
        if out is not None:
            return load(place.folder)
        # Read to memory, with the cache in the same scratch folder: nothing is left on disk, and nothing maps a file
        # that is deleted with it.
        return load(place.folder, keep_in_memory=True, cache_dir=Path(scratch) / "cache")


def load(
    path: str | os.PathLike[str],
    configuration: str = "default",
    *,
    keep_in_memory: bool = False,
    cache_dir: str | os.PathLike[str] | None = None,
) -> datasets.DatasetDict:
    """Opens a dataset folder that ``trace-mine``, ``trace-synth`` or ``mine`` wrote, of this version or an older one.

    The rows are those of ``datasets.load_dataset(path, configuration)``; of a dataset that is still being made, those
    so far (with a warning). Beside that, the schema version is checked, and columns that are younger than the dataset
    are added, with empty lists or None. A split without rows has no files, as ``datasets`` refuses such; asking for it
    is a KeyError that says which splits have rows, why, and what to do.

    Args:
        path: the dataset's folder, or its URL (``s3://bucket/traces``), of which a copy is kept in the user's cache.
        configuration: ``default``, all rows; ``uncertain``, those in which an output could have been another one;
            ``records``, the runs of snippets without a session that replays.
        keep_in_memory: hold the rows in memory instead of mapping them from the cache of ``datasets``.
        cache_dir: that cache's folder; None: where ``datasets`` has it.

    Raises:
        ValueError: the folder holds no dataset of trace-mine, one of a later schema version, or no rows of this
            configuration.

    >>> import trace_mine
    >>> rows = trace_mine.load("traces")["train"]
    >>> len(rows[0]["states"]) == len(rows[0]["steps"])
    True
    """
    import datasets

    from trace_mine.corpus.remote_dataset import local_dataset
    from trace_mine.corpus.rows_so_far import is_finished
    from trace_mine.corpus.schema import features
    from trace_mine.split_dict import no_configuration, split_dict

    folder = local_dataset(path)
    _check_version(folder)
    if not is_finished(folder):
        warnings.warn(f"{folder} is unfinished: these are its rows so far; start its command again", stacklevel=2)
    if configuration != "default":
        found = datasets.get_dataset_config_names(str(folder))
        if configuration not in found:
            raise ValueError(no_configuration(configuration, found, folder))
    splits = datasets.load_dataset(
        str(folder),
        configuration,
        keep_in_memory=keep_in_memory,
        cache_dir=None if cache_dir is None else str(cache_dir),
    )
    expected = features()
    return split_dict({split: _completed(rows, expected) for split, rows in splits.items()}, folder)


def _completed(rows: datasets.Dataset, expected: datasets.Features) -> datasets.Dataset:
    """Return the rows with every column of this version."""
    import pyarrow

    for name, feature in expected.items():
        if name not in rows.column_names:
            kind = expected.arrow_schema.field(name).type
            # As the schema page promises: a column that holds lists is empty, any other has None.
            is_list = pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind)
            rows = rows.add_column(name, [[] if is_list else None] * len(rows), feature=feature)
    return rows


def _check_version(folder: Path) -> None:
    """Check the schema version by the footers of the Parquet files, without reading a row.

    Raises:
        ValueError: see ``load``.
    """
    import pyarrow.parquet

    from trace_mine.tracer.schema import SCHEMA_VERSION

    shards = sorted((folder / "data").glob("*.parquet"))
    if not shards:
        raise ValueError(
            f"expected a dataset folder with data/*.parquet, got {str(folder)!r}; make one with trace-mine"
        )
    for shard in shards:
        metadata = pyarrow.parquet.read_metadata(shard)
        names = metadata.schema.to_arrow_schema().names
        if "schema_version" not in names:
            raise ValueError(
                f"expected rows of trace-mine, got {shard.name} without the column schema_version in {str(folder)!r}; "
                "open it with datasets.load_dataset"
            )
        column = next(
            number for number in range(metadata.num_columns) if metadata.schema.column(number).path == "schema_version"
        )
        # The largest version in the statistics of each row group; a file without statistics isn't refused.
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(column).statistics
            if statistics is not None and statistics.has_min_max and statistics.max > SCHEMA_VERSION:
                raise ValueError(
                    f"expected rows of schema version {SCHEMA_VERSION} or older, got {statistics.max} in "
                    f"{str(folder)!r}; install a later trace-mine"
                )
