"""Questions asked from inside decide whether a level may be claimed; and what to tell people about levels."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trace_mine.tracer.sandbox.determinism import environment
from trace_mine.tracer.sandbox.syscalls import machine_of_this_process, syscall_numbers

if TYPE_CHECKING:
    from trace_mine.tracer.sandbox.worker import Worker

ADVICE = (
    "Use Linux 5.13 or later with Landlock on, outside of containers whose filter refuses it; for level 3 allow user "
    "namespaces. To run without a sandbox, only code that you trust: allow_unsafe=True, minimum_level=0"
)

PROMISES = {
    3: "nothing of the host visible; fresh scratch and fixed process id for each run; no network, processes, signals",
    2: "no read or write outside the listed folders; no network, processes, signals; the host's names are visible",
    0: "resource limits only: NOT a sandbox",
}

DANGEROUS = (
    "bpf",
    "io_uring_setup",
    "keyctl",
    "memfd_create",
    "mount",
    "open_by_handle_at",
    "perf_event_open",
    "pidfd_open",
    "process_vm_readv",
    "ptrace",
    "setns",
    "socket",
    "unshare",
    "userfaultfd",
)

SANDBOXED: dict[str, Any] = {
    "no_socket": True,
    "no_tcp": True,
    "no_datagram_pair": True,
    "no_fork": True,
    "no_exec": True,
    "no_host_files": True,
    "no_write_outside": True,
    "scratch_empty": True,
    "scratch_writable": True,
    "file_size_bounded": True,
    "no_signal_to_parent": True,
    "no_limits_of_parent": True,
    "not_root": True,
    "no_setuid": True,
    "no_chroot": True,
    "memory_bounded": True,
    "stdin_empty": True,
    "system_calls_reached": [],
    "descriptors": 4,
    "time_zone": "UTC",
}
"""What levels 2 and 3 promise alike: descriptors 0, 1, 2 and the record pipe."""


def self_test(worker: Worker) -> dict[str, Any]:
    """The answers from inside, by name; empty where the questions could not be asked to their end."""
    table = syscall_numbers(machine_of_this_process())
    numbers = {name: table[name] for name in DANGEROUS}
    questions = files("trace_mine.tracer.sandbox").joinpath("questions.py").read_text(encoding="utf-8")
    head = f"NUMBERS = {numbers!r}\n"
    outcome = worker.run({"kind": "plain", "source": head + questions})
    try:
        answers: dict[str, Any] = json.loads(outcome.stdout)
    except ValueError:
        return {}
    # Exec is asked after the last answer: only a run that goes on after it writes the line's end.
    return {**answers, "no_exec": outcome.stdout.endswith(b"\n") and outcome.status == "ok"}


def expected_answers(worker: Worker) -> dict[str, Any]:
    """What the worker's level promises."""
    if worker.level < 2:
        return {"stdin_empty": True, "memory_bounded": True, "scratch_empty": True}
    limits, jail = worker.limits, worker.jail
    expected = SANDBOXED | {"environment": sorted(environment(0)), "no_list_of_root": "landlock" in worker.layers}
    bounds = {"FSIZE": limits.file_bytes, "NOFILE": limits.open_files, "CORE": 0, "CPU": limits.cpu_seconds + 1}
    expected["limits"] = bounds
    if worker.level == 3:
        expected |= {"no_proc": True, "host_name": jail.hostname, "directory": jail.scratch}
    return expected


def failures(worker: Worker) -> list[str]:
    """What is not as the level promises, one line each."""
    answers = self_test(worker)
    if not answers:
        return ["the questions did not run to their end"]
    expected = expected_answers(worker)
    wrong = {name: answers.get(name) for name, value in expected.items() if not _keeps(name, answers.get(name), value)}
    return [f"{name}: expected {expected[name]!r}, got {value!r}" for name, value in wrong.items()]


def _keeps(name: str, answer: Any, expected: Any) -> bool:
    if name == "limits":  # an inherited lower limit keeps the promise too
        return isinstance(answer, dict) and all(0 <= answer[key] <= bound for key, bound in expected.items())
    return bool(answer == expected)


def describe(worker: Worker) -> tuple[str, ...]:
    """Lines for people: the level, its layers, what it promises."""
    lines = [f"level {worker.level}: {worker.layers}", PROMISES[worker.level]]
    if worker.limits.forks:
        lines.append(f"on request, runs that follow choices may make up to {worker.limits.forks} processes")
    if worker.level < 2:
        lines.append("WARNING: this code can read and change your files, and use the network")
    return tuple(lines)


def explain(fault: str, number: int | None) -> str:
    """An init's fault with the settings that are known to cause it."""
    hints = [
        f"{path} is {value}: {meaning}"
        for path, bad, meaning in (
            ("/proc/sys/kernel/unprivileged_userns_clone", "0", "set it to 1 to allow user namespaces"),
            ("/proc/sys/user/max_user_namespaces", "0", "raise it to allow user namespaces"),
            (
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1",
                "AppArmor refuses user namespaces to unprivileged users",
            ),
        )
        if (value := _read(path)) == bad
    ]
    if number is not None and "unshare" in fault and not hints:
        hints.append("a container's filter may refuse namespaces (Docker: run with --security-opt seccomp=unconfined)")
    return "; ".join([fault, *hints])


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
