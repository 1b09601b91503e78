"""The command ``trace-mine browse``: a dataset as a page, written to a file or served to this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.command_line import ExitCode
from trace_mine.tracer.visible import one_line

EPILOG = """\
Example: trace-mine browse traces, then open traces/browse.html

Served: trace-mine browse traces --serve 8000, then open http://127.0.0.1:8000
"""
SESSIONS = 1_000
"""Sessions in a page, where no option says otherwise; at some 10 KB each a browser opens it at once."""


def browse(
    named: Annotated[str, typer.Argument(metavar="DATASET", help="The folder of data/*.parquet, or a URL.")],
    out: Annotated[Path | None, typer.Option(help="The page.", show_default="DATASET/browse.html")] = None,
    rows: Annotated[
        int, typer.Option(min=0, help="Sessions in the page: the most uncertain ones, and some of each repository.")
    ] = SESSIONS,
    serve: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            metavar="PORT",
            help="Serve the page to this machine, with every session.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Writes a dataset as one page: rows with sessions, states and beliefs, drops with evidence, and plots.

    The page needs nothing else and loads nothing from elsewhere; no code of the dataset runs in it.
    """
    from trace_mine.corpus.browse.page import browse_page
    from trace_mine.corpus.remote_dataset import is_url, local_dataset
    from trace_mine.tracer.atomic import write_atomically

    dataset = local_dataset(named)
    if not dataset.is_dir():
        raise CorpusError(f"expected a dataset, got {named!r}; give its folder", exit_code=ExitCode.WRONG_USAGE)
    if serve is None and out is None and is_url(named):
        raise CorpusError("expected --out or --serve with a URL, got neither; name the page", exit_code=2)
    if serve is not None and out is not None:
        raise CorpusError("expected --out or --serve, got both; give one of them", exit_code=ExitCode.WRONG_USAGE)
    page = browse_page(dataset, most=rows, is_served=serve is not None)
    if page.num_damaged:
        print(f"{page.num_damaged} rows are damaged and not listed", file=sys.stderr)
    if serve is None:
        target = dataset / "browse.html" if out is None else out
        write_atomically(target, page.html.encode("utf-8"))
        print(f"{page.num_rows} rows, {page.num_sessions} with their sessions, in {one_line(str(target))}")
        return
    from trace_mine.corpus.browse.page_server import open_server

    with open_server(dataset, page.html, serve) as server:
        print(f"http://127.0.0.1:{server.server_port} has {page.num_rows} rows; Ctrl-C ends it", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("ended")
