"""The command ``trace-train sample``: a model goes on with a session, and is told what was right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trace_mine.tracer.visible import one_line, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trace_mine.corpus.synthetic.game import Game
    from trace_mine.train.sampling import SampledAnswer, SessionSampler
    from trace_mine.train.session_text import GivenSession

EPILOG = """\
Example: trace-train sample runs/quick --prompt session.txt

A row of a dataset: trace-train sample runs/mined --prompt traces --row 12

Text of the model's own: trace-train sample runs/quick --prompt session.txt --free --temperature 1 --seed 3
"""
MAX_OUTCOME = 300
"""Characters of an outcome in a comment."""
LINE = 4_096
"""Characters of an unfinished line of the model's own text that are waited for before they are printed."""


def sample(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run.")],
    prompt: Annotated[Path, typer.Option(metavar="FILE", help="A session, or a dataset's folder with --row.")],
    row: Annotated[
        int | None,
        typer.Option("--row", min=0, help="The dataset's row, as trace-mine inspect counts.", show_default=False),
    ] = None,
    free: Annotated[
        bool, typer.Option("--free", help="Go on after the session, commands too, instead of answering its commands.")
    ] = False,
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=1, help="Take the session's first commands alone.", show_default="all"),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, help="0: the likeliest token each time.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the draws, where the temperature is above 0.")] = 0,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens", min=1, help="Of an answer, or of the text.", show_default="64, or 256 with --free"
        ),
    ] = None,
) -> None:
    """Lets a model answer a session's commands, or go on with it, and says what was right.

    Below each outcome stands whether the model was right, and how probable it found the outcome and its own answer;
    where the exact belief is known (a row that carries it, a session of the run's own game), how probable they were.
    """
    import torch

    from trace_mine.tokenizer.kinds import load as load_tokenizer
    from trace_mine.train import run_folder
    from trace_mine.train.models.registry import load_model
    from trace_mine.train.sampling import SessionSampler
    from trace_mine.train.session_text import first_commands, read_session

    session = read_session(prompt, row)
    if keep is not None:
        session = first_commands(session, keep)
    if not session.text:
        raise ValueError(f"expected a session of one command at least, got none in {prompt}; begin with '>>> '")
    game = game_of(run)
    if not (run / "final.json").exists():
        raise ValueError(f"expected a finished run, got {run} without final.json; trace-train --resume {run}")
    run_folder.check_files(run)
    torch.set_num_threads(1)
    sampler = SessionSampler(
        model=load_model(run),
        tokenizer=load_tokenizer(run / "tokenizer"),
        temperature=temperature,
        generator=torch.Generator().manual_seed(seed),
    )
    if free:
        print_all(free_lines(sampler, session, game, max_tokens or 256))
    else:
        print_all(answer_lines(sampler, session, game, max_tokens or 64))


def game_of(run: Path) -> Game | None:
    """Return the game that a run was trained on; None where it had no task, or one that is no game.

    Raises:
        ValueError: the folder holds no run.
    """
    from trace_mine.corpus.synthetic.task import GameTask
    from trace_mine.train import run_folder
    from trace_mine.train.batches import task_of

    settings = run_folder.settings_of(run)
    task = task_of(settings) if settings.task else None
    return task.game if isinstance(task, GameTask) else None


def print_all(lines: Iterable[str]) -> None:
    """Print texts of a model or a session as they come, escaped for the terminal."""
    for line in lines:
        print(visible(line), end="", flush=True)


@dataclass(slots=True)
class Score:
    """Counts of a session's outcomes, and sums of probabilities.

    ``expected`` is how often an exact belief's likeliest outcome comes, summed over beliefs.
    """

    outcomes: int = 0
    right: int = 0
    p_true: float = 0.0
    beliefs: int = 0
    exact_true: float = 0.0
    exact_given: float = 0.0
    expected: float = 0.0

    def line(self) -> str:
        """Return the sums as a sentence."""
        if not self.outcomes:
            return "the session shows no outcome"
        text = f"{self.right} of {self.outcomes} outcomes right"
        text += f"; the model found them {self.p_true / self.outcomes:.3f} probable on average"
        if self.beliefs:
            true, given, best = (each / self.beliefs for each in (self.exact_true, self.exact_given, self.expected))
            text += f"; by the exact beliefs at {self.beliefs} of them, they were {true:.3f}, the model's answers "
            text += f"{given:.3f} and the best answers {best:.3f} probable"
        return text


def answer_lines(sampler: SessionSampler, session: GivenSession, game: Game | None, most: int) -> Iterator[str]:
    """Yield the session's text; below each outcome a comment on the model's answer, and at the end a summary."""
    laws = dict(session.laws) or _game_laws(session, game)
    score = Score()
    done = 0
    for answer in sampler.answers(session, most):
        end = session.segments[answer.segment].end
        yield session.text[done:end]
        done = end
        law = laws.get(answer.segment)
        yield f"    # {_comment(answer, law)}\n"
        score.outcomes += 1
        score.right += answer.is_right
        score.p_true += answer.p_true
        if law is not None:
            score.beliefs += 1
            score.exact_true += _probability(law, answer.true)
            score.exact_given += _probability(law, answer.given)
            score.expected += max(law.values())
    yield session.text[done:]
    yield f"# {score.line()}\n"


def _comment(answer: SampledAnswer, law: Mapping[str, float] | None) -> str:
    """Say in one line what the model answered to a command, and how probable that was."""
    exact = "" if law is None else f", {_probability(law, answer.true):.3g} by the exact belief"
    true = f"{answer.p_true:.3g} by the model{exact}"
    if answer.is_right:
        return f"right: {true}"
    given = answer.given.removesuffix("\n")
    shown = one_line(repr(given), MAX_OUTCOME) if given else "that nothing is shown"
    shown += "" if answer.is_whole else " and no end"
    own = f"{answer.p_given:.3g}" + ("" if law is None else f", {_probability(law, answer.given):.3g}")
    return f"wrong: the model says {shown} ({own}); this was {true}"


def _probability(law: Mapping[str, float], text: str) -> float:
    return law.get(text.removesuffix("\n"), 0.0)


def _game_laws(session: GivenSession, game: Game | None) -> dict[int, Mapping[str, float]]:
    """The laws of a session's outcomes by the game's exact filter, by segment, as far as it is one of the game's."""
    if game is None:
        return {}
    from trace_mine.tracer.formats import repl
    from trace_mine.train.measure.game_laws import TextFilter
    from trace_mine.train.sampling import OUTPUTS

    text_filter = TextFilter(game)
    outputs = {s.step: number for number, s in enumerate(session.segments) if s.role in OUTPUTS}
    laws: dict[int, Mapping[str, float]] = {}
    for step, (source, output) in enumerate(repl.parse(session.text)):
        law = text_filter.law(source)
        if law is not None and step in outputs:
            laws[outputs[step]] = law
        text_filter.take(source, output)
    return laws


def free_lines(sampler: SessionSampler, session: GivenSession, game: Game | None, most: int) -> Iterator[str]:
    """Yield the session's text and the model's own after it; below each outcome of its own, where the game's law is
    known, a comment; at the end a summary.
    """
    from trace_mine.tracer.formats import repl
    from trace_mine.train.measure.game_laws import TextFilter

    text_filter = None if game is None else TextFilter(game)
    steps = repl.parse(session.text)
    if text_filter is not None:
        for source, output in steps:
            text_filter.take(source, output)
    yield session.text
    yield "    # from here on by the model\n"
    score = Score()
    pending = ""

    def closed(text: str) -> Iterator[str]:
        """The text of one finished command, with a comment where its law is known."""
        ((source, output),) = repl.parse(text) if text.startswith(repl.PROMPT) else [("", text)]
        law = None if text_filter is None else text_filter.law(source)
        yield text
        if law is not None:
            score.outcomes += 1
            score.right += output in law
            score.exact_given += law.get(output, 0.0)
            score.expected += max(law.values())
            yield f"    # {_own_comment(output, law)}\n"
        if text_filter is not None and not text_filter.is_lost:
            text_filter.take(source, output)
            if text_filter.is_lost:
                yield "    # no command of the game that the run was trained on: nothing is known from here on\n"

    for piece in sampler.continued(session, most):
        pending += piece
        while (start := _next_command(pending)) is not None:
            yield from closed(pending[:start])
            pending = pending[start:]
        if len(pending) > LINE and "\n" not in pending[-LINE:]:
            yield pending[:LINE]
            pending = pending[LINE:]
    # The last command may be cut off: nothing is said of it.
    yield pending if pending.endswith("\n") or not pending else pending + "\n"
    if score.outcomes:
        yield (
            f"# {score.right} of {score.outcomes} outcomes could come; by the exact beliefs they were "
            f"{score.exact_given / score.outcomes:.3f} and the best answers {score.expected / score.outcomes:.3f} "
            "probable on average\n"
        )
    else:
        yield "# no belief is known at the model's own commands\n"


def _next_command(text: str) -> int | None:
    """Return where the second command of a text begins, None if it has none."""
    place = text.find("\n>>> ", 0)
    return None if place < 0 else place + 1


def _own_comment(output: str, law: Mapping[str, float]) -> str:
    """Say in one line whether an outcome of the model's own could come, and what could."""
    if len(law) == 1:
        (only,) = law
        return "right" if output == only else f"wrong: it shows {one_line(repr(only), MAX_OUTCOME)}"
    best = max(law, key=lambda text: law[text])
    said = f"{law.get(output, 0.0):.3g} by the exact belief"
    return (
        f"{said}, the likeliest" if output == best else f"{said}; {one_line(repr(best), MAX_OUTCOME)} {law[best]:.3g}"
    )
