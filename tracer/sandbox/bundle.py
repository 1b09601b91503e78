"""Collects what is sent into the jail: the source text of ``trace_mine.tracer.inside`` and of all modules of trace_mine
that it and the zygote import.

Source text instead of files, because the jail shows no folder of ours; bytecode in its place where the interpreter
inside is our own version. ``loader`` runs it.
"""

from __future__ import annotations

import marshal
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from trace_mine.tracer.sandbox.bundle_cache import read_cached, write_cached
from trace_mine.tracer.sandbox.loader import compile_module
from trace_mine.tracer.sandbox.private_files import cache_folder

ENTRY_MODULES = (
    "trace_mine.tracer.sandbox.loader",
    "trace_mine.tracer.sandbox.init",
    "trace_mine.tracer.sandbox.zygote",  # imported by none: a program of its own loads it
    "trace_mine.tracer.sandbox.clean_zygote",  # imported by none: init sends its text to another interpreter
)

START_SECONDS = 60
"""How long a jail may take to come up, in all; generous, because many may start at once on a busy machine. As many for
the program below to read the bundle."""

BOOTSTRAP = (
    f"""
START_SECONDS = {START_SECONDS}
"""
    + """
import os, signal, sys
fd, supervisor, addresses = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if addresses == "fixed":
    import ctypes
    personality = ctypes.CDLL(None).personality
    personality.argtypes = [ctypes.c_ulong]
    personality(personality(0xFFFFFFFF) | 0x40000)
def read(size):
    data = bytearray()
    while len(data) < size:
        chunk = os.read(fd, min(1 << 20, size - len(data)))
        if not chunk:
            os._exit(0)
        data += chunk
    return bytes(data)
import json, marshal
# a supervisor that died leaves the socket open where a fork of it holds a copy: nothing would end this process
signal.signal(signal.SIGALRM, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
signal.alarm(START_SECONDS)
bundle, config = marshal.loads(read(int.from_bytes(read(8), "big")))
sources, compiled = marshal.loads(bundle)
signal.alarm(0)
config = json.loads(config)
name = "trace_mine.tracer.sandbox.loader"
namespace = {"__name__": name}
code = compiled.get(name)
exec(marshal.loads(code) if code else compile(sources[name], f"<{name}>", "exec", dont_inherit=True), namespace)
bundle = namespace["Bundle"](sources, compiled)
bundle.load("trace_mine.tracer.sandbox.init").main(bundle, config, fd, supervisor)
"""
)
"""The program that init is started with (``python -c``): it switches address randomisation off where that is wanted,
then reads the bundle from the control socket and enters ``init.main``.

Randomisation is a property of an exec (ADDR_NO_RANDOMIZE, 0x40000, of personality(2)): init's own addresses stay
random, and its zygote, which a later exec starts, has fixed ones. Where personality is refused (Docker's filter),
addresses stay random: repeatability suffers, not safety. The supervisor may be gone before all is read; then the
program ends without a word."""


VERSION = 4
"""Of the marshalled form of texts: every interpreter that may run inside reads it. Code is sent to our own only."""

_IMPORT = re.compile(r"^[ ]*+from (trace_mine[\w.]*+) import (?:([^(\n]++)|\(([^)]*+)\))", re.MULTILINE)
"""An import of one of our files, which ruff formats: its module, and the names on its line or in its brackets."""
_ALIAS = re.compile(r" as \w++|#.*+")
_WORD = re.compile(r"\w++")


@cache
def bundle_sources() -> dict[str, str]:
    """Map module names to source text: every module of ``trace_mine.tracer.inside``, ENTRY_MODULES, and the modules of
    trace_mine that these import, at any distance.

    Imports are found by a pattern, in a tenth of the time that syntax trees take (a test compares the two). So
    ``TYPE_CHECKING`` imports travel too; they are never run inside.
    """
    root = files("trace_mine")
    # all of ``inside``, imported by the entry modules or not: ``Setting`` loads ``jobs.registry`` by name
    waiting = [*ENTRY_MODULES, *_modules_below(root.joinpath("tracer", "inside"), "trace_mine.tracer.inside")]
    sources: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        path = root.joinpath(*name.split(".")[1:-1], f"{name.rpartition('.')[2]}.py")
        if name in sources or name.endswith(".__init__") or not path.is_file():
            continue  # `from trace_mine.tracer.inside.observe.values import show` names a function, no file
        sources[name] = path.read_text(encoding="utf-8")
        for module, imported in imports(sources[name]):
            waiting += [module, *(f"{module}.{each}" for each in imported)]
    return sources


def imports(source: str) -> list[tuple[str, set[str]]]:
    """Return the modules of trace_mine that one of our files imports from, each with the names, in the file's order."""
    return [
        (module, set(_WORD.findall(_ALIAS.sub("", on_line or in_brackets))))
        for module, on_line, in_brackets in _IMPORT.findall(source)
    ]


@cache
def bundle_bytes(*, with_code: bool) -> bytes:
    """Return the bundle as init reads it: marshalled texts or, ``with_code``, the code that our interpreter makes of
    them, for jails whose interpreter is the same: 130 ms of each start less. Each module's code is marshalled by
    itself, so that a process unmarshals what it loads. Its texts are left empty: they were read, sent and read again
    by each process of a start, and by nobody looked at.

    The latter is kept in a private file (``bundle_cache``): it takes 200 ms to make, and 5 ms to read.
    """
    if not with_code:
        return marshal.dumps((bundle_sources(), {}), VERSION)
    root, folder = files("trace_mine"), cache_folder()
    cached = read_cached(root, folder)
    if cached is None:
        sources = bundle_sources()
        # in the newest version, which holds all that our compiler makes (slices, from 3.14 on)
        compiled = {name: marshal.dumps(compile_module(name, text), marshal.version) for name, text in sources.items()}
        cached = marshal.dumps((dict.fromkeys(sources, ""), compiled), VERSION)
        write_cached(root, folder, sources, cached)
    return cached


def _modules_below(folder: Traversable, package: str) -> Iterator[str]:
    """Give the dotted names of all modules of a package, at any depth, in an order that does not depend on the file
    system.
    """
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _modules_below(entry, f"{package}.{entry.name}")
        elif entry.name.endswith(".py"):
            yield f"{package}.{entry.name[:-3]}"
