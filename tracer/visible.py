"""Makes hostile text safe to show, one function for each medium: nothing in it acts, and nothing in it looks like ours.

``visible``      a text of several lines on a terminal
``indented``     the same below a line of ours, set off so that none of its lines can be taken for one
``one_line``     a name, a path or a reason on a terminal or in an error message
``in_html``      text of an HTML page
``in_markdown``  a name in a line or in a cell of a table of Markdown
``prose_in_markdown``  a sentence of ours with names of others in it

JSON needs none of them: ``json.dumps`` escapes all but ASCII.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum

HIDDEN_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
"""Controls, bidirectional and zero-width formats, lone surrogates, private use, line separators."""
MAX_SHOWN = 200
"""Characters of a name that are shown: an identifier may have a million, and would hide what stands beside it."""


class Colour(StrEnum):
    """When a session is coloured on a terminal."""

    auto = "auto"
    always = "always"
    never = "never"


def visible(text: str) -> str:
    """The text with everything that could act on a terminal as escapes; newlines and tabs stay.

    >>> visible("red: \\x1b[31m, end\\n")
    'red: \\\\x1b[31m, end\\n'
    """
    return "".join(
        char
        # by category, not by a list of ESC and the like: U+202E turns the rest of a line round, U+2028 ends one
        if char in "\n\t" or unicodedata.category(char) not in HIDDEN_CATEGORIES
        # lone surrogates come from the snippet too, and no terminal's encoding takes them
        else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def indented(text: str) -> str:
    """The text for a terminal, its second and further lines set off by ``  | ``: none of them looks like ours.

    >>> indented("no session: it printed\\ntrace-run: all is well")
    'no session: it printed\\n  | trace-run: all is well'
    """
    return visible(text).replace("\n", "\n  | ")


def one_line(text: str, longest: int = MAX_SHOWN) -> str:
    """The text on one line, cut after ``longest`` characters; line ends and tabs are escapes too.

    >>> one_line("a\\nb"), one_line("name", longest=2)
    ('a\\\\nb', 'na...')
    """
    cut = text[:longest]  # before it is escaped: of a megabyte, all would be
    shown = visible(cut).replace("\n", "\\n").replace("\t", "\\t")
    return shown if len(text) <= longest else f"{shown}..."


def in_html(text: str) -> str:
    """The text as HTML, inside an element or a quoted attribute.

    >>> in_html("<b title='x'>\\x1b")
    '&lt;b title=&#x27;x&#x27;&gt;\\\\x1b'
    """
    return html.escape(visible(text))


_PLAIN_MARKDOWN = re.compile(r"(?:[A-Za-z0-9 .+/()-]|(?<=[A-Za-z0-9])_(?=[A-Za-z0-9]))+\Z")
"""Text that Markdown shows as it is, inside a line and inside a table's cell. An underscore inside a word is plain."""


def in_markdown(text: str) -> str:
    """A stranger's text for a line of Markdown: unchanged where it is plain, else as code, escaped; cut in any case.

    Inside code only the backtick acts, and in a table the bar: both are written as escapes, as control characters are.
    Text with ``www.`` is set as code too, since renderers make a link of it.

    >>> in_markdown("more-itertools"), in_markdown("a|`b`")
    ('more-itertools', '`a\\\\x7c\\\\x60b\\\\x60`')
    """
    is_plain = _PLAIN_MARKDOWN.match(text[: MAX_SHOWN + 1]) and text == text.strip() and "www." not in text.lower()
    if is_plain and len(text) <= MAX_SHOWN:
        return text
    shown = one_line(text.replace("\\", "\\\\")).replace("|", "\\x7c").replace("`", "\\x60")
    # Two backticks with nothing between them are no code, so the empty text is shown as a space.
    return f"`{shown or ' '}`"


_ACTS_IN_MARKDOWN = re.compile(
    r"[\\`*_\[\]<>|~#&!$@]|(?<=[a-z]):(?=//)|(?<=www)\.|^[-+=:]|(?<=\d)[.)](?=\s)", re.IGNORECASE
)


def prose_in_markdown(text: str) -> str:
    """A sentence as it is, on one line of Markdown: whatever would act in it has a backslash before it.

    >>> prose_in_markdown("KL(exact || model) of <b>")
    'KL(exact \\\\|\\\\| model) of \\\\<b\\\\>'
    """
    return _ACTS_IN_MARKDOWN.sub(r"\\\g<0>", " ".join(visible(text).split()))


def marked_up(parts: Iterable[tuple[str, str, str]]) -> str:
    """HTML spans of (CSS class, text, tooltip); the class is ours, text and tooltip are escaped."""
    return "".join(f'<span class="{name}"{_tooltip(tip)}>{in_html(text)}</span>' for name, text, tip in parts)


def _tooltip(tip: str) -> str:
    return f' title="{in_html(tip)}"' if tip else ""
