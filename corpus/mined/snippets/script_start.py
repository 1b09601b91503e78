"""How a script is started: the record that a manifest's entry becomes."""

from __future__ import annotations

from dataclasses import dataclass

from trace_mine.tracer.scripts import MAX_INPUT_BYTES

MAX_ARGUMENTS = 1_000
MAX_ARGUMENT_CHARS = 10_000
"""Of one argument; the system itself takes 131,072 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptStart:
    """A start of a script.

    Attributes:
        path: its file, relative to the repository's root.
        name: the snippet's; empty: that of the file.
        arguments: what stands after it on the command line.
        stdin: what its standard input holds; None: nothing.

    Raises:
        ValueError: an argument is none that a command line could have, or there is more input than a row can hold.
    """

    path: str
    name: str = ""
    arguments: tuple[str, ...] = ()
    stdin: bytes | None = None

    def __post_init__(self) -> None:
        if len(self.arguments) > MAX_ARGUMENTS or any(len(text) > MAX_ARGUMENT_CHARS for text in self.arguments):
            raise ValueError(
                f"expected at most {MAX_ARGUMENTS:,} arguments of {MAX_ARGUMENT_CHARS:,} characters, got more; let the "
                "script read a file"
            )
        if any("\0" in text for text in self.arguments):
            raise ValueError("expected arguments without null characters, got one; no command line has it")
        if len(self.stdin or b"") > MAX_INPUT_BYTES:
            raise ValueError(
                f"expected at most {MAX_INPUT_BYTES:,} bytes of standard input, got {len(self.stdin or b''):,}; let "
                "the script read a file"
            )
