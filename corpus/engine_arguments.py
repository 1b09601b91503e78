"""The options of the commands that run units: which engine, where its cluster is, and where the dataset goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EngineArgument = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="loky|dask|ray",
        help="What runs the work: processes of this machine (loky), or a cluster of Dask or Ray, which needs no common "
        "disk.",
    ),
]
AddressArgument = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Of a Dask scheduler (tcp://host:8786) or a Ray cluster (auto, host:6379), whose workers do the work.",
        show_default="a cluster of --jobs workers on this machine",
    ),
]
OutArgument = Annotated[
    str,
    typer.Option(
        metavar="PATH|URL",
        help="Folder of the dataset, where a run that was cut off goes on, or a URL of fsspec (s3://bucket/traces).",
    ),
]
LedgerArgument = Annotated[
    Path | None,
    typer.Option(
        "--ledger",
        metavar="DIR",
        help="With a URL: the folder of finished work, where a run that was cut off goes on.",
        show_default="in the user's cache, by the URL",
    ),
]
