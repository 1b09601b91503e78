"""The options of the commands that run units: which engine, and where its cluster is."""

from __future__ import annotations

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
