"""The command ``trace-mine automaton``: fits automata to the rows of a dataset that have choices."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated

import typer


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
    from trace_mine.corpus.errors import CorpusError
    from trace_mine.tracer.show import visible

    try:
        raise typer.Exit(_fit(dataset, row, variables, out, root, packages or []))
    except CorpusError as error:
        print(visible(f"trace-mine: {error}"), file=sys.stderr)
        raise typer.Exit(error.exit_code) from None


def _fit(dataset: Path, row: str, variables: str, out: Path, root: Path | None, packages: list[Path]) -> int:
    from trace_mine.corpus.errors import CorpusError
    from trace_mine.corpus.fitting import NoAutomaton, automaton_of, rows_with_choices
    from trace_mine.corpus.mined.dependencies import packages_in
    from trace_mine.corpus.synthetic.automaton_yaml import write_automaton
    from trace_mine.tracer.session import Tracer, TracerConfig
    from trace_mine.tracer.show import visible
    from trace_mine.tracer.views import parse_view

    names = [name.strip() for name in variables.split(",") if name.strip()]
    for folder in (*packages, *([] if root is None else [root])):
        if not folder.is_dir():
            raise CorpusError(f"expected a folder, got {str(folder)!r}; check the spelling", exit_code=2)
    bound = tuple(path for folder in packages for path in packages_in(folder))
    fitted = found = 0
    tracers: dict[tuple[str, ...], Tracer] = {}
    try:
        for each in rows_with_choices(dataset, row):
            found += 1
            setup = json.loads(each["setup"])
            key = tuple(setup["sys_path"])
            if setup["module"] is not None:
                print(visible(f"{each['name']}: did not fit: it runs in the module {setup['module']}"))
                continue
            if key not in tracers:
                view = parse_view("branch")
                config = TracerConfig(
                    repository=None if root is None else root.resolve(),
                    sys_path=() if root is None else key,
                    packages=bound,
                    view=view,
                )
                tracers[key] = Tracer(config)
            machine = tracers[key].automaton([step["source"] for step in each["steps"]], setup["code"], names)
            try:
                if isinstance(machine, str):
                    raise NoAutomaton(machine)
                automaton, notes = automaton_of(machine, each["name"])
            except NoAutomaton as error:
                print(visible(f"{each['name']}: did not fit: {error}"))
                continue
            out.mkdir(parents=True, exist_ok=True)
            path = out / f"{re.sub(r'[^0-9A-Za-z]+', '_', each['name']).strip('_')}_{each['trace_id'][:6]}.yaml"
            path.write_text(write_automaton(automaton), encoding="utf-8")
            fitted += 1
            told = f"{len(automaton.states)} states, {len(automaton.symbols)} symbols over {list(machine.variables)}"
            print(visible(f"{each['name']}: {told}: {path}"))
            for note in notes:
                print(visible(f"  {note}"))
    finally:
        for tracer in tracers.values():
            tracer.close()
    if not found and row:
        raise CorpusError(
            f"expected the trace_id or name of a row with choices, got {row!r}; see {dataset}", exit_code=2
        )
    print(f"{fitted} of {found} rows with choices are automata")
    return 0 if fitted else 1


def main() -> None:
    """``trace-mine automaton``."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(epilog="Example: trace-mine automaton traces --variables cups --out automata")(fit)
    app(args=sys.argv[2:], prog_name="trace-mine automaton")
