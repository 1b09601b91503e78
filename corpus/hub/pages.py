"""Pages beside a dataset's rows for its readers: card, datasheet, Croissant metadata, plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trace_mine.corpus.card import dataset_card, version_of
from trace_mine.corpus.hub.configurations import configurations_of
from trace_mine.corpus.hub.croissant import FILE as CROISSANT
from trace_mine.corpus.hub.croissant import DataFile, croissant_json
from trace_mine.corpus.hub.datasheet import FILE as DATASHEET
from trace_mine.corpus.hub.datasheet import datasheet
from trace_mine.corpus.hub.plots import FOLDER as PLOTS
from trace_mine.corpus.hub.plots import NAMES as PLOT_NAMES
from trace_mine.corpus.hub.plots import plots_of
from trace_mine.corpus.hub.reproduction import citation
from trace_mine.corpus.stats import Stats
from trace_mine.tracer.atomic import write_atomically


def write_pages(
    out: Path,
    stats: Stats,
    content: str,
    files: Sequence[DataFile],
    *,
    shards: Sequence[str],
    uncertain: Sequence[str],
    records: Sequence[str],
) -> None:
    """Write the pages of a dataset whose rows stand in their place. The card is the last one: with it
    ``datasets.load_dataset`` finds the rows.

    Args:
        out: the dataset's folder.
        stats: its statistics.
        content: a hash of its files' bytes, in hexadecimal.
        files: its Parquet files.
        shards: the names of those of rows.
        uncertain: those among these that hold the uncertain rows.
        records: the names of the Parquet files of records.
    """
    configurations = configurations_of(shards, uncertain=uncertain, records=records)
    plots = plots_of(stats)
    folder = out / PLOTS
    if plots:
        folder.mkdir(exist_ok=True)
    for name in PLOT_NAMES:
        if name in plots:
            write_atomically(folder / name, plots[name])
        else:
            (folder / name).unlink(missing_ok=True)  # of a dataset that stood here before
    metadata = croissant_json(stats, configurations, files, version=version_of(content), citation=citation())
    write_atomically(out / CROISSANT, metadata)
    write_atomically(out / DATASHEET, datasheet(stats, configurations).encode("utf-8"))
    card = dataset_card(stats, shards, content, records=records, uncertain=uncertain)
    write_atomically(out / "README.md", card.encode("utf-8"))
