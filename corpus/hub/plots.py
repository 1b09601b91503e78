"""Plots of a dataset for its card: small SVG files, written as text, so that mining needs no plotting library.

All that stands in them are numbers and words of ours.
"""

from __future__ import annotations

from collections.abc import Mapping

from trace_mine.corpus.stats import Stats
from trace_mine.tracer.visible import in_html, in_markdown

FOLDER = "plots"
WIDTH, HEIGHT, BOTTOM, TOP = 560, 180, 36, 22
_CAPTIONS = {
    "characters": ("Characters of a session", "sessions of at most so many characters"),
    "commands": ("Commands of a session", "sessions of at most so many commands"),
    "bits": ("The most uncertain output of an uncertain session", "sessions of at most so many bits"),
}
NAMES = tuple(f"{name}.svg" for name in _CAPTIONS)
"""The files that may stand in the folder."""
# Attributes and no style sheet, which a server's policy may forbid.
_TEXT = 'font-family="sans-serif" font-size="11" fill="#57606a"'
_TITLE = 'font-family="sans-serif" font-size="12" font-weight="bold" fill="#24292f"'


def plots_of(stats: Stats) -> dict[str, bytes]:
    """Return the plots by the names of their files: histograms of lengths, and of uncertainty where there is some."""
    return {
        f"{name}.svg": _bars(_CAPTIONS[name][0], _CAPTIONS[name][1], bins).encode("utf-8")
        for name, bins in stats["histograms"].items()
        if bins
    }


def plot_lines(stats: Stats) -> str:
    """Return the plots as lines of the card: a picture each, whose text for those who don't see it has the numbers."""
    lines = []
    for name, bins in stats["histograms"].items():
        if bins:
            numbers = ", ".join(f"{in_markdown(end)}: {count}" for end, count in bins.items())
            lines.append(f"![{_CAPTIONS[name][0]}. {_CAPTIONS[name][1]}: {numbers}]({FOLDER}/{name}.svg)")
    return "\n\n".join(lines)


def _bars(title: str, meaning: str, bins: Mapping[str, int]) -> str:
    """A histogram as SVG: a bar for each bin, its number above and its upper end below it."""
    most = max(bins.values())
    step = (WIDTH - 20) / len(bins)
    wide = min(step * 0.8, 60)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img"><title>{in_html(title)}</title>'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        f'<text {_TITLE} x="10" y="15">{in_html(title)}</text>'
        f'<text {_TEXT} x="{WIDTH - 10}" y="{HEIGHT - 6}" text-anchor="end">{in_html(meaning)}</text>'
    ]
    space = HEIGHT - BOTTOM - TOP - 14
    for place, (end, count) in enumerate(bins.items()):
        middle = 10 + step * (place + 0.5)
        high = space * count / most
        top = HEIGHT - BOTTOM - high
        parts.append(
            f'<rect x="{middle - wide / 2:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="#3b76b3"/>'
            f'<text {_TEXT} text-anchor="middle" x="{middle:.1f}" y="{top - 4:.1f}">{count}</text>'
            f'<text {_TEXT} text-anchor="middle" x="{middle:.1f}" y="{HEIGHT - BOTTOM + 14}">{in_html(end)}</text>'
        )
    return "".join([*parts, "</svg>\n"])
