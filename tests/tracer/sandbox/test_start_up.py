"""The configuration that a jail is started with: what the level requires, what the user of the jail can read."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, Mount, start_up
from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.jail import PythonInstallation
from trace_mine.tracer.sandbox.layers import LEVELS

INTERPRETER = PythonInstallation(executable="/usr/bin/python3", version="3.11.0", paths=("/usr/lib",))


class Started:
    """Stands in for the jail: keeps what it would have been started with."""

    def __init__(self, executable: str, config: JailConfig, *, random_addresses: bool, group: object) -> None:
        if group is not None:
            group.remove()
        self.executable, self.config, self.random_addresses = executable, config, random_addresses


@pytest.fixture
def started(monkeypatch, tmp_path):
    monkeypatch.setattr(start_up, "JailProcess", Started)
    monkeypatch.setattr(start_up, "tempfile", SimpleNamespace(mkdtemp=lambda prefix: str(tmp_path / prefix)))

    def start(level: int, jail: Jail, without: frozenset[str] = frozenset()) -> Started:
        return start_up.start_jail(LEVELS[level], jail, Limits(), INTERPRETER, without)

    return start


@pytest.mark.parametrize(
    ("level", "required"),
    [(3, {"namespaces", "seccomp", "rlimits"}), (2, {"seccomp", "landlock", "rlimits"}), (0, {"rlimits"})],
)
def test_a_level_requires_its_layers(started, level, required):
    config = started(level, Jail()).config
    assert set(config.required) == required <= set(config.layers)
    assert started(level, Jail(), frozenset({"rlimits"})).config.required == tuple(
        name for name in config.required if name != "rlimits"
    )


@pytest.mark.parametrize("aslr", [False, True])
def test_addresses_are_random_only_on_demand(started, aslr):
    assert started(3, Jail(aslr=aslr)).random_addresses is aslr


def test_what_all_may_read(started):
    """A folder is readable only where those above it can be searched too."""
    with tempfile.TemporaryDirectory(prefix="public-", dir="/tmp") as public:
        closed, folder = Path(public, "closed"), Path(public, "closed", "open")
        folder.mkdir(parents=True)
        os.chmod(public, 0o755)
        jail = Jail(mounts=(Mount(source=folder, target="/repo"),))
        for modes, readable in (((0o755, 0o755), True), ((0o700, 0o755), False), ((0o711, 0o711), False)):
            closed.chmod(modes[0])
            folder.chmod(modes[1])
            assert started(2, jail).config.readable_by_all is readable, modes
        closed.chmod(0o711)
        folder.chmod(0o755)
        assert started(2, jail).config.readable_by_all, "to search a folder is enough where its name is known"


def test_configurations_that_cannot_be(started):
    config = started(2, Jail()).config
    for wrong in ({"scratch": "here"}, {"devices": ("null",)}, {"binds": (("/usr/lib", "lib"),)}):
        with pytest.raises(ValueError, match="absolute"):
            dataclasses.replace(config, **wrong)
    with pytest.raises(ValueError, match="tasks >= 0"):
        dataclasses.replace(config, tasks=-1)
