"""The command ``trace-mine automaton``: fits automata to the rows of a dataset that have choices.

``fitting`` has the mathematics; here are the options, the Tracers that run each row's commands from every state, and
the YAML files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

import typer

from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.command_line import ExitCode, tell_sandbox

if TYPE_CHECKING:
    from trace_mine.corpus.schema import RowColumns
    from trace_mine.tracer.session import Tracer

EPILOG = "Example: trace-mine automaton traces --variables cups --out automata"


def fit(
    dataset: Annotated[Path, typer.Argument(metavar="ROWS", help="A dataset mined with --view branch.")],
    row: Annotated[str, typer.Option(help="trace_id or name of one row; all rows otherwise.")] = "",
    variables: Annotated[str, typer.Option(help="Tracked variables, by comma; those that vary otherwise.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for the YAML files.")] = Path("automata"),
    root: Annotated[Path | None, typer.Option(help="The repository's folder, where rows import from it.")] = None,
    packages: Annotated[list[Path] | None, typer.Option(help="A folder of installed packages, as for mining.")] = None,
) -> None:
    """Fits, for each row whose variables take few values, the automaton that its commands define.

    Writes one YAML file for each, which trace-synth pfsa --set file=... plays, and says what did not fit.
    """
    from trace_mine.corpus.fitting import NoAutomaton, rows_with_choices
    from trace_mine.tracer.visible import one_line, visible

    names = [name.strip() for name in variables.split(",") if name.strip()]
    num_rows = num_fitted = 0
    with _Fitter(root=root, packages=tuple(packages or ()), variables=names, out=out) as fitter:
        for columns in rows_with_choices(dataset, row):
            num_rows += 1
            try:
                lines = fitter.fit(columns)
                num_fitted += 1
            except NoAutomaton as error:
                lines = [f"did not fit: {error}"]
            for number, line in enumerate(lines):
                # Names and texts of strangers' code: control characters are shown, not sent.
                print(f"  {visible(line)}" if number else f"{one_line(columns['name'])}: {visible(line)}")
    # A name that matches nothing is most probably mistyped; a dataset without choices is an answer.
    if not num_rows and row:
        raise CorpusError(
            f"expected the trace_id or name of a row with choices, got {row!r}; see {dataset}",
            exit_code=ExitCode.WRONG_USAGE,
        )
    print(f"{num_fitted} of {num_rows} rows with choices are automata")
    if not num_fitted:
        raise typer.Exit(ExitCode.FAILED)


@dataclass(kw_only=True)
class _Fitter:
    """Fits rows one by one. Rows that need the same ``sys.path`` share a Tracer. Leaving the context closes all
    Tracers.

    Raises:
        CorpusError: ``root`` or one of ``packages`` is no folder.
    """

    root: Path | None
    packages: tuple[Path, ...]
    variables: Sequence[str]
    out: Path
    _tracers: dict[tuple[str, ...], Tracer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in (*self.packages, *([] if self.root is None else [self.root])):
            if not folder.is_dir():
                raise CorpusError(
                    f"expected a folder, got {str(folder)!r}; check the spelling", exit_code=ExitCode.WRONG_USAGE
                )

    def __enter__(self) -> _Fitter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tracer in self._tracers.values():
            tracer.close()

    def fit(self, row: RowColumns) -> list[str]:
        """Write the row's automaton to a file; return lines for the terminal: its size and path, then the notes.

        Raises:
            NoAutomaton: the row's commands define no automaton, or need the globals of a module.
        """
        from trace_mine.corpus.fitting import NoAutomaton, automaton_of, commands_of
        from trace_mine.corpus.synthetic.automaton_yaml import write_automaton

        setup = json.loads(row["setup"])
        if setup["module"] is not None:
            # The module's globals are state beside the tracked variables: the law of a command could depend on them.
            raise NoAutomaton(f"it runs in the module {setup['module']}")
        tracer = self._tracer(tuple(setup["sys_path"]))
        fitted = tracer.automaton(commands_of(row), setup["code"], self.variables)
        if isinstance(fitted, str):
            raise NoAutomaton(fitted)
        automaton, notes = automaton_of(fitted, row["name"])
        self.out.mkdir(parents=True, exist_ok=True)
        # A snippet's name may hold characters that a file's can't, and two snippets may share a name: so the start of
        # the trace's hash is a part of the file's name.
        path = self.out / f"{re.sub(r'[^0-9A-Za-z]+', '_', row['name']).strip('_')}_{row['trace_id'][:6]}.yaml"
        path.write_text(write_automaton(automaton), encoding="utf-8")
        size = f"{len(automaton.states)} states, {len(automaton.symbols)} symbols over {list(fitted.variables)}"
        return [f"{size}: {path}", *notes]

    def _tracer(self, sys_path: tuple[str, ...]) -> Tracer:
        from trace_mine.corpus.mined.dependencies import packages_in
        from trace_mine.tracer.session import Tracer, TracerConfig
        from trace_mine.tracer.views import parse_view

        if sys_path not in self._tracers:
            config = TracerConfig(
                repository=None if self.root is None else self.root.resolve(),
                sys_path=() if self.root is None else sys_path,
                packages=tuple(path for folder in self.packages for path in packages_in(folder)),
                view=parse_view("branch"),  # outcomes are hidden, so a command is followed from every state that fits
            )
            self._tracers[sys_path] = Tracer(config)
            if len(self._tracers) == 1:
                tell_sandbox(self._tracers[sys_path].sandbox)
        return self._tracers[sys_path]
