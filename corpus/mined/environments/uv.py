"""Questions to uv: which versions go together, and their installation into a folder. Wheels alone, so nothing is built.

uv runs outside of the sandbox, with the network. It is given requirements that were held to PEP 508, without URLs, and
reads no configuration and no file of a repository. It takes wheels apart and runs nothing of them: the only interpreter
that it starts is the one that is named, isolated, without the folder that it fills.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trace_mine.tracer.visible import one_line

UV_SECONDS = 900.0
"""Wall time of one call; the largest environment that was tried took 40 s to load on a slow line."""
MAX_EVIDENCE = 400
"""Characters of uv's own words that are kept."""

_unreachable = re.compile(r"Failed to fetch|error sending request|Request failed after")
_pin = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*+)==(\S++)")


class UvFailed(Exception):
    """uv could not do what it was asked; the message is its own, in one line."""


class IndexUnreachable(UvFailed):
    """The index did not answer, so that nothing is known of what it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageIndex:
    """The place that wheels come from, and the time that counts.

    Attributes:
        find_links: folders of wheels, besides the index that uv's own environment variables name.
        offline: no network is used; wheels come from ``find_links`` and from uv's cache.
        before: versions published later do not count, as RFC 3339 writes a date or a time; None: all count.

    Raises:
        ValueError: a folder of wheels is relative.
    """

    find_links: tuple[Path, ...] = ()
    offline: bool = False
    before: str | None = None

    def __post_init__(self) -> None:
        if not all(folder.is_absolute() for folder in self.find_links):
            raise ValueError(f"expected absolute folders of wheels, got {self.find_links}; resolve them")

    def options(self) -> list[str]:
        """The options of uv that say so."""
        options = [f"--find-links={folder}" for folder in self.find_links]
        if self.offline:
            options += ["--offline"] if not self.find_links else ["--offline", "--no-index"]
        if self.before is not None:
            options += [f"--exclude-newer={self.before}"]
        return options


def resolve(requirements: Sequence[str], python: str, index: PackageIndex) -> tuple[str, ...]:
    """Ask for versions that go together: ``name==version`` of the requirements and of all that they require, sorted.

    Args:
        requirements: as PEP 508 has them.
        python: the interpreter that they are to be installed for.
        index: where they come from.

    Raises:
        UvFailed: there are none.
        IndexUnreachable: the index did not answer.
    """
    answer = _uv(["compile", "--no-annotate", "--no-header", *index.options()], requirements, python)
    pins = (_pin.match(line) for line in answer.splitlines())
    return tuple(sorted(f"{pin[1]}=={pin[2]}" for pin in pins if pin is not None))


def install(pins: Sequence[str], python: str, index: PackageIndex, target: Path) -> None:
    """Install what ``resolve`` gave into a folder, as ``pip install --target`` lays it out, with its bytecode.

    Every jail imports from there and can't write there: without bytecode each would compile anew (pytest: 0.5 s of
    CPU instead of 0.2). The interpreter compiles the files; it runs none of them.

    Raises:
        UvFailed: a wheel could not be fetched, or not be taken apart.
    """
    # hard links into uv's cache: whoever changed a file here would change it there, so the folder is shown read-only
    _uv(["install", "--no-deps", "--compile-bytecode", f"--target={target}", *index.options()], pins, python)


def uv_version() -> str:
    """The version of uv, as it says it (``uv 0.9.5``); a part of an environment's name.

    Raises:
        UvFailed: there is no uv.
    """
    return _run([_program(), "--version"]).strip()


def _uv(arguments: list[str], requirements: Sequence[str], python: str) -> str:
    """Run ``uv pip`` with requirements in a file of ours, in an empty folder, so that no configuration is found."""
    with tempfile.TemporaryDirectory(prefix="trace-mine-uv-") as folder:
        Path(folder, "requirements.in").write_text("\n".join(requirements) + "\n", encoding="utf-8")
        # ``--only-binary :all:``: an sdist's build would run its setup.py, outside of any sandbox
        asked = ["--no-config", "--only-binary", ":all:", "--python", python]
        command = [_program(), "pip", arguments[0], "--quiet", "--no-progress", "--color=never"]
        files = ["requirements.in"] if arguments[0] == "compile" else ["--requirements", "requirements.in"]
        return _run([*command, *asked, *arguments[1:], *files], folder)


def _run(command: Sequence[str], folder: str | None = None) -> str:
    # what an activated environment or a user's settings say of Python must not reach uv's interpreter
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    # a machine without a network should know it soon; three tries take ten seconds
    environment.setdefault("UV_HTTP_RETRIES", "1")
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=UV_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UvFailed(f"uv took more than {UV_SECONDS:g} s") from None
    except OSError as error:
        raise UvFailed(f"uv could not be started: {error}") from None
    if done.returncode:
        failure = IndexUnreachable if _unreachable.search(done.stderr) else UvFailed
        raise failure(_words(done.stderr))
    return done.stdout


def _words(text: str) -> str:
    """uv's message as one line, without the frame that it draws around it."""
    words = re.sub(r"[^\x20-\x7e]++", " ", one_line(text))
    return re.sub(r" {2,}", " ", words).strip()[:MAX_EVIDENCE] or "uv failed without a word"


def _program() -> str:
    """The path of uv's program.

    Raises:
        UvFailed: its package is not installed.
    """
    try:
        from uv import find_uv_bin
    except ImportError:
        raise UvFailed("expected the package uv, which trace-mine requires; pip install uv") from None
    try:
        return str(find_uv_bin())
    except FileNotFoundError as error:
        raise UvFailed(f"expected uv's program beside its package, got none: {error}; install uv again") from None
