"""The self-test: asks questions from inside, whose answers decide if a level may be claimed; and words a refusal.

The expected answers stand with the layers (``layers.Level.questions``); here the questions are asked and the answers
compared. The file knows nothing of workers: it is given a function that runs a source inside.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

from trace_mine.tracer.sandbox.layer import LevelClaim
from trace_mine.tracer.sandbox.layers import LEVELS
from trace_mine.tracer.sandbox.syscalls import machine_of_this_process, syscall_numbers
from trace_mine.tracer.schema import Outcome

Ask = Callable[[str], Outcome]
"""A function that runs a source as a plain job inside."""

ADVICE = (
    "Use Linux 5.13 or later with Landlock on, outside of containers whose filter refuses it; for level 3 allow user "
    "namespaces. To run without a sandbox, only code that you trust: allow_unsafe=True, minimum_level=0"
)

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
"""Calls that reach kernel code with a history of holes, or another process: each is made with zeros for arguments."""


def self_test(ask: Ask) -> dict[str, object]:
    """Ask the questions; return the answers by name, or no answers where the questions did not run to their end.

    Never raises for what the inside says: text that is no JSON object is no answers.
    """
    table = syscall_numbers(machine_of_this_process())
    numbers = {name: table[name] for name in DANGEROUS}
    questions = files("trace_mine.tracer.sandbox").joinpath("questions.py").read_text(encoding="utf-8")
    outcome = ask(f"NUMBERS = {numbers!r}\n{questions}")
    try:
        answers = json.loads(outcome.stdout)
    except (ValueError, RecursionError):
        return {}  # a question raised an error that it does not expect: then the level is not claimed
    if not isinstance(answers, dict):
        return {}
    # Exec is asked after the last answer: only a run that goes on after it writes the line's end.
    return {**answers, "no_exec": outcome.stdout.endswith(b"\n") and outcome.status == "ok"}


def failures(ask: Ask, claim: LevelClaim) -> list[str]:
    """Run the self-test; return the promises of the claimed level that are not kept, one line each."""
    answers = self_test(ask)
    if not answers:
        return ["the questions did not run to their end"]
    return broken_promises(answers, claim)


def broken_promises(answers: Mapping[str, object], claim: LevelClaim) -> list[str]:
    """Return the questions of the claimed level that ``answers`` does not answer as promised, one line each.

    An answer that is missing breaks its promise.
    """
    return [
        f"{question.name}: expected {question.wanted(claim)!r}, got {answers.get(question.name)!r}"
        for question in LEVELS[claim.level].questions
        if not question.kept(answers.get(question.name), claim)
    ]


def explain(fault: str, number: int | None) -> str:
    """Return init's error message, with the settings of this host that are known to cause such errors.

    Args:
        fault: the message.
        number: its errno, None where it has none.
    """
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
    """Return the value of a setting, empty where this kernel does not have it."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
