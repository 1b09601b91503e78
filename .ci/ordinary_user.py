"""Runs the tests of the sandbox and one of mining as new users: ids that no account has, umask 077, closed homes.

Root alone can. What a level needs must not depend on who asks for it: level 3 once worked for root and for nobody, and
for no one else. A user gets a checkout of its own and, where it can't read this interpreter or its packages (below
/root, say), another interpreter of the same version, and links to the packages. Skips are failures where the
machine can do what is tested (TRACE_MINE_NO_SKIPS).

    sudo .venv/bin/python .ci/ordinary_user.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
USERS = (61234, 61236)
"""Two, each with a group of the next number: the tests of one count processes, which are counted by user."""
TESTS = (
    (
        "tests/tracer/sandbox",
        "tests/corpus/test_mining.py::test_every_kind_of_snippet_becomes_a_row_that_replays",
    ),
    ("tests/tracer/attacks",),
)
"""The tests that each of them runs, both at the same time."""


def link(source: str, target: str) -> None:
    """Give a file a second name, or copy it to another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def can_run(command: list[str]) -> bool:
    """True where a user can start the command."""
    ids = {"user": USERS[0], "group": USERS[0] + 1}
    try:
        done = subprocess.run(command, **ids, extra_groups=[], cwd="/", env={}, capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


def readable_python(home: Path) -> str:
    """This interpreter or, where the user can't start it, one of its minor version: the system's, else by links."""
    executable = os.path.realpath(sys.executable)
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    # the system's before links: a build with a shared library finds that where it was installed, and nowhere else
    for python in (executable, shutil.which(name, path="/usr/local/bin:/usr/bin")):
        if python is not None and can_run([python, "-c", ""]):
            return python
    library = Path(sysconfig.get_path("stdlib"))
    left_out = shutil.ignore_patterns("site-packages", "__pycache__", "test")
    shutil.copytree(library, home / "python" / "lib" / library.name, copy_function=link, symlinks=True, ignore=left_out)
    (home / "python" / "bin").mkdir()
    link(executable, str(home / "python" / "bin" / name))
    return str(home / "python" / "bin" / name)


def readable_packages(home: Path, python: str) -> str:
    """The folder of installed packages, or links to it in ``home``."""
    packages = sysconfig.get_path("purelib")
    if can_run([python, "-S", "-c", f"import os; os.listdir({packages!r})"]):
        return packages
    shutil.copytree(packages, home / "packages", copy_function=link, symlinks=True)
    return str(home / "packages")


def start(user: int, folder: Path, python: str, packages: str, arguments: tuple[str, ...]) -> subprocess.Popen[str]:
    """Start pytest as a user, with a checkout and a home of its own below ``folder``."""
    home, temporary = folder / f"home-{user}", folder / f"tmp-{user}"
    list_files = ["git", "-c", f"safe.directory={PROJECT}", "ls-files", "-z"]
    tracked = subprocess.run(list_files, cwd=PROJECT, check=True, capture_output=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        (home / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, home / "checkout" / name, follow_symlinks=False)
    temporary.mkdir()
    for place in (temporary, home, *home.rglob("*")):
        os.chown(place, user, user + 1, follow_symlinks=False)
        if not place.is_symlink():
            place.chmod(0o700 if place.is_dir() else 0o600)
    environment = {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join((str(home / "checkout"), packages)),
        "TRACE_MINE_NO_SKIPS": "1",
    }
    return subprocess.Popen(
        [python, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        user=user,
        group=user + 1,
        extra_groups=[],
        umask=0o077,
        cwd=home / "checkout",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def main() -> int:
    """Prints what pytest says; returns 1 where a test fails."""
    if os.geteuid() != 0:
        print("these tests need no other user: the suite ran as an ordinary one")
        return 0
    with tempfile.TemporaryDirectory(prefix="ordinary-user-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        python = readable_python(folder)
        packages = readable_packages(folder, python)
        running = [
            start(user, folder, python, packages, (*tests, *sys.argv[1:]))
            for user, tests in zip(USERS, TESTS, strict=True)
        ]
        with ThreadPoolExecutor() as pool:
            for told in pool.map(lambda process: process.communicate()[0], running):
                print(told)
        return int(any(process.returncode for process in running))


if __name__ == "__main__":
    sys.exit(main())
