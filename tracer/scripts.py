"""Makes a snippet of a script: its source as Python decodes it, what it is started with, where it may import from."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Sequence
from pathlib import Path

from trace_mine.tracer.inside.program import ast_lines
from trace_mine.tracer.schema import Piece, Snippet

MAX_INPUT_BYTES = 1 << 20
"""Of standard input; it stands in the set-up, which each row has."""

_reads_descriptor = re.compile(
    r"\b(?:open|FileIO|fdopen|read|readv|fstat|isatty|lseek|dup)\(\s*+0\s*+[,)]|\bstdin\.fileno\b|\bSTDIN_FILENO\b"
)
_reads_input = re.compile(rf"\binput\s*\(|\b(?:stdin|fileinput|getpass)\b|{_reads_descriptor.pattern}")
_draws = re.compile(r"\brandom\b")
_draws_by_numpy = re.compile(r"^[ \t]*+(?:import|from)[ \t]++numpy\b", re.MULTILINE)
_reads_source = re.compile(
    r"\b(?:getsource|getsourcelines|getsourcefile|getfile|getcomments|findsource|getframeinfo|getmodule|linecache"
    r"|co_firstlineno|co_filename|tb_lineno|f_lineno|lineno|extract_tb|extract_stack|walk_tb|format_exc|format_tb"
    r"|format_exception|format_stack|print_exc|print_tb|print_stack|TracebackException|StackSummary)\b"
)
_goes_up = re.compile(r"""\bparents\b|\bpardir\b|["'/]\.\.["'/]""")
_goes_up_once = re.compile(r"\bdirname\b|\.parent\b")


def decoded(raw: bytes) -> str:
    """The source's text, decoded as Python does (byte-order mark, coding cookie, else UTF-8).

    Raises:
        SyntaxError, UnicodeDecodeError, LookupError: the bytes are no source.
    """
    return "\n".join(ast_lines(raw))


def may_read_input(source: str) -> bool:
    """Return True if a program's text has a word by which programs read standard input."""
    return _reads_input.search(source) is not None


def reads_source(source: str) -> bool:
    """Return True if a program's text has a word by which programs look at their own source, files or line numbers."""
    return _reads_source.search(source) is not None


def looks_above_its_folder(source: str) -> bool:
    """Return True if a program seems to make a path above its own folder of ``__file__``, as those do that look for
    their repository.

    >>> looks_above_its_folder("ROOT = Path(__file__).resolve().parent.parent")
    True
    >>> looks_above_its_folder("DATA = Path(__file__).parent / 'data'")
    False
    """
    if "__file__" not in source:
        return False
    return _goes_up.search(source) is not None or len(_goes_up_once.findall(source)) > 1


def may_draw(source: str) -> bool:
    """Return True if a program's text has the word by which programs draw from ``random`` or ``numpy.random``."""
    return _draws.search(source) is not None


def seeding_of(source: str, seed: int, *, numpy: bool = True) -> str:
    """The statements of the set-up that seed the generators which a program may draw from: without them its session is
    that of one run, and no other run's. ``numpy``: that can be imported.
    """
    if not may_draw(source):
        return ""
    code = f"{SEEDING}{seed})\n"
    return code + f"__import__('numpy').random.seed({seed})\n" if numpy and _draws_by_numpy.search(source) else code


SEEDING = "__import__('random').seed("


def script_snippet(
    source: str,
    name: str,
    arguments: Sequence[str],
    *,
    in_folder: bool = False,
    below_root: str = "",
    stdin: bytes | None = None,
    seed: int | None = None,
) -> Snippet:
    """The snippet of a script, which runs as ``__main__`` with ``sys.argv = [name, *arguments]``.

    Its future imports move to the set-up, where doctest looks for them.

    Args:
        source: the script's text.
        name: its file's name.
        arguments: what stands after it on the command line.
        in_folder: the file ``name`` is there in the working folder (``TracerConfig.folder``), so that ``__file__`` is
            its path.
        below_root: see ``starting_code``.
        stdin: what ``sys.stdin`` holds; None: nothing.
        seed: the generators of ``random`` (and numpy's, which it imports) begin with it, where the script seems to draw
            from them; None: draws differ from run to run.

    Raises:
        ValueError: ``stdin`` is longer than MAX_INPUT_BYTES.

    >>> import trace_mine
    >>> trace_mine.script_snippet("print('hello')\\n", "hello.py", ["--loud"]).code
    "__name__ = '__main__'\\n__import__('sys').argv = ['hello.py', '--loud']\\n"
    """
    # Not parsed: this runs outside the sandbox, where a source that nests deeply could end the process. And a script
    # that does not compile is to get its SyntaxError inside, as any other outcome.
    futures = [f"from __future__ import {future}" for future in sorted(future_names(source))]
    code = starting_code(
        source, name, arguments, futures=futures, in_folder=in_folder, below_root=below_root, stdin=stdin
    )
    if seed is not None:
        code += seeding_of(source, seed)
    lines = source.count("\n") + 1
    return Snippet(
        kind="script",
        name=name,
        path=name,
        line=1,
        end_line=lines,
        code=code,
        pieces=(Piece(source=source, line=1),),
        file=name if in_folder else "",
    )


def starting_code(
    source: str,
    name: str,
    arguments: Sequence[str],
    *,
    futures: Sequence[str] = (),
    package: str = "",
    in_folder: bool = False,
    below_root: str = "",
    stdin: bytes | None = None,
) -> str:
    """The silent code before a script's first command, after which it runs as if ``python`` had started it.

    Args:
        source, name, arguments, in_folder, stdin: as ``script_snippet`` takes them.
        futures: its future imports, as statements.
        package: the package that its relative imports begin at; empty: it is in none.
        below_root: the script's path with ``/`` below a folder of ``sys.path``, its repository's. ``__file__`` is that
            file where the script seems to look for what lies above it: the working folder is a copy of the script's
            own folder, and has nothing of the repository above.

    Raises:
        ValueError: ``stdin`` is longer than MAX_INPUT_BYTES.
    """
    # Future imports stand first, or the set-up does not compile.
    code = "".join(f"{future}\n" for future in futures)
    # ``__import__``: a statement would make ``sys`` a variable of the session. ``__name__`` is for readers of rows, who
    # run the set-up in a namespace of their own.
    code += f"__name__ = '__main__'\n__import__('sys').argv = {[name, *arguments]!r}\n"
    if package:
        code += f"__package__ = {package!r}\n"
    if in_folder:
        own = f"__import__('os').path.abspath({name!r})"
        if "/" in below_root and looks_above_its_folder(source):
            places = f"[__import__('os').path.join(folder, {below_root!r}) for folder in __import__('sys').path]"
            own = f"next((file for file in {places} if __import__('os').path.isfile(file)), {own})"
        code += f"__file__ = {own}\n"
    # at a prompt descriptor 0 has the session's own commands: a program that reads it finds a file there, maybe empty
    on_descriptor = _reads_descriptor.search(source) is not None
    if stdin is not None or on_descriptor:
        code += _input_of(stdin or b"", on_descriptor=on_descriptor)
    return code


def future_names(source: str) -> set[str]:
    """The names that a program imports from ``__future__``, found by its tokens up to its first other statement.

    >>> sorted(future_names("'text'\\nfrom __future__ import (division,\\n annotations as a); x = 1\\n"))
    ['annotations', 'division']
    """
    names: set[str] = set()
    if "__future__" not in source:
        return names
    statement: list[str] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in (tokenize.COMMENT, tokenize.NL):
                continue
            if token.type != tokenize.NEWLINE and token.string != ";":
                statement.append("text" if token.type == tokenize.STRING else token.string)
                continue
            if statement[:3] == ["from", "__future__", "import"]:
                names |= _imported(statement[3:])
            elif set(statement) - {"text"}:  # a future import that stands later does not compile
                break
            statement = []
    except (tokenize.TokenError, SyntaxError):
        return names  # what does not compile gets its SyntaxError inside
    return names


def _imported(tokens: Sequence[str]) -> set[str]:
    """The names of an import's list, without those that they are bound to."""
    return {part.split()[0] for part in " ".join(tokens).strip("() ").split(",") if part.split()}


DESCRIPTOR = """
import os, sys
name = ".standard-input"
with open(name, "wb") as file:
    file.write(data)
with open(name, "rb", buffering=0) as file:
    os.dup2(file.fileno(), 0)
os.unlink(name)
sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
"""
"""What puts ``data`` behind descriptor 0, in a file of a run's working folder that has no name after that."""


def reads_descriptor(code: str) -> bool:
    """Return True if a script's silent code gives it a descriptor 0 of its own: no prompt can read commands there."""
    return DESCRIPTOR.encode("unicode_escape").decode() in code


def _input_of(stdin: bytes, *, on_descriptor: bool) -> str:
    """The statement of the set-up that gives a program its standard input: the same in every world, and in a row.

    ``on_descriptor``: descriptor 0 has it as well.
    """
    if len(stdin) > MAX_INPUT_BYTES:
        raise ValueError(
            f"expected at most {MAX_INPUT_BYTES:,} bytes of standard input, got {len(stdin):,}; let the script read a "
            "file beside it"
        )
    if on_descriptor:
        return f"exec({DESCRIPTOR!r}, {{'data': {stdin!r}}})\n"
    # a text stream over bytes, as CPython's own: programs read ``sys.stdin.buffer`` too
    stream = f"__import__('io').TextIOWrapper(__import__('io').BytesIO({stdin!r}), 'utf-8', 'surrogateescape')"
    return f"__import__('sys').stdin = __import__('sys').__stdin__ = {stream}\n"


def path_below(root: Path | None, script: Path | None) -> str:
    """The script's path with ``/`` below ``root`` (a resolved path); empty where it does not lie there."""
    if root is None or script is None:
        return ""
    place = script.resolve()  # resolved: CPython too follows a script's link before it takes the folder
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else ""


def import_folders(root: Path, script: Path | None) -> tuple[str, ...]:
    """Folders below ``root`` (a resolved path) for ``sys.path``: the script's own where it lies below the root, the
    root, and its ``src`` where packages lie there, as an editable install would have it.
    """
    source = root / "src"
    has_source = source.is_dir() and not (source / "__init__.py").exists() and any(source.glob("*/__init__.py"))
    roots = (".", "src") if has_source else (".",)
    if script is not None:
        parent = script.resolve().parent  # resolved: CPython too follows a script's link before it takes the folder
        if parent != root and parent.is_relative_to(root):
            own = parent.relative_to(root).as_posix()
            return own, *(each for each in roots if each != own)
    return roots
