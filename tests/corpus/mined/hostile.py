"""Repositories that once ended a run over all repositories, each made by a function, with what it is now counted as."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GOOD = 'def f():\n    """\n    >>> 1 + 1\n    2\n    """\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A hostile repository.

    ``make`` writes it, given a folder with a module that has one doctest, or writes an archive at a path. ``past`` is
    what happened; ``file`` the reason under which its file is counted now; ``lost`` is True where the repository is.
    """

    make: Callable[[Path], None]
    past: str
    file: str = ""
    lost: bool = False


def text(path: str, content: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8", errors="surrogatepass")

    return make


def link(path: str, target: str) -> Callable[[Path], None]:
    return lambda root: (root / path).symlink_to(target)


def fifo(path: str) -> Callable[[Path], None]:
    return lambda root: os.mkfifo(root / path)


def deep_folders(root: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for _ in range(3000):  # a path longer than any system call takes
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)


def cyclic_folders(root: Path) -> None:
    (root / "loop").symlink_to(".")
    (root / "LICENSES").symlink_to("..")


def git_outside(root: Path) -> None:
    outside = root.parent / "outside.git"
    outside.mkdir(exist_ok=True)
    (outside / "HEAD").write_text("a" * 40)
    (root / ".git").write_text("gitdir: ../outside.git\n")


def many_licences(root: Path) -> None:
    (root / "LICENSES").mkdir()
    for number in range(2000):
        (root / "LICENSES" / f"{number}.txt").write_text("Permission is hereby granted, free of charge, " * 100)


FOLDERS: dict[str, Hostile] = {
    "setup_attributes": Hostile(make=text("setup.py", "x = a" + ".b" * 1500 + "\n"), past="RecursionError"),
    "setup_calls": Hostile(make=text("setup.py", "a" + ".b()" * 900 + "\n"), past="RecursionError"),
    "setup_hexadecimal": Hostile(make=text("setup.py", f"(0x{'f' * 20_000}).setup()\n"), past="ValueError"),
    "script_hexadecimal": Hostile(
        make=text("m.py", f"if __name__ == '__main__':\n    (0x{'f' * 20_000}).setup()\n"), past="ValueError"
    ),
    "script_attributes": Hostile(
        make=text("m.py", f"if __name__ == '__main__':\n    a{'.b()' * 900}\n"), past="RecursionError"
    ),
    "elif": Hostile(
        make=text("m.py", '"""\n>>> 1\n1\n"""\nif a:\n    b\n' + "elif a:\n    b\n" * 600), past="RecursionError"
    ),
    "import_spaces": Hostile(make=text("m.py", f"x = '''\nimport {' ' * 4000}-\n'''\n"), past="over 60 s"),
    "from_dots": Hostile(make=text("m.py", f"x = '''\nfrom {'a' * 40_000}-\n'''\n"), past="quadratic"),
    "toml_pipe": Hostile(make=fifo("setup.cfg"), past="hung for ever", file="special_file"),
    "cfg_device": Hostile(make=link("setup.cfg", "/dev/zero"), past="2.6 GB in 41 s", file="link_outside"),
    "licence_device": Hostile(make=link("LICENSE", "/dev/zero"), past="gigabytes", file="link_outside"),
    "licence_pipe": Hostile(make=fifo("COPYING"), past="passed over", file="special_file"),
    "dotted_toml": Hostile(
        make=text("pyproject.toml", f"{'a.' * 20_000}a = 1\n"), past="11 s for 40 kB", file="too_deep"
    ),
    "dotted_table": Hostile(make=text("pyproject.toml", f"[{'a.' * 20_000}a]\n"), past="11 s", file="too_deep"),
    "large_toml": Hostile(make=text("pyproject.toml", "a = 1\n" * 100_000), past="read whole", file="too_large"),
    "toml_number": Hostile(make=text("pyproject.toml", f"a = {'9' * 5000}\n"), past="ValueError"),
    "toml_brackets": Hostile(make=text("pyproject.toml", "a = " + "[" * 20_000), past="RecursionError, caught"),
    "cfg_spaces": Hostile(make=text("setup.cfg", f"[metadata]\nname{' ' * 100_000}x\n"), past="quadratic"),
    "large_licence": Hostile(make=text("LICENSE", "the licence " * 150_000), past="over 60 s", file="too_large"),
    "many_licences": Hostile(make=many_licences, past="one after the other"),
    "punycode": Hostile(
        make=text("m.py", f"# coding: punycode\n{'a' * 60_000}-{'a' * 60_000}\n"), past="quadratic", file="bad_encoding"
    ),
    "idna": Hostile(make=text("m.py", f"# coding: idna\n{'a.' * 60_000}\n"), past="quadratic", file="bad_encoding"),
    "doctest_spaces": Hostile(make=text("m.py", f'"""\n>>> 1  # doctest:{" " * 20_000}"\n1\n"""\n'), past="over 60 s"),
    "indented_doctest": Hostile(make=text("m.py", f'"""\n>>> 1{" " * 20_000}x\n1\n"""\n'), past="cubic"),
    "directives": Hostile(make=text("m.py", f'"""\n>>> 1  {"# doctest: " * 20_000}"\n1\n"""\n'), past="quadratic"),
    "annotations": Hostile(
        make=text("m.py", "def g(x: " + "|".join("A" * 900) + "):\n    return x\n"), past="RecursionError (grids)"
    ),
    "git_outside": Hostile(make=git_outside, past="read a file beside the repository"),
    "git_pipe": Hostile(
        make=lambda root: ((root / ".git").mkdir(), os.mkfifo(root / ".git" / "HEAD"))[0],
        past="hung",
        file="special_file",
    ),
    "deep_folders": Hostile(make=deep_folders, past="counted", file="unreadable"),
    "cyclic_folders": Hostile(make=cyclic_folders, past="not entered"),
    "metadata_mail": Hostile(
        make=text("PKG-INFO", "Name: m\nContent-Type: message/rfc822\n\n" + "Content-Type: message/rfc822\n\n" * 3000),
        past="RecursionError",
    ),
    "long_names": Hostile(
        make=text("m.py", f'class {"a" * 5000}:\n    """\n    >>> 1\n    1\n    """\n'),
        past="a row's name",
        file="too_large",
    ),
}
"""Beside each file stands ``good.py``, whose row is there unless the repository is ``lost``."""


def _tar(path: Path, fill: Callable[[tarfile.TarFile], None], mode: str = "w:gz") -> None:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        info = tarfile.TarInfo("p-1.0/good.py")
        info.size = len(GOOD)
        tar.addfile(info, io.BytesIO(GOOD.encode()))
        fill(tar)


def slashes(path: Path) -> None:
    """63 kB that unpack to a name of 64 MB of slashes."""

    def fill(tar: tarfile.TarFile) -> None:
        header = tarfile.TarInfo("././@LongLink")
        header.type, header.size = tarfile.GNUTYPE_LONGNAME, 64 << 20
        tar.fileobj.write(header.tobuf(tarfile.GNU_FORMAT))  # type: ignore[union-attr]
        for _ in range(64):
            tar.fileobj.write(b"/" * (1 << 20))  # type: ignore[union-attr]
        tar.addfile(tarfile.TarInfo("x"))

    _tar(path, fill)


def pax_header(path: Path) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        header = tarfile.TarInfo("pax")
        header.type, header.size = tarfile.XHDTYPE, 128 << 20
        tar.fileobj.write(header.tobuf(tarfile.USTAR_FORMAT))  # type: ignore[union-attr]
        for _ in range(128):
            tar.fileobj.write(b"9" * (1 << 20))  # type: ignore[union-attr]

    _tar(path, fill)


def many(kind: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        def fill(tar: tarfile.TarFile) -> None:
            info = tarfile.TarInfo("p-1.0/x")
            info.type, info.linkname = kind, "good.py" if kind == tarfile.SYMTYPE else ""
            tar.fileobj.write(info.tobuf(tarfile.USTAR_FORMAT) * 100_001)  # type: ignore[union-attr]

        _tar(path, fill)

    return make


def short_slashes(path: Path) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("p-1.0/" + "/" * 900_000 + "x")
        tar.addfile(info)

    _tar(path, fill)


def wrong_utf8(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("p-1.0/good.py", GOOD)
        file.writestr("p-1.0/ä.py", "")
    data = bytearray(path.read_bytes())
    name = "ä".encode()
    start = 0
    while (start := data.find(name, start)) >= 0:
        data[start] = 0xFF
        start += 1
    path.write_bytes(data)


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("p-1.0/zeros.py", bytes(80 << 20))


def file_and_folder(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("p-1.0/a", "")
        file.writestr("p-1.0/a/b.py", "")


ARCHIVES: dict[str, Hostile] = {
    "slashes-1.0.tar.gz": Hostile(make=slashes, past="645 MiB", lost=True),
    "short_slashes-1.0.tar.gz": Hostile(make=short_slashes, past="taken apart", lost=True),
    "pax-1.0.tar.gz": Hostile(make=pax_header, past="hundreds of MiB", lost=True),
    "links-1.0.tar.gz": Hostile(make=many(tarfile.SYMTYPE), past="unbounded", lost=True),
    "folders-1.0.tar.gz": Hostile(make=many(tarfile.DIRTYPE), past="unbounded", lost=True),
    "utf8-1.0.zip": Hostile(make=wrong_utf8, past="uncaught UnicodeDecodeError", lost=True),
    "bomb-1.0.zip": Hostile(make=bomb, past="refused", lost=True),
    "both-1.0.zip": Hostile(make=file_and_folder, past="refused", lost=True),
    "no_archive-1.0.whl": Hostile(make=lambda path: path.write_bytes(b"?" * 100) and None, past="ignored", lost=True),
}
