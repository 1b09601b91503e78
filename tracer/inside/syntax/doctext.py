"""Output as a doctest can show it: from raw output to the text after a command.

``doctest`` reads its expected output by rules of its own (CPython's ``doctest.DocTestParser``): the output ends at a
blank line or at a prompt, ``...`` right after a command continues the command, tabs are expanded, and lines of white
space are normalised. Output that these rules would change has no text in a doctest: the command captures it, and a
second one shows it as ``repr`` writes it (``drive.captures``).

``tests/tracer/test_text_forms.py`` has ``doctest`` itself read back what this module lets through.
"""

from __future__ import annotations

import re
import traceback

BLANK = "<BLANKLINE>"
HEADER = "Traceback (most recent call last):"
STACK = "    ..."

# tabs, which doctest expands; whatever ``str.splitlines`` takes for an end of line; lone surrogates, which can't be
# written as UTF-8; lines that begin as prompts do, and those that are markers of blank lines already
_unshowable = re.compile(
    "[\t\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\ud800-\udfff]|^ *(?:>>>|\\.\\.\\.)|^<BLANKLINE>[^\\S\\n]*$", re.MULTILINE
)
_blank_line = re.compile(r"^[^\S\n]*$", re.MULTILINE)
_marked_line = re.compile(f"^{BLANK}$", re.MULTILINE)
_message_start = re.compile(r"\w")
_printed_frame = re.compile(r"^ *File \"", re.MULTILINE)


def is_showable(output: str) -> bool:
    """Return True if a doctest can show this raw output.

    Example:
        >>> is_showable("a b"), is_showable("a\\tb")
        (True, False)
    """
    # a traceback further down is text to doctest, unless it has frames, whose files are others in each run
    return not (_unshowable.search(output) or output.startswith(HEADER) or has_printed_frames(output))


def has_printed_frames(output: str) -> bool:
    """Return True if the output has a traceback with its frames, as ``traceback`` prints it."""
    return HEADER in output and _printed_frame.search(output) is not None


def is_showable_message(message: str) -> bool:
    """Return True if a doctest can show a traceback with these lines of ``message_of``."""
    return _message_start.match(message) is not None and is_showable(message)


def unmarked(text: str) -> str:
    """Return a doctest's text with empty lines in place of the marked ones."""
    return _marked_line.sub("", text)


def shown(output: str) -> str:
    """Return raw output as doctest writes it: blank lines marked, without the final newline."""
    if not output:
        return ""
    body = output[:-1] if output.endswith("\n") else output
    return _blank_line.sub(BLANK, body)


def shown_error(message: str) -> str:
    """Return an exception as doctest writes it: header, ``...`` for the stack, and the exception's own lines."""
    return f"{HEADER}\n{STACK}\n{shown(message)}"


def message_of(error: BaseException) -> str | None:
    """Return the lines of an exception that doctest compares: what it is and says, then its notes.

    Of a SyntaxError they are those from the one with its name on. None where they can't be had: attributes of a hostile
    exception raise when they are read. Runs the exception's ``__str__``, which is the snippet's code: call it inside
    the sandbox only.
    """
    try:
        lines = _last_lines(type(error), error)
        if issubclass(type(error), SyntaxError):
            name = type(error).__qualname__
            starts = (f"{name}:", f"{type(error).__module__}.{name}:")
            lines = lines[next(i for i, line in enumerate(lines) if line.startswith(starts)) :]
        return "".join(lines)
    except BaseException:
        return None  # their exceptions are no part of the program's run: Python's own printing would swallow them too


_last_lines = traceback.format_exception_only  # bound before the snippet runs, which may replace it


def comparable(output: str) -> str:
    """Return the part of printed output that two runs must agree on.

    Lines of white space become blank, and tracebacks lose their stack frames: file names and lines of a frame are those
    of the run, not of the program.
    """
    lines = []
    is_in_stack = False
    for line in output.split("\n"):
        if line.endswith(HEADER):  # what was printed before it may end without a newline
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
