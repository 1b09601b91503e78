"""One report of all figures and verdicts: a self-contained HTML page, and the same as Markdown beside its figures.

The HTML page holds its images and its style and runs no script, so that it can be mailed or archived as one file.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trace_mine.eval.claims import CANNOT_TELL, DOES_NOT_HOLD, HOLDS, Claim
from trace_mine.eval.figures.base import Drawn, Figure, table_in_markdown
from trace_mine.eval.rate_sweeps import SHARE
from trace_mine.eval.tries import COLUMNS, Tries
from trace_mine.tracer.visible import in_html, prose_in_markdown

Drawings = Sequence[tuple[Figure, Drawn | None, float]]
"""(figure, its drawing or None where none of its runs is finished, seconds that it took), in the report's order."""

CSS = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-top: 1px solid #ccc; padding-top: 1rem; }
img { max-width: 100%; height: auto; } table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #ddd; }
.verdict { white-space: nowrap; font-weight: 600; } .small { color: #555; font-size: 13px; }
@media print { body { max-width: none; } h2 { break-before: auto; } img { break-inside: avoid; } }
"""
# A sign beside the words, so that verdicts can be found by eye in a long table.
SIGNS = {HOLDS: "✓", DOES_NOT_HOLD: "✗", CANNOT_TELL: "?"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The size of one finished run, as its ``final.json`` says it; ``seconds`` of its process."""

    parameters: int
    step: int
    tokens: int
    seconds: float

    def __post_init__(self) -> None:
        if min(self.parameters, self.step, self.tokens, self.seconds) < 0:
            raise ValueError(f"expected numbers of 0 and more, got {self}; train the run again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The circumstances under which a report was made.

    ``seconds`` and ``training_seconds`` are wall time of this call alone; ``runs`` (name -> size) are all finished runs
    of the plan, also those of earlier calls, and ``tries`` says what each of their groups was given. ``skipped`` and
    ``failed`` are names of runs; ``versions`` those of packages, None where one isn't installed; ``commit`` is None
    outside a clone.
    """

    budget: str
    seconds: float
    training_seconds: float
    jobs: int
    cores: int | None
    runs: Mapping[str, RunFacts]
    tries: Mapping[str, Tries]
    skipped: Sequence[str]
    failed: Sequence[str]
    versions: Mapping[str, str | None]
    commit: str | None

    def __post_init__(self) -> None:
        if self.seconds < 0 or self.training_seconds < 0 or self.jobs < 1:
            raise ValueError(f"expected durations of 0 and more and at least one job, got {self}")


def write(out: Path, drawings: Drawings, facts: Facts) -> Path:
    """Write ``report.html`` and ``report.md`` into the folder that holds ``figures/``; return the former's path."""
    (out / "report.md").write_text(markdown(drawings, facts), encoding="utf-8")
    path = out / "report.html"
    path.write_text(page(out, drawings, facts), encoding="utf-8")
    return path


def all_claims(drawings: Drawings) -> list[tuple[Figure, Claim]]:
    """Every claim with the figure that shows it, in the report's order."""
    return [(figure, claim) for figure, drawn, _ in drawings if drawn is not None for claim in drawn.claims]


def made_from(facts: Facts) -> str:
    """Say in words how much time, training and hardware the report rests on, and which runs it lacks."""
    tokens = sum(run.tokens for run in facts.runs.values())
    run_seconds = sum(run.seconds for run in facts.runs.values())
    parts = [
        f"Budget {facts.budget}: {facts.seconds / 60:.1f} minutes of wall time in this call, of which "
        f"{facts.training_seconds / 60:.1f} training, {facts.jobs} processes of one thread on {facts.cores} cores.",
        f"{len(facts.runs)} runs, {run_seconds / 60:.0f} process-minutes and {tokens:,} tokens of training in all "
        "(runs that an earlier call had finished are used again, and counted here).",
    ]
    if facts.skipped:
        parts.append(f"Left out for want of time: {', '.join(facts.skipped)}.")
    if facts.failed:
        parts.append(f"Failed: {', '.join(facts.failed)}.")
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items() if version)
    return " ".join(parts) + f" Commit {facts.commit or 'unknown'}; {versions}."


def markdown(drawings: Drawings, facts: Facts) -> str:
    """The report as Markdown; images stand beside it, under ``figures/``."""
    lines = ["# Who tracks state, who keeps a belief", "", prose_in_markdown(made_from(facts)), "", "## Verdicts", ""]
    lines += ["| claim | from | verdict | seeds | evidence |", "|---|---|---|---|---|"]
    for figure, claim in all_claims(drawings):
        cells = [claim.text, f"{claim.source} ({figure.name})", claim.verdict, str(claim.seeds), claim.evidence]
        # captions say KL(exact || model): a bar within a cell ends it
        lines.append("| " + " | ".join(map(prose_in_markdown, cells)) + " |")
    lines += ["", notes(), ""]  # right below the verdicts: "does not hold" is easily read for more than it says
    for figure, drawn, seconds in drawings:
        lines += [f"## {figure.name}: {figure.title}", ""]
        if drawn is None:
            lines += [prose_in_markdown(f"Not drawn: none of its runs is finished ({', '.join(figure.needs)})."), ""]
            continue
        lines += [f"![{figure.title}](figures/{figure.name}.png)", "", prose_in_markdown(drawn.caption), ""]
        if drawn.table is not None:
            lines += [table_in_markdown(drawn.table)]
        recipe, paper = prose_in_markdown(figure.recipe), prose_in_markdown(figure.paper)
        lines += [f"*Recipe:* {recipe}. *In the paper:* {paper} *Drawn in* {seconds:.0f} s.", ""]
    lines += ["## What models were given", "", chances(), ""]
    lines += [table_in_markdown((COLUMNS, [tries.cells() for tries in facts.tries.values()]))]
    return "\n".join(lines)


def notes() -> str:
    """The paragraph that says what verdicts mean, the same in every report."""
    return (
        "A verdict on trained models needs at least three seeds that agree; with fewer, or where they disagree, it "
        "says “can't tell”. Seeds 0 means computed, without training. “Does not hold” is said of these small models, "
        "budgets and lengths, not of the paper's."
    )


def chances() -> str:
    """The paragraph above the table of what models were given, the same in every report."""
    return (
        "Models that learn one task have one budget of tokens and one curriculum. Of each the learning rate is the "
        f"best of a sweep on validation sessions: one short run a rate, with {SHARE:.0%} of the tokens, of a seed of "
        "its own. The best rate of a short run need not be that of a whole one."
    )


def page(out: Path, drawings: Drawings, facts: Facts) -> str:
    """The report as one HTML page, with the images of ``out/figures`` inside it.

    All text of claims, captions and facts is escaped: labels and file names come from users.
    """
    counts = Counter(claim.verdict for _, claim in all_claims(drawings))
    head = ", ".join(f"{counts[verdict]} {verdict}" for verdict in (HOLDS, DOES_NOT_HOLD, CANNOT_TELL))
    body = [
        "<h1>Who tracks state, who keeps a belief</h1>",
        f"<p>{in_html(made_from(facts))}</p>",
        f"<h2>Verdicts</h2><p>{in_html(head)}. {in_html(notes())}</p>",
        table_head("claim", "from", "verdict", "seeds", "evidence"),
    ]
    for figure, claim in all_claims(drawings):
        link = f"<a href='#{figure.name}'>{figure.name}</a>"
        cells = (
            in_html(claim.text),
            f"{in_html(claim.source)} ({link})",
            f"<span class='verdict'>{SIGNS[claim.verdict]} {in_html(claim.verdict)}</span>",
            str(claim.seeds),
            in_html(claim.evidence),
        )
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    body.append("</tbody></table>")
    for figure, drawn, seconds in drawings:
        body.append(f"<h2 id='{figure.name}'>{figure.name}: {in_html(figure.title)}</h2>")
        if drawn is None:
            body.append(f"<p>Not drawn: none of its runs is finished ({in_html(', '.join(figure.needs))}).</p>")
            continue
        # PNG rather than SVG, whose texts look different where its fonts are missing
        data = base64.b64encode((out / "figures" / f"{figure.name}.png").read_bytes()).decode()
        body.append(f"<img alt='{in_html(figure.title)}' src='data:image/png;base64,{data}'>")
        body.append(f"<p>{in_html(drawn.caption)}</p>")
        if drawn.table is not None:
            header, lines = drawn.table
            numbers = ("".join(f"<td>{in_html(cell)}</td>" for cell in line) for line in lines)
            body.append(table_head(*map(in_html, header)))
            body.append(f"{''.join(f'<tr>{row}</tr>' for row in numbers)}</tbody></table>")
        small = f"Recipe: {figure.recipe}. In the paper: {figure.paper} Drawn in {seconds:.0f} s."
        body.append(f"<p class='small'>{in_html(small)}</p>")
    given = ("".join(f"<td>{in_html(cell)}</td>" for cell in tries.cells()) for tries in facts.tries.values())
    body.append(f"<h2>What models were given</h2><p>{in_html(chances())}</p>{table_head(*COLUMNS)}")
    body.append(f"{''.join(f'<tr>{line}</tr>' for line in given)}</tbody></table>")
    # the sizes of all runs, by which a reader can judge what "does not hold" is worth
    rows = "".join(
        f"<tr><td>{in_html(name)}</td><td>{run.parameters:,}</td><td>{run.step:,}</td>"
        f"<td>{run.tokens:,}</td><td>{run.seconds:.0f}</td></tr>"
        for name, run in facts.runs.items()
    )
    body.append(f"<h2>Runs</h2>{table_head('run', 'parameters', 'steps', 'tokens', 'seconds')}{rows}</tbody></table>")
    title = "<title>trace-eval: who tracks state, who keeps a belief</title>"
    meta = "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
    head = f"<head>{meta}{title}<style>{CSS}</style></head>"
    return f"<!doctype html><html lang='en'>{head}<body>{''.join(body)}</body></html>"


def table_head(*columns: str) -> str:
    """The beginning of an HTML table, up to its first row; the caller closes ``tbody`` and ``table``."""
    return f"<table><thead><tr>{''.join(f'<th>{column}</th>' for column in columns)}</tr></thead><tbody>"
