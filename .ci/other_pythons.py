"""Runs the suite under each other interpreter that is found: all of it that needs none of the extras.

Tests that need an extra say so themselves (``pytest.importorskip("torch", reason="needs the extra [train]")``), and are
skipped. Each interpreter has an environment of its own, made from constraints.txt; one that is not there is named.

    .venv/bin/python .ci/other_pythons.py tests/tracer -x    # what stands after it is pytest's
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.append(str(PROJECT / "tests" / "reference"))

import interpreters  # noqa: E402  # it lies beside the tests, which share it


def run_suite(python: str, minor: str, arguments: list[str]) -> int:
    """Make the interpreter's environment and run pytest in it; returns pytest's exit status."""
    folder = PROJECT / ".ci" / f"venv-{minor}"
    environment = folder / "bin" / "python"
    subprocess.run([python, "-m", "venv", folder], check=True)
    install = [environment, "-m", "pip", "install", "--quiet", "-c", "constraints.txt", "-e", ".[dev]"]
    subprocess.run(install, cwd=PROJECT, check=True)
    command = [environment, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider"]
    own_alone = {**os.environ, interpreters.OWN_ALONE: "1"}
    return subprocess.run([*command, *arguments], cwd=PROJECT, env=own_alone).returncode


def main(arguments: list[str]) -> int:
    """Prints which interpreters there are; returns 1 where a suite fails."""
    failed = []
    for minor in interpreters.MINORS:
        python = interpreters.found(minor)
        if python == sys.executable:
            continue
        if python is None:
            print(f"{interpreters.not_found(minor)}: its suite is not run", flush=True)
            continue
        print(f"Python {minor} ({python}), without the extras:", flush=True)
        if run_suite(python, minor, arguments):
            failed.append(minor)
    if failed:
        print(f"expected the suite to pass under every interpreter, got failures under {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
