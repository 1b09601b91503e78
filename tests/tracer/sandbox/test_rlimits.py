"""Resource limits, set in a process of their own: lowered, never raised, each to the number asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BEGIN = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import rlimits
from trace_mine.tracer.sandbox.layer import Confinement
limits = Limits(memory_bytes=1 << 28, processes=5, file_bytes=1 << 20, open_files=64, cpu_seconds=3)
here = Confinement(layers=frozenset({{"rlimits"}}), machine="x86_64", landlock_abi=0, readable=(), sys_path=(),
                   devices=(), scratch="/", tasks=100, limits=limits, statm=-1)
def both(name): return resource.getrlimit(getattr(resource, "RLIMIT_" + name))
"""


def run(source: str) -> str:
    # stderr tells what went wrong, where the process did not come to its end
    done = subprocess.run([sys.executable, "-c", BEGIN + source], capture_output=True, text=True, timeout=60)
    return done.stdout or done.stderr


def test_the_zygotes_limits():
    told = run("""
statm = open("/proc/self/statm")
here.statm = statm.fileno()
mapped = rlimits.address_space(here.statm)
rlimits.at_zygote(here)
print(both("NPROC"), both("FSIZE"), both("CORE"), both("AS")[0] - mapped == (1 << 28) + (1 << 30))
""")
    assert told == f"(105, 105) ({1 << 20}, {1 << 20}) (0, 0) True\n"


def test_a_jobs_limits():
    told = run("rlimits.at_job(here, limits, 1 << 30)\nprint(*map(both, ('AS', 'CPU', 'FSIZE', 'NOFILE', 'NPROC')))")
    size = (1 << 30) + (1 << 28)
    assert told == f"({size}, {size}) (6, 7) ({1 << 20}, {1 << 20}) (64, 64) (105, 105)\n"


def test_a_lower_limit_that_is_inherited_stays():
    told = run("""
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 40))
resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
rlimits.at_job(here, limits, 1 << 30)
print(both("NOFILE"), both("CPU"))
""")
    assert told == "(40, 40) (2, 2)\n"
