"""Installs trace-mine with the oldest and with the newest dependencies that pyproject.toml admits, and uses it.

One wheel is built, and installed in an environment for each of the two and each interpreter that is found. uv resolves,
from the package index alone, so that a wheel that lies on this machine's disk proves nothing. The extras are left out:
on the index torch is a build for CUDA.

    .venv/bin/pip install uv && .venv/bin/python .ci/dependencies.py
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.append(str(PROJECT / "tests" / "reference"))

import interpreters  # noqa: E402  # it lies beside the tests, which share it

RESOLUTIONS = ("lowest-direct", "highest")
SCRIPT = "def double(n):\n    twice = n * 2\n    return twice\nprint(double(4))\n"
LOADS = """\
from datasets import load_dataset
import trace_mine
assert len(trace_mine.load("traces")["train"]) == len(load_dataset("traces", split="train")) > 2
"""


def done(*command: object, cwd: Path) -> str:
    """The standard output of a command; ends the program where it fails, with what it said."""
    ended = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if ended.returncode:
        sys.exit(f"expected {command} to pass, got {ended.returncode}:\n{ended.stdout}\n{ended.stderr}")
    return ended.stdout


def build(folder: Path) -> Path:
    """The wheel, built from a copy: setuptools leaves a ``build`` folder, from which a later build would take files."""
    left_out = shutil.ignore_patterns(".*", "build", "dist", "__pycache__", "*.egg-info", "*.so", "tests", "traces")
    shutil.copytree(PROJECT, folder / "tree", symlinks=True, ignore=left_out)
    done(sys.executable, "-m", "uv", "-q", "build", "--wheel", "--out-dir", folder, folder / "tree", cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def use(binaries: Path, folder: Path) -> None:
    """Run each command that needs no extra: a script, a small mining, its rows verified and loaded, a task."""
    (folder / "script.py").write_text(SCRIPT)
    shown = done(binaries / "trace-run", "script.py", cwd=folder)
    if ">>> twice = n * 2\n" not in shown or ">>> print(twice)\n8\n" not in shown:
        sys.exit(f"expected the script's call to be opened and 8 to be printed, got:\n{shown}")
    done(binaries / "trace-mine", "module:textwrap", "module:fractions", "--jobs", 2, cwd=folder)
    done(binaries / "trace-mine", "verify", "traces", "--sample", 3, cwd=folder)
    done(binaries / "python", "-c", LOADS, cwd=folder)
    done(binaries / "trace-synth", "permutations", "--rows", 8, "--held-out", 2, "--jobs", 1, cwd=folder)
    for command in ("trace-run", "trace-mine", "trace-synth"):
        done(binaries / command, "--help", cwd=folder)


def main() -> int:
    """Prints a line for each environment; returns 1 where there was none."""
    num_passed = 0
    with tempfile.TemporaryDirectory(prefix="dependencies-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the sandbox's user reads the environments too
        wheel = build(folder)
        for minor in interpreters.MINORS:
            python = interpreters.found(minor)
            if python is None:
                print(interpreters.not_found(minor), flush=True)
                continue
            for resolution in RESOLUTIONS:
                place = folder / f"{minor}-{resolution}"
                place.mkdir()
                uv = (sys.executable, "-m", "uv", "-q")
                done(*uv, "venv", "--python", python, "env", cwd=place)
                env = ("--python", place / "env" / "bin" / "python", "--resolution", resolution)
                done(*uv, "pip", "install", *env, "--no-config", wheel, cwd=place)
                use(place / "env" / "bin", place)
                print(f"Python {minor}, {resolution} dependencies: mined, verified, loaded", flush=True)
                num_passed += 1
    return int(not num_passed)


if __name__ == "__main__":
    sys.exit(main())
