"""Root is given up, at level 2 but for one capability, and that one never without Landlock."""

from __future__ import annotations

import os

import pytest

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import isolation, kernel
from trace_mine.tracer.sandbox.config import JailConfig

READ_SEARCH = 1 << kernel.CAP_DAC_READ_SEARCH


def config(layers: tuple[str, ...], *, readable_by_all: bool) -> JailConfig:
    return JailConfig(
        layers=layers,
        required=(),
        binds=(),
        devices=(),
        sys_path=(),
        scratch="/scratch",
        hostname="h",
        process_id=101,
        hash_seed=0,
        seed=0,
        pinned_clock=True,
        choices=False,
        uid=12345,
        tasks=8,
        readable_by_all=readable_by_all,
        zygote="recorder",
        executable="/usr/bin/python3",
        limits=Limits(),
    )


@pytest.mark.parametrize(
    ("layers", "permitted", "readable_by_all", "kept"),
    [
        (("landlock",), READ_SEARCH, True, None),
        (("landlock",), READ_SEARCH, False, kernel.CAP_DAC_READ_SEARCH),
        ((), READ_SEARCH, True, None),
        ((), READ_SEARCH, False, "refused"),
        (("landlock",), 0, False, "refused"),
    ],
)
def test_what_root_keeps(monkeypatch, layers, permitted, readable_by_all, kept):
    became = []
    monkeypatch.setattr(os, "chown", lambda *arguments: None)
    monkeypatch.setattr(kernel, "permitted_capabilities", lambda: permitted)
    monkeypatch.setattr(kernel, "become", lambda uid, keep=None: became.append((uid, keep)))
    monkeypatch.setattr(kernel, "adopt_orphans", lambda: None)
    jail = config(layers, readable_by_all=readable_by_all)
    if kept == "refused":
        with pytest.raises(PermissionError, match="can't read the interpreter"):
            isolation.isolate(jail, -1, lambda pid: pytest.fail("level 2 has no outer process"))
        assert became == []
    else:
        isolation.isolate(jail, -1, lambda pid: pytest.fail("level 2 has no outer process"))
        assert became == [(12345, kept)]
