"""A skip that the machine refutes is a failure; asked of pytest itself, with our conftest."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import no_skips

TESTS = Path(__file__).parent
SKIPS = """
import pytest
@pytest.mark.parametrize("reason", {reasons!r})
def test_it(reason):
    pytest.skip(reason)
@pytest.fixture
def broken():
    pytest.skip({reasons!r}[0])
def test_in_a_fixture(broken): ...
"""


def outcome(tmp_path: Path, reasons: list[str], *, strict: bool, folder: str = "tests/tracer/sandbox") -> str:
    shutil.copy(TESTS / "conftest.py", tmp_path)
    place = tmp_path / folder
    place.mkdir(parents=True)
    (place / "test_one.py").write_text(SKIPS.format(reasons=reasons))
    environment = {**os.environ, "PYTHONPATH": str(TESTS / "reference"), "TRACE_MINE_NO_SKIPS": str(int(strict))}
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, place]
    told = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True).stdout
    return re.sub(r" in .*", "", told.splitlines()[-1])


needs_level_2 = pytest.mark.skipif(not no_skips.offers(2), reason="the kernel does not offer what level 2 needs")


@needs_level_2
def test_what_the_machine_can_is_not_skipped(tmp_path):
    reasons = ["level 2 does not work here: a fault of ours", "no Python 3.99 here"]
    assert outcome(tmp_path, reasons, strict=False) == "1 failed, 1 skipped, 1 error"


def test_what_it_lacks_is(tmp_path):
    assert outcome(tmp_path, ["does not apply: to be seen", "no Python 3.99 here"], strict=True) == "3 skipped"


@pytest.mark.parametrize(
    ("folder", "strict", "told"),
    [
        ("tests/tracer/attacks", True, "1 failed, 1 error"),
        ("tests/tracer/attacks", False, "2 skipped"),
        ("tests/train", True, "2 skipped"),
    ],
)
def test_reasons_that_nobody_listed(tmp_path, folder, strict, told):
    assert outcome(tmp_path, ["not today"], strict=strict, folder=folder) == told


def test_what_the_kernel_does_not_offer(monkeypatch):
    monkeypatch.setattr(no_skips, "offers", lambda level: level == 2)
    assert not no_skips.refuted("Skipped: level 3 does not work here: EPERM", strict=True)
    assert no_skips.refuted("Skipped: level 2 does not work here: EPERM", strict=False)
    assert no_skips.refuted("no sandbox on this machine: EPERM", strict=False)
    monkeypatch.setattr(no_skips, "landlock_version", lambda: 5)
    assert not no_skips.refuted("Landlock before version 6 has no signal scope", strict=True)
    assert no_skips.refuted("Landlock has network rules from version 4 on", strict=True)
