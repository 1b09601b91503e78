"""A delta-rule model set by hand, in which one head alone tracks the state: the known answer of interventions.

Variable i of a game of swaps has the unit key e_i. ``i, k = k, i`` is the key (e_i - e_k) / sqrt 2 with beta 2, a
reflection that swaps rows i and k of the state; ``i = value`` writes the value's direction at e_i with beta 1; a
question reads at e_i. Every other head has small random weights. Nothing is trained.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch

from trace_mine.corpus.synthetic.game import Game
from trace_mine.corpus.synthetic.stream import TokenStream
from trace_mine.eval.subjects import Subject
from trace_mine.train.batches import TaskBatches
from trace_mine.train.models.language_model import SequenceModel
from trace_mine.train.models.registry import make_model
from trace_mine.train.settings import Settings, StageSettings

LOGIT = 20.0
"""Pre-activation of sigmoids that are to be 0 or 1: 2e-9 away."""
LOW = -1.2784645
"""Where SiLU has its minimum, so that a key may have a negative entry: SiLU(LOW) = -0.2784645."""
HIGH = 0.4801
"""Where SiLU is 0.2785: with LOW a key along e_i - e_k, to 4e-4 before it is made a unit vector."""
OTHERS = 0.02
"""Standard deviation of what other heads add to the residual stream; a value's direction is about 1."""


def planted_subject(*, n: int = 3, num_heads: int = 2, head: int = 0, seed: int = 0) -> Subject:
    """The model on visible swaps of ``n`` variables, a token a command, as if it were a run of 16 commands, spacing 2.

    Raises:
        ValueError: there is no such head, or it is too narrow for n keys.
    """
    stages = (StageSettings(steps=1, commands=(16,), spacings=(2,)),)
    settings = Settings(
        recipe="planted",
        model="delta_net",
        model_keys={"allow_neg_eigval": True},
        task_parameters={"n": n, "style": "echo"},
        per="command",
        stages=stages,
        seed=seed,
    )
    batches = TaskBatches(settings)
    model = planted_model(batches.stream(16, 2, "test"), num_heads=num_heads, head=head, seed=seed)
    return Subject(run="planted", label="planted", seed=seed, settings=settings, model=model, batches=batches)


@torch.no_grad()
def planted_model(stream: TokenStream, *, num_heads: int = 2, head: int = 0, seed: int = 0) -> SequenceModel:
    """One layer, no MLP, no convolution; exact on sessions of any length but for rounding.

    Raises:
        ValueError: the stream isn't of visible swaps of distinct values with whole commands as tokens, there is no such
            head, or it is too narrow.
    """
    game, vocabulary = stream.game, stream.vocabulary
    if game.is_hidden or game.num_labels is not None or game.style != "echo" or ">>> a\n" not in vocabulary:
        raise ValueError("expected visible swaps of distinct values, style=echo, per command; make such batches")
    if not 0 <= head < num_heads:
        raise ValueError(f"expected a head from 0 to {num_heads - 1}, got {head}")
    count = len(game.variables)
    size = len(vocabulary)
    width = num_heads * -(-max(size, num_heads * count) // num_heads)
    torch.manual_seed(seed)
    model = make_model(
        "delta_net",
        vocab_size=size,
        hidden_size=width,
        num_heads=num_heads,
        intermediate_size=0,
        use_short_conv=False,
        allow_neg_eigval=True,
    )
    each, first = width // num_heads, head * (width // num_heads)
    one = 1.0 / width**0.5  # the norm before the mixer makes a one-hot embedding sqrt(width) long
    block = model.blocks[0]
    mixer = block.mixing
    model.backbone_module.embeddings.load_state_dict({"weight": torch.eye(size, width)})
    own = slice(first, first + each)
    for part in (mixer.q_proj, mixer.k_proj, mixer.v_proj):
        part.weight.normal_(std=0.5)
        part.weight[own] = 0
    mixer.b_proj.weight.normal_(std=0.2)
    mixer.b_proj.weight[head] = -LOGIT * one
    mixer.o_proj.weight.normal_(std=OTHERS)
    mixer.o_proj.weight[:, own] = 0
    model.lm_head.weight.zero_()
    places = {word: number for number, word in enumerate(vocabulary)}
    values = [int(token) for token in stream.label_tokens]
    for i, name in enumerate(game.variables):
        opens, asks = places[f">>> {name} = "], places[f">>> {name}\n"]
        mixer.k_proj.weight[first + i, opens] = LOGIT * one
        mixer.v_proj.weight[first + i, opens] = LOGIT * one  # at the start variable i holds value i
        mixer.b_proj.weight[head, opens] = 0.0  # beta 1: the row is written over
        mixer.q_proj.weight[first + i, asks] = LOGIT * one
        mixer.o_proj.weight[values[i], first + i] = 1.0
        model.lm_head.weight[values[i], values[i]] = LOGIT
    for (i, k), action in swaps_of(game).items():
        token = places[f">>> {game.actions[action]}\n"]
        mixer.k_proj.weight[first + i, token] = HIGH * one
        mixer.k_proj.weight[first + k, token] = LOW * one
        mixer.b_proj.weight[head, token] = LOGIT * one
    model.eval()
    return model


def swaps_of(game: Game) -> dict[tuple[int, int], int]:
    """(variable, variable) -> the action that swaps the two and nothing else."""
    start = game.holds[game.start]
    found = {}
    for i, k in permutations(range(len(game.variables)), 2):
        wanted = start.copy()
        wanted[[i, k]] = wanted[[k, i]]
        for action, move in enumerate(game.moves):
            if i < k and np.array_equal(game.holds[move[game.start]], wanted):
                found[i, k] = action
    return found
