"""The licence of a dataset's card: what the Hub can filter by."""

from __future__ import annotations

import pytest
from huggingface_hub import DatasetCard
from hypothesis import given
from hypothesis import strategies as st
from test_card import SHARDS, stats_of

from trace_mine.corpus.card import dataset_card
from trace_mine.corpus.hub.licence_tags import licence_tags


@pytest.mark.parametrize(
    ("names", "tags"),
    [
        (["MIT"], ("mit",)),
        (["BSD-3-Clause", "MIT"], ("bsd-3-clause", "mit")),
        (["(MIT OR Apache-2.0) AND Zlib"], ("apache-2.0", "mit", "zlib")),
        (["GPL-3.0-or-later", "GPL-3.0-only"], ("gpl-3.0",)),
        (["LGPL-2.1+", "CC0-1.0", "ODbL-1.0"], ("cc0-1.0", "lgpl-2.1", "odbl")),
        (["NOASSERTION"], None),
        (["MIT", "PSF-2.0"], None),
        (["Apache-2.0 WITH LLVM-exception"], None),
        ([], None),
        ([""], None),
    ],
)
def test_spdx_expressions_as_the_hub_names_them(names: list[str], tags: tuple[str, ...] | None) -> None:
    assert licence_tags(names) == tags


@given(st.lists(st.text()))
def test_any_text_is_a_licence_or_none(names: list[str]) -> None:
    tags = licence_tags(names)
    assert tags is None or all(tag.isascii() and tag == tag.lower() for tag in tags)


def test_the_card_has_one_licence_a_list_or_names() -> None:
    def told(*names: str) -> tuple[object, object]:
        data = DatasetCard(dataset_card(stats_of("r", by_licence=dict.fromkeys(names, 1)), SHARDS, "0" * 64)).data
        return data.license, data.to_dict().get("license_name")

    assert told("MIT") == ("mit", None)
    assert told("MIT", "BSD-3-Clause") == (["bsd-3-clause", "mit"], None)
    assert told("MIT", "NOASSERTION") == ("other", "MIT, NOASSERTION")
    assert told() == ("other", "none")
