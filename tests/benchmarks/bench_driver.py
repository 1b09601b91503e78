"""Commands a second of the statement driver, reveals included: ``python tests/benchmarks/bench_driver.py [ROUNDS]``.

Each run is a process of its own, outside the sandbox: ``jobs.run`` of a ``drive`` job, in CPU seconds, with what the
job sends encoded as it would be. The programs take turns; a figure is the median over the rounds. A further run under
cProfile, which slows everything two to three times, says which files the time is spent in. Exits with 1 where all
programs together stay below ``TARGET``.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TARGET = 25_000
ROUNDS = 5

PROGRAMS = {
    "numbers": """
def f(n):
    a, b = 1, 2
    xs = []
    for i in range(n):
        a, b = b, (a + b) % 1000
        if a > b:
            xs.append(a)
        else:
            xs = [b]
    return xs
f(1500)
""",
    "sorting 30 items": """
xs = [(i * 7919) % 1009 for i in range(30)]
for i in range(1, len(xs)):
    x = xs[i]
    j = i - 1
    while j >= 0 and xs[j] > x:
        xs[j + 1] = xs[j]
        j -= 1
    xs[j + 1] = x
""",
    "objects and calls": """
class Account:
    def __init__(self, owner):
        self.owner = owner
        self.balance = 0

    def deposit(self, amount):
        self.balance += amount
        return self.balance

def pay(accounts, amount):
    for account in accounts:
        account.deposit(amount)

accounts = [Account(name) for name in "abc"]
for day in range(150):
    pay(accounts, day)
    total = sum(account.balance for account in accounts)
""",
    "words": """
text = "the quick brown fox jumps over the lazy dog " * 12
counts = {}
for word in text.split():
    counts[word] = counts.get(word, 0) + 1
    longest = max(counts, key=len)
    words = sorted(counts, key=lambda w: (-counts[w], w))[:3]
""",
}


class _Guard:
    """Stands for the runner's guard, which does nothing between commands."""

    def arm(self) -> None:
        pass

    def disarm(self) -> None:
        pass


def drive(source: str) -> tuple[int, float]:
    """Commands written and CPU seconds."""
    from trace_mine.tracer.inside.jobs import registry as jobs
    from trace_mine.tracer.inside.protocol.jobs import JOBS, DriveJob, Piece, Program
    from trace_mine.tracer.limits import Limits

    request = DriveJob(program=Program(pieces=(Piece(source=source, line=1),)), follow=2)
    job = json.loads(json.dumps(JOBS.to_json(request)))  # as it comes out of a pipe: arrays are lists
    limits = Limits(output_bytes=1 << 20, commands=10**6).as_dict()
    sent: list[Any] = []

    def send(record: Any) -> None:
        json.dumps(record)
        sent.append(record)

    stdout = sys.stdout
    started = time.process_time()
    end = jobs.run(job, limits, send, _Guard())
    spent = time.process_time() - started
    sys.stdout, sys.displayhook = stdout, sys.__displayhook__
    assert end["end"] == "ok" and "drive_summary" in sent[-1], (end, sent[-1])
    return len(sent[-1]["drive_summary"]["commands"]["source"]), spent


def profile(source: str) -> list[tuple[str, float]]:
    """Files by the share of time spent in them, in falling order."""
    watched = cProfile.Profile()
    watched.enable()
    drive(source)
    watched.disable()
    shares: dict[str, float] = {}
    total = 0.0
    for (filename, _, function), (_, _, own, _, _) in pstats.Stats(watched).stats.items():  # type: ignore[attr-defined]
        if filename == "~" and function.startswith(
            ("<built-in method builtins.exec", "<built-in method builtins.eval")
        ):
            name = "exec and eval"
        elif filename == "~":
            name = "built-ins"
        else:
            name = "/".join(Path(filename).parts[-2:]) if not filename.startswith("<") else "the program"
        shares[name] = shares.get(name, 0.0) + own
        total += own
    return sorted(((name, own / total) for name, own in shares.items()), key=lambda pair: -pair[1])


def in_process(*arguments: str) -> Any:
    """What this file prints, as JSON, when it is run with the arguments."""
    ran = subprocess.run([sys.executable, __file__, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def main(rounds: int = ROUNDS) -> int:
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    counts: dict[str, int] = {}
    for _ in range(rounds):
        for name in PROGRAMS:
            counts[name], spent = in_process("--one", name)
            seconds[name].append(spent)
    print(f"Statement driver, Python {sys.version.split()[0]}, median of {rounds} runs")
    for name, found in seconds.items():
        shares = ", ".join(f"{file} {share:.0%}" for file, share in in_process("--profile", name)[:7])
        print(f"{name:18}{counts[name]:7} commands {counts[name] / statistics.median(found):9,.0f}/s   {shares}")
    rate = sum(counts.values()) / sum(map(statistics.median, seconds.values()))
    print(f"{'all':18}{sum(counts.values()):7} commands {rate:9,.0f}/s   (target {TARGET:,})")
    return 0 if rate >= TARGET else 1


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(drive(PROGRAMS[sys.argv[2]])))
    elif sys.argv[1:2] == ["--profile"]:
        print(json.dumps(profile(PROGRAMS[sys.argv[2]])))
    else:
        raise SystemExit(main(*map(int, sys.argv[1:])))
