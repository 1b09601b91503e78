"""Licences as they are found and judged; the careful answers are the point."""

from __future__ import annotations

from pathlib import Path

import pytest

from trace_mine.corpus.mined.licences import (
    CLASSIFIERS,
    NOASSERTION,
    PERMISSIVE,
    find_licence,
    header_licence,
    is_permissive,
    licence_of_files,
    normalise,
)
from trace_mine.corpus.mined.packaging_files import PackagingFiles

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-or-later WITH Classpath-exception-2.0", False),
        ("LGPL-3.0-or-later", False),
        ("MPL-2.0", False),
        ("GPL-2.0-or-later OR LGPL-2.1-or-later OR MPL-1.1", False),
        (NOASSERTION, False),
        ("no such licence", False),
        ("", False),
    ],
)
def test_permissive(expression: str, expected: bool) -> None:
    assert is_permissive(expression) is expected


def test_tables_hold_spdx_only() -> None:
    for name in (*PERMISSIVE, *CLASSIFIERS.values()):
        assert normalise(name) == name


@pytest.mark.parametrize(
    ("expression", "field", "classifiers", "expected"),
    [
        ("MIT OR Apache-2.0", "GPL", [], "MIT OR Apache-2.0"),
        (None, "Apache License, Version 2.0", [], "Apache-2.0"),
        (None, "see LICENSE", ["License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"], "MPL-2.0"),
        (None, None, ["License :: OSI Approved"], NOASSERTION),
        (None, "(" * 1000, [], NOASSERTION),
        (
            None,
            None,
            [
                "License :: OSI Approved :: MIT License",
                "License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
            ],
            "GPL-3.0-only AND MIT",
        ),
    ],
)
def test_metadata(
    tmp_path: Path, expression: str | None, field: str | None, classifiers: list[str], expected: str
) -> None:
    assert (
        find_licence(PackagingFiles(tmp_path), expression=expression, field=field, classifiers=classifiers) == expected
    )


def test_a_licence_file_decides_over_the_classifier(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text((ROOT / "LICENSE").read_text())
    classifiers = ["License :: OSI Approved :: BSD License"]
    assert find_licence(PackagingFiles(tmp_path), expression=None, field=None, classifiers=classifiers) == "MIT"


def test_unreadable_licence_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_bytes(b"\xff\0" * 100)
    (tmp_path / "COPYING").mkdir()
    assert licence_of_files(PackagingFiles(tmp_path)) is None


def test_headers() -> None:
    assert header_licence("#!/usr/bin/python\n# SPDX-License-Identifier: BSD-3-Clause\n") == "BSD-3-Clause"
    assert header_licence("# SPDX-License-Identifier: what\nx = 1\n") is None
    assert header_licence("x = 'SPDX-License-Identifier: MIT'\n") is None
