"""Planning of few repositories against many: ``python tests/benchmarks/bench_planning.py [--few 20] [--many 200]``.

Half of them are folders and half are sdists, of three doctests each. They are planned and run by the engine ``loky``
with one worker, whose tracer runs nothing, so that what is left is the planning. Told for each number:

* seconds from the command's start to that of the first unit, which should not grow with the number;
* seconds until all units are planned, which should grow as the number does;
* the largest resident set of the planning process, in MB, which should not grow with the number;
* seconds of a second command, which has nothing to do.

Exit code 1 where the first unit waits more than twice as long, or memory grows by more than a quarter. The machine's
load counts for both alike, since they are measured by turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

DRIVER = """
import json, os, sys, threading, time
started = time.monotonic()
from pathlib import Path
from trace_mine.corpus.engines import make_engine
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.produce import open_ledger, produce

out, *inputs = sys.argv[1:]
told = {}

class Watcher:
    def planned(self, num_units, num_snippets):
        told["planned_seconds"] = time.monotonic() - started
        told["units"] = num_units
    def finished(self, key, marker): ...
    def merged(self, counts): ...

def watch():
    while not any(Path(out, ".ledger", "attempts").glob("*")):
        time.sleep(0.002)
    told["first_unit_seconds"] = time.monotonic() - started

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

options = MineOptions(entries=("doctest",), environment="none", tracer_factory="corpus_fakes:start_fake")
with open_ledger(Path(out), overwrite=False) as ledger:
    threading.Thread(target=watch, daemon=True).start()
    origin = Mined(inputs, options, ledger.sources)
    config = {**options.as_config(), "inputs": origin.input_names}
    merged = produce(ledger, origin, config, engine=make_engine("loky", 1), watcher=Watcher())
told |= {"rows": merged.stats["rows"], "peak_mb": peak(), "seconds": time.monotonic() - started}
print(json.dumps(told))
"""

MODULE = '''def f{number}(x):
    """
    >>> f{number}({seed})
    {seed}
    """
    return x


'''


def write_repositories(folder: Path, num: int) -> list[Path]:
    """Write repositories: every second one as an sdist."""
    made = []
    for number in range(num):
        root = folder / f"project{number}-1.0"
        root.mkdir(parents=True)
        (root / "pyproject.toml").write_text(f'[project]\nname = "project{number}"\nversion = "1.0"\nlicense = "MIT"\n')
        for module in range(3):
            text = MODULE.format(number=module, seed=1000 * number + module)
            (root / f"m{module}.py").write_text(text + "# padding\n" * 2000)
        if number % 2:
            archive = folder / f"{root.name}.tar.gz"
            with tarfile.open(archive, "w:gz") as file:
                file.add(root, root.name)
            made.append(archive)
        else:
            made.append(root)
    return made


def measure(inputs: list[Path], out: Path) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/corpus'}"}
    command = [sys.executable, "-c", DRIVER, str(out), *map(str, inputs)]
    first = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(first.stdout)
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    told["again_seconds"] = json.loads(again.stdout)["seconds"]
    assert told["rows"] == 3 * len(inputs), told
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=20)
    parser.add_argument("--many", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    results: dict[int, list[dict[str, float]]] = {options.few: [], options.many: []}
    with tempfile.TemporaryDirectory(prefix="planning-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o755)
        repositories = write_repositories(folder / "repositories", options.many)
        for number in range(options.rounds):
            for num, told in results.items():
                told.append(measure(repositories[:num], folder / f"out-{num}-{number}"))
    best: dict[int, dict[str, float]] = {}
    for num, told in results.items():
        best[num] = {name: min(each[name] for each in told) for name in told[0]}
        facts = best[num]
        print(
            f"{num} repositories: first unit after {facts['first_unit_seconds']:.1f} s, all planned after "
            f"{facts['planned_seconds']:.1f} s, peak {facts['peak_mb']:.0f} MB, all {facts['seconds']:.1f} s, a second "
            f"command {facts['again_seconds']:.1f} s"
        )
    few, many = best[options.few], best[options.many]
    grows = many["first_unit_seconds"] > 2 * few["first_unit_seconds"] or many["peak_mb"] > 1.25 * few["peak_mb"]
    print("grows with the number" if grows else "does not grow with the number")
    return int(grows)


if __name__ == "__main__":
    sys.exit(main())
