"""Finds the shared libraries that an interpreter and its extension modules need, by reading their files alone.

Nothing is loaded and no program is run for it: packages and repositories hold extension modules, too, and what they
hold is hostile. So reading is bounded, and a library that one of theirs names must lie where the system's loader looks.

Not covered: libraries that are named at run time (``dlopen`` with a path or a name of its own), but for ``USUAL``.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

from trace_mine.tracer.sandbox.private_files import kept_fact

CACHE = "/etc/ld.so.cache"
"""Where the GNU loader keeps which library lies where; other loaders have no such file."""
SYSTEM_FOLDERS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")
USUAL = (
    "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1", "libresolv.so.2",
    "libnss_files.so.2", "libgcc_s.so.1", "libstdc++.so.6", "libgomp.so.1",
)  # fmt: skip
"""Libraries that programs name at run time, or that wheels may count on (PEP 600); shown where the system has them."""
MAX_CACHE_BYTES, MAX_TABLE_BYTES = 8 << 20, 64 << 10
MAX_NAMES, MAX_NAME_BYTES, MAX_HEADERS = 256, 255, 64
MAX_ENTRIES, MAX_FILES = 50_000, 4_000
"""Entries of package folders that are looked at, and extension modules that are read."""

_HEADER = struct.Struct("<4sBB10xHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3  # PT_*
_NEEDED, _STRINGS, _RPATH, _RUNPATH = 1, 5, 15, 29  # DT_*


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfFile:
    """What a program or library says that it needs.

    ``machine`` is ELF's number of the processor, ``needed`` are the names of libraries, ``search`` the folders to look
    in first, and ``loader`` the path of the program that loads it, empty for a library.
    """

    machine: int
    needed: tuple[str, ...]
    search: tuple[str, ...]
    loader: str


def read_elf(path: str) -> ElfFile | None:
    """Read what ``path`` needs; None where it is no 64-bit little-endian ELF file, or is damaged.

    Reads a bounded number of bytes, never waits (for a FIFO, say) and never raises for what it reads.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _read(fd) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except (OSError, struct.error, UnicodeDecodeError, OverflowError):
        return None
    finally:
        os.close(fd)


def _read(fd: int) -> ElfFile | None:
    """Read an open file. Raises struct.error for one that ends too early, OverflowError for an impossible offset."""
    header = _HEADER.unpack(os.pread(fd, _HEADER.size, 0))
    magic, bits, order, _, machine, _, _, table, _, _, _, entry, count = header[:13]
    if magic != b"\x7fELF" or bits != 2 or order != 1 or entry != _SEGMENT.size or count > MAX_HEADERS:
        return None
    segments = [_SEGMENT.unpack_from(os.pread(fd, entry, table + at * entry)) for at in range(count)]
    loads = [(address, offset, size) for kind, _, offset, address, _, size, _, _ in segments if kind == _LOAD]
    tags: list[tuple[int, int]] = []
    loader = ""
    for kind, _, offset, _, _, size, _, _ in segments:
        if kind == _DYNAMIC:
            data = os.pread(fd, min(size, MAX_TABLE_BYTES), offset)
            tags = list(struct.iter_unpack("<QQ", data[: len(data) // 16 * 16]))
        elif kind == _INTERPRETER:
            loader = _text(fd, offset)
    strings = next((_offset_of(value, loads) for tag, value in tags if tag == _STRINGS), None)
    if strings is None:
        return ElfFile(machine=machine, needed=(), search=(), loader=loader)
    needed = [_text(fd, strings + value) for tag, value in tags if tag == _NEEDED][:MAX_NAMES]
    search = [_text(fd, strings + value) for tag, value in tags if tag in (_RPATH, _RUNPATH)][:2]
    return ElfFile(
        machine=machine,
        needed=tuple(name for name in needed if name and "/" not in name),
        search=tuple(folder for folders in search for folder in folders.split(":")[:MAX_HEADERS]),
        loader=loader,
    )


def _offset_of(address: int, loads: Sequence[tuple[int, int, int]]) -> int | None:
    """The place in the file of what is loaded at ``address``."""
    return next((address - start + offset for start, offset, size in loads if start <= address < start + size), None)


def _text(fd: int, offset: int) -> str:
    return os.pread(fd, MAX_NAME_BYTES + 1, offset).partition(b"\0")[0].decode("utf-8")


def loader_cache(path: str = CACHE) -> dict[str, list[str]]:
    """Read the GNU loader's cache: the files of each library name, in the loader's order; empty where there is none."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_CACHE_BYTES)
    except OSError:
        return {}
    start = data.find(b"glibc-ld.so.cache1.1")  # alone since glibc 2.32, before that behind an older table
    if start < 0 or len(data) - start < 48:
        return {}
    places_by_name: dict[str, list[str]] = {}
    (count,) = struct.unpack_from("<I", data, start + 20)
    for index in range(min(count, (len(data) - start - 48) // 24)):
        _, key, value = struct.unpack_from("<iII", data, start + 48 + index * 24)
        name, place = (
            data[start + at : data.find(b"\0", start + at)].decode("utf-8", "replace") for at in (key, value)
        )
        places_by_name.setdefault(name, []).append(place)
    return places_by_name


class LibraryFinder:
    """Finds libraries as the system's loader does, for one machine.

    ``own_folders`` are folders of the interpreter's installation that may hold libraries as well.
    """

    def __init__(self, machine: int, own_folders: Sequence[str]) -> None:
        self._machine = machine
        self._own_folders = tuple(own_folders)
        self._cache = loader_cache()
        self._files: dict[str, ElfFile | None] = {}

    def closure(self, files: Iterable[str], *, trusted: bool) -> dict[str, str]:
        """Find all that the files need, and what that needs in turn; each library's name with its file.

        Args:
            files: programs, libraries and extension modules.
            trusted: folders that a file itself names are looked in, wherever they are.
        """
        places_by_name: dict[str, str] = {}
        waiting = list(files)
        while waiting:
            path = waiting.pop()
            elf = self._elf(path)
            if elf is None:
                continue
            folders = [folder.replace("$ORIGIN", os.path.dirname(path)) for folder in elf.search] if trusted else []
            for name in elf.needed:
                place = None if name in places_by_name else self.find(name, folders)
                if place is not None:
                    places_by_name[name] = place
                    waiting.append(place)
        return places_by_name

    def find(self, name: str, folders: Sequence[str] = ()) -> str | None:
        """Return the file of the library ``name``, links resolved; None where there is none for this machine."""
        places = [f"{folder}/{name}" for folder in (*folders, *self._own_folders)]
        places += self._cache.get(name, [])
        places += [f"{folder}/{name}" for folder in SYSTEM_FOLDERS]
        for place in places:
            if place.startswith("/") and self._elf(os.path.realpath(place)) is not None:
                return os.path.realpath(place)
        return None

    def _elf(self, path: str) -> ElfFile | None:
        if path not in self._files:
            elf = read_elf(path)
            self._files[path] = elf if elf is not None and elf.machine == self._machine else None
        return self._files[path]


@cache
def needed_libraries(
    executable: str, modules: tuple[str, ...], packages: tuple[str, ...], own_folders: tuple[str, ...]
) -> dict[str, str]:
    """Find the libraries of an interpreter and of packages; each name with its file on the host. Cached.

    Args:
        executable: the interpreter.
        modules: folders of its extension modules.
        packages: files and folders that may hold extension modules; nothing in them is trusted.
        own_folders: folders of its installation that may hold libraries.

    Returns:
        The loader among them; empty where the interpreter is no ELF file for a loader. Without packages it is kept
        between commands (``kept_fact``): 14 ms of a start.
    """
    if packages:
        return _needed_libraries(executable, modules, packages, own_folders)
    changes_with = (executable, CACHE, *modules, *own_folders, *SYSTEM_FOLDERS)
    make = partial(_needed_libraries, executable, modules, packages, own_folders)
    return kept_fact("libraries", (executable, *modules, *own_folders), changes_with, make)


def _needed_libraries(
    executable: str, modules: tuple[str, ...], packages: tuple[str, ...], own_folders: tuple[str, ...]
) -> dict[str, str]:
    elf = read_elf(executable)
    if elf is None or not elf.loader:
        return {}
    finder = LibraryFinder(elf.machine, own_folders)
    places_by_name = finder.closure(extension_modules(packages), trusted=False)
    for name in USUAL:
        place = finder.find(name)
        if place is not None:
            places_by_name |= {name: place, **finder.closure([place], trusted=True)}
    # last: where a name was found twice, the interpreter's own library counts
    places_by_name |= finder.closure([executable, *extension_modules(modules)], trusted=True)
    places_by_name[os.path.basename(elf.loader)] = os.path.realpath(elf.loader)
    return places_by_name


def extension_modules(places: Iterable[str]) -> Iterator[str]:
    """Give the files below ``places`` that may be extension modules, MAX_FILES at most."""
    entries = files = 0
    waiting = list(places)
    while waiting and entries < MAX_ENTRIES and files < MAX_FILES:
        place = waiting.pop()
        if ".so" in os.path.basename(place) and os.path.isfile(place):
            files += 1
            yield place
            continue
        try:
            listing = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError:
            continue  # a file of another kind, or a folder that can't be listed
        entries += len(listing)
        for entry in listing:
            if entry.is_dir(follow_symlinks=False) or ".so" in entry.name:
                waiting.append(entry.path)
