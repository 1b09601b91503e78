"""The options of commands that say which packages snippets import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EnvironmentArgument = Annotated[
    str,
    typer.Option(
        metavar="auto|none|DIR",
        help="The packages that snippets import: auto installs for each repository what its files ask for, from "
        "wheels; none shows what is installed here; or a folder with an environment.",
    ),
]
AsOfArgument = Annotated[
    str | None,
    typer.Option(
        metavar="commit|DATE",
        help="Versions of packages as of each repository's commit, or as of a date like 2024-01-31.",
        show_default="the newest",
    ),
]
FindLinksArgument = Annotated[
    list[Path] | None, typer.Option(help="A folder of wheels to install from.", show_default=False)
]
OfflineArgument = Annotated[
    bool, typer.Option("--offline", help="Use no network: wheels of --find-links, and those that uv has kept.")
]
PythonArgument = Annotated[
    str | None,
    typer.Option(
        help="The interpreter that runs the snippets.",
        show_default="what a repository's requires-python asks for, this one first",
    ),
]
