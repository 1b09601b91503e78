"""What a doctest can show: from raw output to the text after a command, and which output has no such text.

doctest reads its expected output with rules of its own (CPython's ``doctest.DocTestParser``): it ends at a blank line
or at a prompt, takes ``...`` right after a command for a continuation, expands tabs, and normalises lines of white
space. Output that these rules would change is not representable; the caller hides it or says so.
"""

from __future__ import annotations

import re
import traceback

BLANK = "<BLANKLINE>"
HEADER = "Traceback (most recent call last):"
STACK = "    ..."

_breaks = re.compile("[\t\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ud800-\udfff]")
_prompt = re.compile(r"^ *(>>>|\.\.\.)", re.MULTILINE)
_blank_line = re.compile(r"^[^\S\n]*$", re.MULTILINE)


def why_not(output: str) -> str | None:
    """The reason why a doctest can't show this output, or None where it can."""
    if _breaks.search(output):
        return "control_character"
    if _prompt.search(output):
        return "looks_like_prompt"
    if BLANK in output:
        return "holds_blankline_marker"
    if HEADER in output:
        return "looks_like_traceback"
    return None


def why_not_error(error: str) -> str | None:
    """The same of a traceback as ``shown_error`` writes it."""
    return why_not(error.removeprefix(f"{HEADER}\n{STACK}\n").replace(BLANK, ""))


def shown(output: str) -> str:
    """Output as doctest writes it: blank lines marked, without the final newline."""
    if not output:
        return ""
    body = output[:-1] if output.endswith("\n") else output
    return _blank_line.sub(BLANK, body)


def shown_error(error: BaseException) -> str:
    """An exception as doctest writes it; its message is the last entry of ``format_exception_only``, as in doctest.

    Runs the exception's ``__str__``, which is the snippet's: call it inside the sandbox only.
    """
    last = traceback.format_exception_only(type(error), error)[-1]
    return f"{HEADER}\n{STACK}\n{shown(last)}"


def comparable(output: str) -> str:
    """What is left of printed output when two runs are compared: white-space lines blank, tracebacks without frames."""
    lines = []
    skipping = False
    for line in output.split("\n"):
        if line == HEADER:
            skipping = True
            lines.append(line)
        elif skipping and (line.startswith(" ") or not line.strip()):
            continue
        else:
            skipping = False
            lines.append("" if not line.strip() else line)
    return "\n".join(lines)


_address = re.compile(r"\b0x[0-9a-fA-F]{4,16}\b")


def without_addresses(text: str) -> str:
    """The text with memory addresses masked."""
    return _address.sub("0x", text)
