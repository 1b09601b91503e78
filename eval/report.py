"""One report of all figures and verdicts: self-contained HTML, and the same as Markdown beside its figures."""

from __future__ import annotations

import base64
import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trace_mine.eval.claims import CANNOT_TELL, DOES_NOT_HOLD, HOLDS, Claim
from trace_mine.eval.figures.base import Drawn, Figure

Drawings = Sequence[tuple[Figure, Drawn | None, float]]

CSS = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-top: 1px solid #ccc; padding-top: 1rem; }
img { max-width: 100%; height: auto; } table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #ddd; }
.verdict { white-space: nowrap; font-weight: 600; } .small { color: #555; font-size: 13px; }
@media print { body { max-width: none; } h2 { break-before: auto; } img { break-inside: avoid; } }
"""
SIGNS = {HOLDS: "✓", DOES_NOT_HOLD: "✗", CANNOT_TELL: "?"}


def write(out: Path, drawn: Drawings, facts: dict[str, Any]) -> Path:
    """``report.html`` (no file or address beside it is needed) and ``report.md``; returns the former."""
    (out / "report.md").write_text(markdown(drawn, facts), encoding="utf-8")
    path = out / "report.html"
    path.write_text(page(out, drawn, facts), encoding="utf-8")
    return path


def all_claims(drawn: Drawings) -> list[tuple[Figure, Claim]]:
    """Every claim with the figure that shows it."""
    return [(figure, claim) for figure, told, _ in drawn if told is not None for claim in told.claims]


def made_from(facts: dict[str, Any]) -> str:
    """How the report was made, in words."""
    runs = facts["runs"]
    tokens = sum(run["tokens"] for run in runs.values())
    parts = [
        f"Budget {facts['budget']}: {facts['seconds'] / 60:.1f} minutes of wall time in this call, of which "
        f"{facts['training_seconds'] / 60:.1f} training, {facts['jobs']} processes of one thread on "
        f"{facts['cores']} cores.",
        f"{len(runs)} runs, {facts['run_seconds'] / 60:.0f} process-minutes and {tokens:,} "
        ""
        "tokens of training in all (runs that an earlier call had finished are used again, and counted here).",
    ]
    if facts["skipped"]:
        parts.append(f"Left out for want of time: {', '.join(facts['skipped'])}.")
    if facts["failed"]:
        parts.append(f"Failed: {', '.join(facts['failed'])}.")
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if version)
    return " ".join(parts) + f" Commit {facts['commit'] or 'unknown'}; {versions}."


def markdown(drawn: Drawings, facts: dict[str, Any]) -> str:
    """The report as Markdown, figures by their path."""
    lines = ["# Who tracks state, who keeps a belief", "", made_from(facts), "", "## Verdicts", ""]
    lines += ["| claim | from | verdict | seeds | evidence |", "|---|---|---|---|---|"]
    for figure, claim in all_claims(drawn):
        cells = [claim.text, f"{claim.source} ({figure.name})", claim.verdict, str(claim.seeds), claim.evidence]
        lines.append("| " + " | ".join(part.replace("|", "\\|") for part in cells) + " |")
    lines += ["", notes(), ""]
    for figure, told, seconds in drawn:
        lines += [f"## {figure.name}: {figure.title}", ""]
        if told is None:
            lines += [f"Not drawn: none of its runs is finished ({', '.join(figure.needs)}).", ""]
            continue
        lines += [f"![{figure.title}](figures/{figure.name}.png)", "", told.caption, ""]
        lines += [f"*Recipe:* {figure.recipe}. *In the paper:* {figure.paper} *Drawn in* {seconds:.0f} s.", ""]
    return "\n".join(lines)


def notes() -> str:
    """What a verdict means."""
    return (
        "A verdict on trained models needs at least three seeds that agree; with fewer, or where they "
        "disagree, it says "
        "“can't tell”. Seeds 0 means computed, without training. “Does not hold” is said of these small "
        "models, budgets and "
        "lengths, not of the paper's."
    )


def page(out: Path, drawn: Drawings, facts: dict[str, Any]) -> str:
    """The report as one HTML page, figures inside it."""
    counts = Counter(claim.verdict for _, claim in all_claims(drawn))
    head = ", ".join(f"{counts[verdict]} {verdict}" for verdict in (HOLDS, DOES_NOT_HOLD, CANNOT_TELL))
    body = [
        "<h1>Who tracks state, who keeps a belief</h1>",
        f"<p>{html.escape(made_from(facts))}</p>",
        f"<h2>Verdicts</h2><p>{html.escape(head)}. {html.escape(notes())}</p>",
        table_head("claim", "from", "verdict", "seeds", "evidence"),
    ]
    for figure, claim in all_claims(drawn):
        link = f"<a href='#{figure.name}'>{figure.name}</a>"
        cells = (
            html.escape(claim.text),
            f"{html.escape(claim.source)} ({link})",
            f"<span class='verdict'>{SIGNS[claim.verdict]} {html.escape(claim.verdict)}</span>",
            str(claim.seeds),
            html.escape(claim.evidence),
        )
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    body.append("</tbody></table>")
    for figure, told, seconds in drawn:
        body.append(f"<h2 id='{figure.name}'>{figure.name}: {html.escape(figure.title)}</h2>")
        if told is None:
            body.append(f"<p>Not drawn: none of its runs is finished ({html.escape(', '.join(figure.needs))}).</p>")
            continue
        data = base64.b64encode((out / "figures" / f"{figure.name}.png").read_bytes()).decode()
        body.append(f"<img alt='{html.escape(figure.title)}' src='data:image/png;base64,{data}'>")
        body.append(f"<p>{html.escape(told.caption)}</p>")
        small = f"Recipe: {figure.recipe}. In the paper: {figure.paper} Drawn in {seconds:.0f} s."
        body.append(f"<p class='small'>{html.escape(small)}</p>")
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{run['parameters']:,}</td><td>{run['step']:,}</td>"
        f"<td>{run['tokens']:,}</td><td>{run['seconds']:.0f}</td></tr>"
        for name, run in facts["runs"].items()
    )
    body.append(f"<h2>Runs</h2>{table_head('run', 'parameters', 'steps', 'tokens', 'seconds')}{rows}</tbody></table>")
    title = "<title>trace-eval: who tracks state, who keeps a belief</title>"
    meta = "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
    head = f"<head>{meta}{title}<style>{CSS}</style></head>"
    return f"<!doctype html><html lang='en'>{head}<body>{''.join(body)}</body></html>"


def table_head(*columns: str) -> str:
    """The beginning of a table, up to its first row."""
    return f"<table><thead><tr>{''.join(f'<th>{column}</th>' for column in columns)}</tr></thead><tbody>"
