"""The self-test says what each level promises, and each layer that is removed flips its own answers."""

from __future__ import annotations

import pytest

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker, selftest

LIMITS = Limits(wall_seconds=20.0, cpu_seconds=10)

FLIPPED = {
    (3, "seccomp"): {"no_socket", "no_fork", "no_datagram_pair", "no_limits_of_parent", "system_calls_reached"},
    (3, "landlock"): {"no_list_of_root"},
    (3, "rlimits"): {"memory_bounded", "limits"},
    (3, "namespaces"): {"host_name", "directory", "no_proc"},
    (2, "seccomp"): {"no_socket", "no_fork", "no_datagram_pair", "no_limits_of_parent", "system_calls_reached"},
    (2, "landlock"): {"no_host_files", "no_list_of_root"},
    (2, "rlimits"): {"memory_bounded", "limits", "file_size_bounded"},
}


def start(level: int, *removed: str) -> Worker:
    options = {"minimum_level": level, "maximum_level": level}
    try:
        Worker(Jail(hostname="inside"), LIMITS, **options).close()
    except SandboxUnavailable as error:
        pytest.skip(f"level {level} does not work here: {error}")
    try:
        return Worker(Jail(hostname="inside"), LIMITS, **options, ablate=frozenset(removed))
    except SandboxUnavailable as error:
        if "can't read the interpreter" in str(error):
            pytest.skip(f"without Landlock root keeps no capability to read this interpreter: {error}")
        raise


@pytest.mark.parametrize("level", [3, 2])
def test_a_level_keeps_its_promises(level):
    with start(level) as worker:
        assert selftest.failures(worker) == []
        lines = selftest.describe(worker)
        assert lines[0] == f"level {level}: {worker.layers}"


@pytest.mark.parametrize(("level", "layer"), FLIPPED)
def test_a_removed_layer_flips_its_answers(level, layer):
    with start(level) as whole, start(level, layer) as ablated:
        expected = selftest.expected_answers(whole)
        answers = selftest.self_test(ablated)
        wrong = {name for name, value in expected.items() if not selftest._keeps(name, answers.get(name), value)}
        assert wrong >= FLIPPED[level, layer]
        assert layer not in ablated.layers or layer == "rlimits"


def test_hash_is_the_same_in_every_worker():
    with start(3) as one, start(3) as two:
        assert selftest.self_test(one)["hash"] == selftest.self_test(two)["hash"]


def test_explanations_name_the_setting(monkeypatch):
    monkeypatch.setattr(selftest, "_read", lambda path: "0" if path.endswith("max_user_namespaces") else "")
    text = selftest.explain("OSError: unshare(0x7e020000): Operation not permitted", 1)
    assert "max_user_namespaces is 0" in text
    monkeypatch.setattr(selftest, "_read", lambda path: "")
    assert "container" in selftest.explain("OSError: unshare(0x7e020000): Operation not permitted", 1)
