"""The delta rule's backends on CPU: a test that asks for one runs under each that this machine has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

LEVELS = ("portable", "avx2", "avx512")
"""Those of ``c_ops``, which imports torch: where it is missing, the tests' own imports say so."""


@pytest.fixture(scope="module", params=["torch", *(f"c-{level}" for level in LEVELS)])
def delta_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """What "auto" takes for CPU tensors meanwhile: the torch form, or the C library at one level."""
    from trace_mine.train.kernels import c_ops

    assert c_ops.LEVELS == LEVELS
    name, _, level = request.param.partition("-")
    with pytest.MonkeyPatch.context() as patch:
        if name == "torch":
            patch.setattr(c_ops, "load", lambda: (None, "a test of the torch form"))
        else:
            missing = c_ops.available()
            if missing is not None:
                pytest.skip(f"the delta rule in C: {missing}")
            if c_ops.LEVELS.index(level) > c_ops.LEVELS.index(c_ops.level()):
                pytest.skip(f"this machine has no {level}, only {c_ops.level()}")
            patch.setattr(c_ops, "level", lambda: level)
        yield request.param
