"""Runs the tests of the sandbox and one of mining as a new user: ids that no account has, umask 077, a closed home.

Root alone can. What a level needs must not depend on who asks for it: level 3 once worked for root and for nobody, and
for no one else. The user gets a checkout of its own and, where it can't read this interpreter or its packages (below
/root, say), links to them. Skips are failures where the machine can do what is tested (TRACE_MINE_NO_SKIPS).

    sudo .venv/bin/python .ci/ordinary_user.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
USER, GROUP = 61234, 61235
TESTS = (
    "tests/tracer/sandbox",
    "tests/tracer/attacks",
    "tests/corpus/test_mining.py::test_every_kind_of_snippet_becomes_a_row_that_replays",
)


def link(source: str, target: str) -> None:
    """Give a file a second name, or copy it to another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def can_run(command: list[str]) -> bool:
    """True where the user can start the command."""
    try:
        done = subprocess.run(command, user=USER, group=GROUP, extra_groups=[], cwd="/", env={}, capture_output=True)
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


def main() -> int:
    """Returns pytest's exit code."""
    if os.geteuid() != 0:
        print("these tests need no other user: the suite ran as an ordinary one")
        return 0
    with tempfile.TemporaryDirectory(prefix="ordinary-user-") as folder:
        home = Path(folder)
        list_files = ["git", "-c", f"safe.directory={PROJECT}", "ls-files", "-z"]
        tracked = subprocess.run(list_files, cwd=PROJECT, check=True, capture_output=True).stdout
        for name in filter(None, tracked.decode().split("\0")):
            (home / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, home / "checkout" / name, follow_symlinks=False)
        (home / "tmp").mkdir()
        for place in (home, *home.rglob("*")):
            os.chown(place, USER, GROUP, follow_symlinks=False)
            if not place.is_symlink():
                place.chmod(0o700 if place.is_dir() else 0o600)
        # after the modes are set: these are links to files of root's, which stay as they are
        python = readable_python(home)
        paths = (str(home / "checkout"), readable_packages(home, python))
        environment = {
            "HOME": folder,
            "TMPDIR": str(home / "tmp"),
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join(paths),
            "TRACE_MINE_NO_SKIPS": "1",
        }
        command = [python, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile"]
        return subprocess.run(
            [*command, *TESTS, *sys.argv[1:]],
            user=USER,
            group=GROUP,
            extra_groups=[],
            umask=0o077,
            cwd=home / "checkout",
            env=environment,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
