"""Output as a doctest can show it: from raw output to the text after a command.

``doctest`` reads its expected output by rules of its own (CPython's ``doctest.DocTestParser``): the output ends at a
blank line or at a prompt, ``...`` right after a command continues the command, tabs are expanded, and lines of white
space are normalised. Output that these rules would change has no text in a doctest; the caller leaves such an output
out, or gives the session up with the reason.

``tests/tracer/test_text_forms.py`` has ``doctest`` itself read back what this module lets through.
"""

from __future__ import annotations

import re
import traceback

from trace_mine.tracer.inside.reasons import Reason

BLANK = "<BLANKLINE>"
HEADER = "Traceback (most recent call last):"
STACK = "    ..."

# tabs, which doctest expands; whatever ``str.splitlines`` takes for an end of line; lone surrogates, which can't be
# written as UTF-8
_breaks = re.compile("[\t\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ud800-\udfff]")
_prompt = re.compile(r"^ *(>>>|\.\.\.)", re.MULTILINE)
_blank_line = re.compile(r"^[^\S\n]*$", re.MULTILINE)


def why_unshowable(output: str) -> Reason | None:
    """Return the reason for which no doctest can show this raw output; None where one can.

    Example:
        >>> why_unshowable("a\\tb")
        <Reason.CONTROL_CHARACTER: 'control_character'>
    """
    if _breaks.search(output):
        return Reason.CONTROL_CHARACTER
    if _prompt.search(output):
        return Reason.LOOKS_LIKE_PROMPT
    if BLANK in output:
        return Reason.HOLDS_BLANKLINE_MARKER
    if HEADER in output:
        return Reason.LOOKS_LIKE_TRACEBACK
    return None


def why_unshowable_error(error: str) -> Reason | None:
    """Return the reason for which no doctest can show a traceback that ``shown_error`` wrote; None where one can."""
    # header, stack and blank-line markers are ours: only the exception's own words are judged
    return why_unshowable(error.removeprefix(f"{HEADER}\n{STACK}\n").replace(BLANK, ""))


def shown(output: str) -> str:
    """Return raw output as doctest writes it: blank lines marked, without the final newline."""
    if not output:
        return ""
    body = output[:-1] if output.endswith("\n") else output
    return _blank_line.sub(BLANK, body)


def shown_error(error: BaseException) -> str:
    """Return an exception as doctest writes it: header, ``...`` for the stack, and the exception's own line.

    That line is the last entry of ``traceback.format_exception_only``, since doctest compares this entry and no other.
    Runs the exception's ``__str__``, which is the snippet's code: call it inside the sandbox only.
    """
    last = traceback.format_exception_only(type(error), error)[-1]
    return f"{HEADER}\n{STACK}\n{shown(last)}"


def comparable(output: str) -> str:
    """Return the part of printed output that two runs must agree on.

    Lines of white space become blank, and tracebacks lose their stack frames: file names and lines of a frame are those
    of the run, not of the program.
    """
    lines = []
    is_in_stack = False
    for line in output.split("\n"):
        if line == HEADER:
            is_in_stack = True
            lines.append(line)
        elif is_in_stack and (line.startswith(" ") or not line.strip()):
            continue
        else:
            is_in_stack = False
            lines.append("" if not line.strip() else line)
    return "\n".join(lines)


_address = re.compile(r"\b0x[0-9a-fA-F]{4,16}\b")


def without_addresses(text: str) -> str:
    """Return the text with memory addresses, which are others in each process, masked as ``0x``."""
    return _address.sub("0x", text)
