"""The command ``trace-mine environment``: the packages of one repository, installed and told by their folders."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trace_mine.corpus.environment_arguments import AsOfArgument, FindLinksArgument, OfflineArgument
from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.command_line import ExitCode
from trace_mine.tracer.visible import one_line

if TYPE_CHECKING:
    from trace_mine.corpus.mined.environments.for_repository import RepositoryPackages

EPILOG = """\
Example: trace-mine environment ./shop

trace-run --environment auto asks it.
"""


def environment(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A repository's folder, or a script.")],
    python: Annotated[
        str, typer.Option(help="The interpreter that is to import them.", show_default="this one")
    ] = sys.executable,
    as_of: AsOfArgument = None,
    find_links: FindLinksArgument = None,
    offline: OfflineArgument = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
) -> None:
    """Makes the environment that trace-mine gives a repository, and prints its folders of packages.

    What the repository's files ask for is read in the sandbox, and installed from wheels; nothing of it runs. The
    environment is kept for all that ask for the same.
    """
    from trace_mine.corpus.kept_folder import kept_folder

    kept = kept_folder("environments", is_open=True)
    if kept is None:
        raise CorpusError(
            "expected a cache that can be written, got none; name a folder in TRACE_MINE_CACHE",
            exit_code=ExitCode.WRONG_USAGE,
        )
    if not Path(path).exists():
        raise CorpusError(
            f"expected a repository's folder or a script, got {path!r}, which does not exist", exit_code=2
        )
    packages = _packages_of(path, kept, python, as_of, tuple(each.resolve() for each in find_links or ()), offline)
    made = packages.environment
    left_out = {} if made is None else made.left_out
    if as_json:
        folders = {"site_folders": packages.site_folders, "packages": packages.packages}
        paths = {name: [str(each) for each in several] for name, several in folders.items()}
        names = {"requires": list(packages.requires), "missing": list(packages.missing), "left_out": dict(left_out)}
        print(json.dumps({"python": packages.python, **paths, **names}))
        return
    for folder in (*packages.site_folders, *packages.packages):
        print(one_line(str(folder), 4_096))
    for text, why in left_out.items():
        print(f"can't be had: {one_line(text)}: {one_line(why)}", file=sys.stderr)
    if packages.missing:
        print(f"imported and nowhere: {one_line(', '.join(packages.missing))}", file=sys.stderr)


def _packages_of(
    path: str, kept: Path, python: str, as_of: str | None, find_links: tuple[Path, ...], offline: bool
) -> RepositoryPackages:
    """The packages of the one repository that a path names. Raises CorpusError."""
    from trace_mine.corpus.mined.environments.for_repository import COMMIT, EnvironmentOptions, RepositoryEnvironments
    from trace_mine.corpus.mined.environments.uv import PackageIndex
    from trace_mine.corpus.mined.import_search import search_of
    from trace_mine.corpus.mined.reader import RepositoryReader
    from trace_mine.corpus.mined.repositories import IgnoredInput, find_targets, open_target
    from trace_mine.tracer.schema import Drop

    search = search_of(python)
    targets = [*find_targets([path], search)]
    target = targets[0] if len(targets) == 1 else None
    if target is None or isinstance(target, IgnoredInput) or target.kind == "module":
        raise CorpusError(f"expected one repository, got {len(targets)} in {path!r}; name its folder", exit_code=2)
    options = EnvironmentOptions(python=python, as_of=as_of, index=PackageIndex(find_links=find_links, offline=offline))

    def tell(line: str) -> None:
        print(one_line(line, 1_000), file=sys.stderr)

    shown = [] if target.shown is None else [target.shown]
    reads_git = as_of == COMMIT or (target.path / ".git").is_dir()
    with tempfile.TemporaryDirectory(prefix="trace-mine-") as staging:
        place = Path(staging).resolve()
        with RepositoryReader(shown, place, python=python, reads_git=reads_git) as reader:
            repository = open_target(target, reader, place, search)
            reading = (
                repository
                if isinstance(repository, Drop)
                else reader.read(
                    repository.root,
                    fallback_name=repository.fallback_name,
                    metadata=repository.metadata,
                    only=repository.only,
                    entries=(),
                    prior="none",
                    wants_commit_time=as_of == COMMIT,
                )
            )
        if isinstance(reading, Drop):
            raise CorpusError(f"{one_line(path)} can't be read: {one_line(reading.evidence, 500)}")
        with RepositoryEnvironments(kept, options, tell) as environments:
            return environments.ask(reading.summary, is_stdlib=False).wait()
