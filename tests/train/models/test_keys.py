"""The keys that settings are checked against are those that the models have."""

from __future__ import annotations

import dataclasses

import pytest

pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.train.models import config
from trace_mine.train.models.keys import KEYS, ModelKeys, defaults, own_defaults
from trace_mine.train.models.registry import MODELS
from trace_mine.train.recipes import BELIEF_MODELS


def test_every_model_has_keys():
    assert list(KEYS) == list(MODELS) and set(BELIEF_MODELS) == set(KEYS)


@pytest.mark.parametrize("name", KEYS)
def test_a_configuration_without_keys_has_their_defaults(name):
    made = MODELS[name].config_class()
    told = defaults(KEYS[name])
    if name == "mamba2":
        told["num_heads"] = told["expand"] * told["hidden_size"] // told["head_dim"]
    assert {key: getattr(made, key) for key in told} == told
    assert config.COMMON | MODELS[name].config_class.own | {"tie_word_embeddings": False} == defaults(KEYS[name])


def test_own_keys_are_those_that_others_lack_or_have_otherwise():
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Keys(ModelKeys):
        hidden_size: int = 64
        num_heads: int = 3
        rank: int = 5

    assert own_defaults(Keys) == {"num_heads": 3, "rank": 5}
