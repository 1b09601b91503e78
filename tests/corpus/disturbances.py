"""Runs ``trace-mine``, disturbs one of its processes at a random moment, runs it again, and says what that cost.

A *trial* is one command with one disturbance (a signal to a process of a role), then the same command again, as a user
would give it. A sound trial ends in the files of an undisturbed run, byte for byte, and leaves nothing behind: no
process, no mount of this mount namespace, no control group, no file in the folder for temporary files, no semaphore.

As a script it does any number of trials: ``python tests/corpus/disturbances.py --trials 100 --seed 0``; a trial's
number and the seed say all that is drawn, so ``--only N`` does one again.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PR_SET_CHILD_SUBREAPER = 36
END_SECONDS = 180.0
"""How long a command may take: a disturbed one may wait for several deadlines of the sandbox."""
LEFT_SECONDS = 30.0
"""How long what a command leaves may take to end by itself; a worker looks for its parent every half second."""

JAIL_ROLES = ("outer", "init", "zygote", "runner")
ROLES = ("main", "worker", *JAIL_ROLES, *(f"reader {role}" for role in JAIL_ROLES))
"""The processes of ``trace-mine`` that are disturbed: the command; a process of the engine; of each jail the process
that the supervisor started, process 1, the confined process that is forked, and a fork of it that runs a snippet, or
reads a repository. Not among them: loky's own tracker of semaphores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What is done in a trial: ``how`` to a process of ``role``, ``after`` so many seconds, or once there is one.

    ``how``: ``kill``; ``pause`` (SIGSTOP, and SIGCONT after ``pause`` seconds); ``freeze`` (SIGSTOP, then the command
    itself is killed); ``term`` (SIGTERM); ``int`` (SIGINT to the command's process group, as a terminal's Ctrl-C).
    """

    how: str
    role: str
    after: float
    pause: float = 0.0

    def __str__(self) -> str:
        return f"{self.how} {self.role} after {self.after:.2f} s" + (f" for {self.pause:.2f} s" if self.pause else "")


@dataclass(slots=True, kw_only=True)
class Trial:
    """What became of a trial. ``faults`` is empty for a sound one, ``notes`` say what else was seen, ``pids`` are of
    the command's processes.
    """

    disturbance: Disturbance
    happened: bool = False
    lost: int = 0
    doubled: int = 0
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pids: set[int] = field(default_factory=set)


def drawn(number: int, seed: int, seconds: float, roles: tuple[str, ...] = ROLES) -> Disturbance:
    """Draw the disturbance of a trial; roles take turns, so that a hundred trials have each of them often."""
    draw = random.Random(f"{seed}/{number}")
    role = roles[number % len(roles)]
    hows = ["kill"] * 7 + ["pause"] * 2 + ["freeze"]
    how = draw.choice(hows + ["term", "int"] * 2 if role == "main" else hows)
    pause = draw.uniform(0.1, 2.0) if how == "pause" else 0.0
    if role.startswith("reader "):
        seconds *= 0.4  # repositories are read first
    return Disturbance(how=how, role=role, after=draw.uniform(0.0, seconds), pause=pause)


# processes


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    parent: int
    state: str
    started: int
    command: str


def processes() -> dict[int, Process]:
    """All processes that are there, by their ids."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            command = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        found[int(name)] = Process(int(name), int(fields[1]), fields[0], int(fields[19]), command)
    return found


def below(pid: int, table: dict[int, Process]) -> list[Process]:
    """The descendants of a process, each parent before its children, in the order of their start."""
    order = sorted(table.values(), key=lambda each: (each.started, each.pid))
    found = [table[pid]] if pid in table else []
    for parent in found:
        found += [each for each in order if each.parent == parent.pid]
    return found[1:]


def by_role(main: int) -> dict[str, list[int]]:
    """The living processes of a command, by role."""
    table = processes()
    if main not in table:
        return {}
    roles: dict[str, list[int]] = {"main": [main]}
    of: dict[int, str] = {main: "main"}
    for each in below(main, table):
        parent = of.get(each.parent, "")
        prefix = "reader " if parent.startswith("reader ") or (parent == "main" and "-s -S -B" in each.command) else ""
        kind = parent.removeprefix("reader ")
        if "resource_tracker" in each.command:
            role = "tracker"
        elif "popen_loky" in each.command:
            role = "worker"
        elif kind in ("main", "worker"):
            role = "outer"
        elif kind == "outer":
            role = "init"
        elif kind == "init":
            role = (
                "runner"
                if any(of.get(pid) == f"{prefix}zygote" and table[pid].parent == each.parent for pid in of)
                else "zygote"
            )
        else:
            role = "other"
        of[each.pid] = prefix + role
        if each.state not in "ZX":
            roles.setdefault(prefix + role, []).append(each.pid)
    return roles


def libc(*arguments: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(*arguments, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


@contextmanager
def adopting() -> Iterator[None]:
    """A context in which orphans of our descendants become our children, where they are found."""
    libc(PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        libc(PR_SET_CHILD_SUBREAPER, 0)


def reap(own: set[int]) -> None:
    """Wait for ended orphans that became our children; ``own`` are children whose ``Popen`` waits for them."""
    for each in processes().values():
        if each.parent == os.getpid() and each.state == "Z" and each.pid not in own:
            os.waitpid(each.pid, os.WNOHANG)


# what a command may leave


def mounts() -> Counter[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return Counter(line.split(" ", 2)[2] for line in lines)  # without ids, which the kernel gives again


def control_groups(made_by: set[int]) -> set[str]:
    """Those that one of these processes made and left: their names have its id."""
    found = set()
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        for name in names:
            made = re.match(r"trace-mine-\d+-(\d+)-", name)
            if made and int(made[1]) in made_by and not Path("/proc", made[1]).exists():
                found.add(f"{folder}/{name}")
    return found


def semaphores() -> set[str]:
    return {path.name for path in Path("/dev/shm").iterdir()}


class Scene:
    """A folder for the trials of one set of inputs, with the dataset of an undisturbed run in it.

    ``seconds`` is what that run took.
    """

    def __init__(self, folder: Path, inputs: list[Path], *options: str, checkout: Path = ROOT) -> None:
        self.folder, self.inputs, self.options, self.checkout = folder, inputs, options, checkout
        self.mounts = mounts()
        started = time.monotonic()
        process = self.start(folder / "whole", folder / "whole.tmp")
        _, told = process.communicate(timeout=END_SECONDS)
        self.seconds = time.monotonic() - started
        assert process.returncode == 0, told
        self.rows = rows_of(folder / "whole")
        assert self.rows, "expected rows of an undisturbed run, got none"

    def start(self, out: Path, temporary: Path) -> subprocess.Popen[str]:
        """Start the command in a session of its own."""
        temporary.mkdir(exist_ok=True)
        temporary.chmod(0o1777)
        command = [sys.executable, "-P", "-m", "trace_mine.corpus", *map(str, self.inputs), "--out", str(out)]
        return subprocess.Popen(
            [*command, "--jobs", "2", *self.options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.checkout), "TMPDIR": str(temporary)},
            # tests that a shell runs in the background have Ctrl-C ignored, and their children too
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def trial(self, number: int, disturbance: Disturbance) -> Trial:
        """Do one trial in folders of its own, which are removed where it is sound."""
        trial = Trial(disturbance=disturbance)
        out, temporary = self.folder / f"out-{number}", self.folder / f"tmp-{number}"
        with adopting():
            before = {each.pid for each in below(os.getpid(), processes())}
            process = self.start(out, temporary)
            trial.happened = disturb(process, disturbance, trial)
            self.ended(process, trial, "the disturbed command")
            # Control groups of a killed supervisor are removed by the next one.
            killed = disturbance.role in ("main", "worker") or disturbance.how == "freeze"
            self.nothing_left(trial, process.pid, before, temporary, groups_too=not killed)
            again = self.start(out, temporary)
            if self.ended(again, trial, "the second command") != 0:
                trial.faults.append(f"the second command ended with {again.returncode}")
            self.nothing_left(trial, again.pid, before, temporary, groups_too=True)
        self.compare(trial, out)
        if not trial.faults:
            shutil.rmtree(out)
            shutil.rmtree(temporary)
        return trial

    def ended(self, process: subprocess.Popen[str], trial: Trial, name: str) -> int | None:
        """Wait for the end of a command, and return its exit code."""
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            trial.pids |= {process.pid, *(each.pid for each in below(process.pid, processes()))}
            try:
                _, told = process.communicate(timeout=0.5)
                break
            except subprocess.TimeoutExpired:
                continue
        else:
            trial.faults.append(f"{name} hangs")
            for pid in [each.pid for each in below(process.pid, processes())] + [process.pid]:
                send(pid, signal.SIGKILL)
            process.communicate()
            return None
        trial.notes.append(f"{name}: {process.returncode}")
        if "Traceback" in told:
            trial.faults.append(f"{name} showed a traceback: {told[-1500:]}")
        return process.returncode

    def nothing_left(self, trial: Trial, main: int, before: set[int], temporary: Path, *, groups_too: bool) -> None:
        """Note what a command left, once it had time to end; without ``groups_too`` control groups may be left."""
        deadline = time.monotonic() + LEFT_SECONDS
        while True:
            reap(before)
            alive = [each for each in below(os.getpid(), processes()) if each.pid not in before]
            left = [f"process {each.pid} {each.state} {each.command[:80]}" for each in alive]
            left += [f"mount {line}" for line in mounts() - self.mounts]
            left += [f"control group {path}" for path in sorted(control_groups(trial.pids) if groups_too else ())]
            left += [f"temporary {path.name}" for path in temporary.iterdir()]
            left += [f"semaphore {name}" for name in sorted(semaphores()) if f"loky-{main}-" in name]
            if not left:
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        trial.faults += [f"left: {each}" for each in left]
        for each in alive:
            send(each.pid, signal.SIGKILL)
        for path in list(temporary.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def compare(self, trial: Trial, out: Path) -> None:
        """Compare the dataset with the undisturbed one."""
        rows = rows_of(out)
        trial.lost = (self.rows - rows).total()
        trial.doubled = sum(number - 1 for number in rows.values() if number > 1)
        if trial.lost or trial.doubled:
            trial.faults.append(f"{trial.lost} rows lost, {trial.doubled} doubled")
        whole, now = files_of(self.folder / "whole"), files_of(out)
        differ = sorted(name for name in {*whole, *now} if whole.get(name) != now.get(name))
        if differ:
            trial.faults.append(f"other bytes: {', '.join(differ)}")


def disturb(process: subprocess.Popen[str], disturbance: Disturbance, trial: Trial) -> bool:
    """Wait for the moment and for a process of the role, and disturb it; False: the command ended before."""
    moment = time.monotonic() + disturbance.after
    draw = random.Random(str(disturbance))
    while True:
        time.sleep(max(0.002, moment - time.monotonic()))
        if process.poll() is not None:
            return False
        targets = by_role(process.pid).get(disturbance.role, [])
        if disturbance.how == "freeze" and disturbance.role.endswith(("worker", "outer")):
            # One that is stopped before it has tied its life to its parent's (its first 0.3 s) stays stopped.
            targets = [pid for pid in targets if below(pid, processes())]
        if targets:
            break
    target = draw.choice(targets)
    trial.pids |= {process.pid, *(each.pid for each in below(process.pid, processes()))}
    trial.notes.append(f"process {target} of {len(targets)}")
    if disturbance.how == "kill":
        return send(target, signal.SIGKILL)
    if disturbance.how == "term":
        return send(target, signal.SIGTERM)
    if disturbance.how == "int":
        os.killpg(process.pid, signal.SIGINT)
        return True
    stopped = send(target, signal.SIGSTOP)
    if disturbance.how == "freeze":
        time.sleep(0.2)
        process.kill()
        return stopped
    time.sleep(disturbance.pause)
    return send(target, signal.SIGCONT) and stopped


def send(pid: int, number: int) -> bool:
    """Send a signal; False: the process has ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def rows_of(out: Path) -> Counter[str]:
    """trace_id -> how many rows of the dataset have it."""
    import pyarrow.parquet as pq

    ids: Counter[str] = Counter()
    for path in (out / "data").glob("*.parquet") if out.is_dir() else ():
        ids.update(pq.read_table(path, columns=["trace_id"])["trace_id"].to_pylist())
    return ids


def files_of(out: Path) -> dict[str, bytes]:
    """The files of a dataset, without its ledger's."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".ledger" not in path.parts
    }


FUNCTION = '''def f{n}(x):
    """
    >>> total = {number}
    >>> for k in range({n} + 2):
    ...     total += k * {module}
    >>> f{n}(total)
    {result}
    """
    return x + {n}


'''


def write_repositories(folder: Path, num_repositories: int = 3, num_modules: int = 3) -> list[Path]:
    """Write small repositories with doctests, each of whose texts is another."""
    roots = []
    for number in range(num_repositories):
        root = folder / f"repository{number}"
        root.mkdir(parents=True)
        for module in range(num_modules):
            results = {n: number + sum(range(n + 2)) * module + n for n in range(4)}
            tests = [FUNCTION.format(n=n, number=number, module=module, result=results[n]) for n in results]
            (root / f"m{number}{module}.py").write_text("".join(tests))
        project = f'[project]\nname = "{root.name}"\nversion = "1.0"\nlicense = "MIT"\n'
        (root / "pyproject.toml").write_text(project)
        roots.append(root)
    return roots


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    parser.add_argument("--repositories", type=int, default=3, help="of twelve doctests each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="do this trial alone")
    parser.add_argument("--roles", default=",".join(ROLES))
    parser.add_argument("--checkout", type=Path, default=ROOT, help="whose trace-mine is run")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="disturbances-"))
    folder.chmod(0o755)
    scene = Scene(folder, write_repositories(folder / "repositories", options.repositories), checkout=options.checkout)
    print(f"undisturbed: {scene.rows.total()} rows in {scene.seconds:.1f} s; {folder}", flush=True)
    bad: list[Trial] = []
    happened = 0
    roles = tuple(options.roles.split(","))
    last = options.first + options.trials
    for number in range(options.first, last) if options.only is None else [options.only]:
        trial = scene.trial(number, drawn(number, options.seed, 0.8 * scene.seconds, roles))
        happened += trial.happened
        bad += [trial] if trial.faults else []
        word = "SOUND" if not trial.faults else "FAULT"
        print(f"{number} {word} {trial.disturbance}{'' if trial.happened else ' (too late)'} {trial.notes}", flush=True)
        for fault in trial.faults:
            print(f"    {fault}", flush=True)
    lost, doubled = sum(each.lost for each in bad), sum(each.doubled for each in bad)
    print(f"{happened} disturbances, {len(bad)} with faults; rows lost {lost}, doubled {doubled}")
    if not bad:
        shutil.rmtree(folder)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
