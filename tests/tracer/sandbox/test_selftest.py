"""The self-test says what each level promises, and each layer that is removed flips its own answers."""

from __future__ import annotations

import pytest

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker, selftest
from trace_mine.tracer.sandbox.layers import LAYERS, LEVELS
from trace_mine.tracer.schema import Outcome

LIMITS = Limits(wall_seconds=20.0, cpu_seconds=10)

SECCOMP = {
    "no_socket",
    "no_fork",
    "no_datagram_pair",
    "no_limits_of_parent",
    "no_attributes",
    "no_locks",
    "system_calls_reached",
}
FLIPPED = {
    (3, "seccomp"): SECCOMP,
    (3, "landlock"): {"no_list_of_root"},
    (3, "rlimits"): {"memory_bounded", "limits"},
    (3, "namespaces"): {"host_name", "directory", "no_proc"},
    (2, "seccomp"): SECCOMP | {"no_links_of_host"},
    (3, "cgroup"): {"most_threads"},
    (2, "cgroup"): {"most_threads"},
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
        assert selftest.failures(worker.ask, worker.claim()) == []
        names = [part.rstrip("0123456789") for part in worker.layers.split("+")]
        # the one layer that a machine may lack: tests/tracer/sandbox/test_cgroups.py asks if it really does
        assert [*names, *({"cgroup"} - set(names))] == [layer.name for layer in LEVELS[level].layers]


def test_every_layer_is_left_out_once_at_each_of_its_levels():
    """The table above is written by hand; the records must say the same, so that a new layer is tested too."""
    alone = {
        (level, layer.name): {question.name for question in layer.questions if level in question.alone_at}
        for level in (3, 2)
        for layer in LEVELS[level].layers
    }
    assert alone == FLIPPED
    assert len({layer.name for layer in LAYERS}) == len(LAYERS)
    assert len({question.name for question in LEVELS[3].questions}) == len(LEVELS[3].questions)


@pytest.mark.parametrize(("level", "layer"), FLIPPED)
def test_a_removed_layer_flips_its_answers(level, layer):
    with start(level) as whole, start(level, layer) as ablated:
        if layer not in whole.layers:
            assert layer == "cgroup"
            pytest.skip("this user may not make control groups here")
        broken = selftest.broken_promises(selftest.self_test(ablated.ask), whole.claim())
        assert {line.partition(":")[0] for line in broken} >= FLIPPED[level, layer]
        assert layer not in ablated.layers


def test_hash_is_the_same_in_every_worker():
    with start(3) as one, start(3) as two:
        assert selftest.self_test(one.ask)["hash"] == selftest.self_test(two.ask)["hash"]


@pytest.mark.parametrize("stdout", [b"", b"{", b"[]", b"5", b"null", b"\xff", b"[" * 100_000])
def test_text_that_is_no_object_is_no_answers(stdout):
    assert selftest.self_test(lambda source: Outcome(status="ok", integrity="clean", stdout=stdout)) == {}


def test_explanations_name_the_setting(monkeypatch):
    monkeypatch.setattr(selftest, "_read", lambda path: "0" if path.endswith("max_user_namespaces") else "")
    text = selftest.explain("OSError: unshare(0x7e020000): Operation not permitted", 1)
    assert "max_user_namespaces is 0" in text
    monkeypatch.setattr(selftest, "_read", lambda path: "")
    assert "container" in selftest.explain("OSError: unshare(0x7e020000): Operation not permitted", 1)
