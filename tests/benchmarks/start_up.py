"""The cost of a command before its first row: ``python tests/benchmarks/start_up.py [--times 3]``.

A repository of one module with one doctest is mined by ``trace-mine --jobs 1``: without an environment, with one that
is made (a wheel of this machine, no network), and with the same one when it is kept. Told for each, of the run with the
least CPU:

* CPU seconds of all processes, and of each part: the command, its workers, the jails of both, uv, and what ended
  between two looks;
* the largest resident set of the command, of a worker and of any process of a jail, in MB, and the largest sum of all
  at one look;
* seconds by the clock, which a busy machine makes longer.

CPU in all is exact: the command runs below a process that adopts its orphans and waits for all. The parts are looked at
in ``/proc`` every hundredth of a second.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "corpus" / "mined" / "environments"))

from wheelhouse import make_wheel  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36
LOOK_SECONDS = 0.01
MODULE = '"""\n>>> double(2)\n4\n>>> xs = [double(n) for n in range(3)]\n>>> xs\n[0, 2, 4]\n"""\nimport helper\n\n\n'
MODULE += "def double(n):\n    result = helper.times(n, 2)\n    return result\n"
PROJECT = '[project]\nname = "mine"\nversion = "1.0"\nlicense = "MIT"\ndependencies = ["helper"]\n'
TICK = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@dataclass
class Measured:
    """The processes of one command.

    Attributes:
        cpu: by process, its part and the CPU seconds at the last look.
        peaks: by part, the largest resident set of one process, in MB.
        largest_sum: of all processes at one look, in MB; pages that they share count in each.
        total: CPU seconds of all, also of those that no look saw.
        seconds: by the clock.
    """

    cpu: dict[int, tuple[str, float]] = field(default_factory=dict)
    peaks: Counter[str] = field(default_factory=Counter)
    largest_sum: float = 0.0
    total: float = 0.0
    seconds: float = 0.0

    def look(self, command: int) -> None:
        """Look at all processes below the command."""
        found = processes()
        parts: dict[int, str] = {command: "the command"}
        for pid in sorted(found):  # children have larger numbers than those that made them, but for a wrap
            parent, name, _, _ = found[pid]
            if pid not in parts and parent in parts:
                # one that has ended and is not waited for has no command line any more
                parts[pid] = part_of(name, parts[parent]) if name or pid not in self.cpu else self.cpu[pid][0]
        resident = 0.0
        for pid, part in parts.items():
            if pid in found:
                _, _, cpu, size = found[pid]
                self.cpu[pid] = (part, cpu)
                self.peaks[part] = max(self.peaks[part], size)
                resident += size
        self.largest_sum = max(self.largest_sum, resident)


def processes() -> dict[int, tuple[int, str, float, float]]:
    """All processes: parent, command line, CPU seconds of their own, resident set in MB."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        try:
            fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            name = Path("/proc", entry, "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:  # it has ended
            continue
        cpu = (int(fields[11]) + int(fields[12])) / TICK
        found[int(entry)] = (int(fields[1]), name, cpu, int(fields[21]) * PAGE_MB)
    return found


def part_of(name: str, parent: str) -> str:
    if "resource_tracker" in name:
        return "trackers of joblib"
    if "popen_loky" in name:
        return "workers"
    if Path(name.split(" ")[0]).name == "uv":
        return "uv"
    return parent if parent.startswith(("jails", "uv")) else f"jails of {parent}"


def measured(arguments: list[str], environment: dict[str, str]) -> Measured:
    """Run a command, and look at it until it ends. The caller waits for no other process."""
    made = Measured()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    command = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while command.poll() is None:
        made.look(command.pid)
        time.sleep(LOOK_SECONDS)
    made.seconds = time.monotonic() - started
    if command.returncode:
        sys.exit(f"the command failed:\n{command.stderr.read().decode() if command.stderr else ''}")
    while True:  # orphans
        try:
            os.wait()
        except ChildProcessError:
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    made.total = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return made


def print_measured(title: str, made: Measured) -> None:
    parts: Counter[str] = Counter()
    for part, cpu in made.cpu.values():
        parts[part] += cpu
    print(f"\n{title}: {made.total:.2f} s of CPU, {made.seconds:.1f} s by the clock, {made.largest_sum:.0f} MB at once")
    for part, cpu in parts.most_common():
        print(f"  {part:24} {cpu:6.2f} s {made.peaks[part]:6.0f} MB at most")
    print(f"  {'ended between two looks':24} {max(0.0, made.total - sum(parts.values())):6.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=3)
    times = parser.parse_args().times
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)
        folder = Path(scratch)
        repository = folder / "mine"
        repository.mkdir()
        (repository / "mine.py").write_text(MODULE)
        (repository / "pyproject.toml").write_text(PROJECT)
        make_wheel(folder / "wheels", "helper", files={"helper.py": "def times(a, b):\n    return a * b\n"})
        alone = folder / "alone" / "mine"
        alone.mkdir(parents=True)
        (alone / "mine.py").write_text(MODULE.replace("import helper\n", "").replace("helper.times(n, 2)", "n * 2"))
        (alone / "pyproject.toml").write_text(PROJECT.replace('dependencies = ["helper"]\n', ""))
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TRACE_MINE_CACHE": str(folder / "cache")}
        command = [sys.executable, "-m", "trace_mine.corpus"]
        options = ["--sources", "doctest", "--jobs", "1", "--overwrite", "--out", str(folder / "out")]
        wheels = ["--offline", "--find-links", str(folder / "wheels")]
        runs: dict[str, list[Measured]] = {"without an environment": [], "with one, made": [], "with one, kept": []}
        for _ in range(times):
            shutil.rmtree(folder / "cache", ignore_errors=True)
            bare = [*command, str(alone), *options, "--environment", "none"]
            runs["without an environment"].append(measured(bare, environment))
            full = [*command, str(repository), *options, *wheels]
            runs["with one, made"].append(measured(full, environment))
            runs["with one, kept"].append(measured(full, environment))
        helped = measured([*command, "--help"], environment)
        print(f"--help: {helped.total:.2f} s of CPU, {helped.peaks['the command']:.0f} MB")
        for title, several in runs.items():
            print_measured(title, min(several, key=lambda each: each.total))


if __name__ == "__main__":
    main()
