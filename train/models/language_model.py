"""Blocks and language models around a mixer: forward over time, and one step at a time with a carry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.layers import Carry, GatedMLP, Mixer, Tapped


@dataclass
class SequenceOutput(ModelOutput):
    """``logits`` [B, T, V]: row t is the prediction of token t + 1; ``hidden`` [B, T, D]: the normed last residual, of
    which the logits are a linear map; ``carry``: one of each layer, after the last step (None unless asked for).
    """

    logits: Tensor | None = None
    hidden: Tensor | None = None
    carry: list[Carry] | None = None


class Block(Tapped):
    """Pre-norm residual block: mixer, then the gated MLP where the config has one. Tap: residual [B, T, D], its end."""

    points = ("residual",)

    def __init__(self, config: SequenceConfig, mixer: Mixer) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(config.hidden_size, eps=config.norm_eps)
        self.attn = mixer
        if config.mlp_size:
            self.mlp_norm = nn.RMSNorm(config.hidden_size, eps=config.norm_eps)
            self.mlp = GatedMLP(config.hidden_size, config.mlp_size)
        self.has_mlp = config.mlp_size > 0

    @property
    def mixing(self) -> Mixer:
        """The mixer, whatever its parameter's name is."""
        return self.attn

    def forward(self, x: Tensor, carry: Carry | None) -> tuple[Tensor, Carry]:
        """x [B, T, D] -> [B, T, D] and the mixer's carry."""
        mixed, after = self.attn(self.attn_norm(x), carry)
        x = x + mixed
        if self.has_mlp:
            x = x + self.mlp(self.mlp_norm(x))
        return self.tap("residual", x), after


class MambaBlock(Tapped):
    """Pre-norm residual block without MLP, with fla's names for Mamba-2."""

    points = ("residual",)

    def __init__(self, config: SequenceConfig, mixer: Mixer) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.norm_eps)
        self.mixer = mixer

    @property
    def mixing(self) -> Mixer:
        """The mixer, whatever its parameter's name is."""
        return self.mixer

    def forward(self, x: Tensor, carry: Carry | None) -> tuple[Tensor, Carry]:
        """x [B, T, D] -> [B, T, D] and the mixer's carry."""
        mixed, after = self.mixer(self.norm(x), carry)
        return self.tap("residual", x + mixed), after


class Backbone(nn.Module):
    """Embeddings, blocks, last norm."""

    def __init__(self, config: SequenceConfig, mixer: type[Any], block: type[Any], last_norm: str) -> None:
        super().__init__()
        self.embeddings: nn.Module = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([block(config, mixer(config)) for _ in range(config.num_hidden_layers)])
        self.last_norm = last_norm
        setattr(self, last_norm, nn.RMSNorm(config.hidden_size, eps=config.norm_eps))

    def forward(self, input_ids: Tensor, carry: list[Carry] | None) -> tuple[Tensor, list[Carry]]:
        """input_ids [B, T] -> hidden [B, T, D], carries."""
        x = self.embeddings(input_ids)
        after = []
        for index, layer in enumerate(self.layers):
            x, kept = layer(x, None if carry is None else carry[index])
            after.append(kept)
        return getattr(self, self.last_norm)(x), after


class SequenceModel(PreTrainedModel):
    """A causal language model over tokens. Subclasses name their config and mixer.

    Padding: rows are filled up on the right, and what stands there is left out of the loss; no mask is needed.
    """

    config_class: type[SequenceConfig] = SequenceConfig
    base_model_prefix: str = "model"
    mixer_class: ClassVar[type[Mixer]]
    block_class: ClassVar[type[Any]] = Block
    last_norm: ClassVar[str] = "norm"
    _tied_weights_keys: Any = {"lm_head.weight": "model.embeddings.weight"}  # noqa: RUF012
    _no_split_modules: Any = ["Block", "MambaBlock"]  # noqa: RUF012

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        backbone = Backbone(config, self.mixer_class, self.block_class, self.last_norm)
        setattr(self, self.base_model_prefix, backbone)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @classmethod
    def from_pretrained(cls, *given: Any, **named: Any) -> Any:
        """As transformers', with the weights in memory of their own.

        They come memory-mapped at any address of the file, and products of matrices that are not aligned to 64 bytes
        come out otherwise in the last bit: a GRU's did on an AMD EPYC, so that a run that goes on from a checkpoint
        would not equal the one that didn't stop.
        """
        loaded = super().from_pretrained(*given, **named)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data = tensor.data.clone()
        return loaded

    @property
    def backbone_module(self) -> Backbone:
        """The backbone, whatever its parameter's name is."""
        module: Backbone = getattr(self, self.base_model_prefix)
        return module

    @property
    def blocks(self) -> list[Any]:
        """The blocks, first layer first."""
        return list(self.backbone_module.layers)

    def get_input_embeddings(self) -> nn.Module:
        """The embedding of tokens."""
        return self.backbone_module.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Puts another embedding in its place."""
        self.backbone_module.embeddings = value

    def get_output_embeddings(self) -> nn.Module:
        """The map from hidden to logits."""
        head: nn.Module = self.lm_head
        return head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Puts another map in its place."""
        self.lm_head = new_embeddings

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """N(0, ``initializer_range``) for linear layers and embeddings; None leaves torch's own initialisation."""
        spread, embedding = self.config.initializer_range, self.config.embedding_range
        if isinstance(module, nn.Linear) and spread is not None:
            nn.init.normal_(module.weight, std=spread)
        elif isinstance(module, nn.Embedding) and (embedding or spread) is not None:
            nn.init.normal_(module.weight, std=embedding or spread)

    def forward(
        self,
        input_ids: Tensor,
        carry: list[Carry] | None = None,
        return_carry: bool = False,
        attention_mask: Tensor | None = None,
        labels: None = None,
    ) -> SequenceOutput:
        """input_ids [B, T], going on from ``carry`` (None: from the start) -> ``SequenceOutput``.

        For code that calls any causal model: an ``attention_mask`` [B, T] of rows filled up on the right is accepted,
        and changes nothing.

        Raises:
            ValueError: a mask with padding on the left or within, which would be read as tokens; or ``labels``: which
                tokens count is the trainer's to say.
        """
        if labels is not None:
            raise ValueError("expected no labels, got some; take the loss of the logits")
        if attention_mask is not None and bool((attention_mask[:, 1:] > attention_mask[:, :-1]).any()):
            raise ValueError("expected rows filled up on the right, got a mask with padding before tokens; pad there")
        hidden, after = self.backbone_module(input_ids, carry)
        logits = self.lm_head(hidden)
        return SequenceOutput(logits=logits, hidden=hidden, carry=after if return_carry else None)

    def step(self, input_ids: Tensor, carry: list[Carry] | None = None) -> tuple[Tensor, list[Carry]]:
        """One token a row: input_ids [B] -> logits [B, V] for the token after it, and the carry to go on with.

        T steps give the rows of one ``forward`` over T tokens, through the recurrent form of each mixer.
        """
        told = self(input_ids[:, None], carry, return_carry=True)
        return told.logits[:, 0], told.carry
