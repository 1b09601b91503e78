"""Blocks and the language model around a mixer: forward over time, in pieces, and one step at a time with a carry.

``registry`` derives a class for each mixer. Names of parameters are fla's, two of them by model: Mamba-2's differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.layers import Carry, GatedMLP, Mixer, Tapped


@dataclass
class SequenceOutput(ModelOutput):
    """The output of a model. A plain dataclass with defaults, because ``ModelOutput`` asks for that.

    Attributes:
        logits: [B, T, V]; row t predicts token t + 1.
        hidden: [B, T, D], the normed output of the last block, of which the logits are a linear map.
        carry: one for each layer, after the last step; None unless asked for.
    """

    logits: Tensor | None = None
    hidden: Tensor | None = None
    carry: list[Carry] | None = None


class Block(Tapped):
    """A pre-norm residual block: the mixer, then the gated MLP if the config has one.

    Tap: residual [B, T, D], the block's output. Parameters have fla's names, which call any mixer ``attn``.
    """

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
        """Map x [B, T, D] to [B, T, D]; also return the mixer's carry."""
        mixed, after = self.attn(self.attn_norm(x), carry)
        x = x + mixed
        if self.has_mlp:
            x = x + self.mlp(self.mlp_norm(x))
        return self.tap("residual", x), after


class MambaBlock(Tapped):
    """A pre-norm residual block without an MLP, with fla's names for Mamba-2. Tap: residual [B, T, D], its output."""

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
        """Map x [B, T, D] to [B, T, D]; also return the mixer's carry."""
        mixed, after = self.mixer(self.norm(x), carry)
        return self.tap("residual", x + mixed), after


AnyBlock = Block | MambaBlock
"""A layer of a model. The two differ in the names of their parameters and in the MLP."""


class Backbone(nn.Module):
    """Embeddings, blocks and a last norm, whose parameter has the name ``last_norm``."""

    def __init__(self, config: SequenceConfig, mixer: type[Mixer], block: type[AnyBlock], last_norm: str) -> None:
        super().__init__()
        self.embeddings: nn.Module = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList([block(config, mixer(config)) for _ in range(config.num_hidden_layers)])
        self.last_norm = last_norm
        setattr(self, last_norm, nn.RMSNorm(config.hidden_size, eps=config.norm_eps))

    def forward(self, input_ids: Tensor, carry: list[Carry] | None) -> tuple[Tensor, list[Carry]]:
        """Map input_ids [B, T] to hidden [B, T, D], from the layers' carries on; return also their new carries."""
        x = self.embeddings(input_ids)
        after = []
        for index, layer in enumerate(self.layers):
            x, layer_carry = layer(x, None if carry is None else carry[index])
            after.append(layer_carry)
        return getattr(self, self.last_norm)(x), after


class SequenceModel(PreTrainedModel):
    """A causal language model over tokens. Subclasses name their config and mixer, and differing parameter names.

    Rows are padded on the right, and padding is left out of the loss. No mask is needed, since a causal model's outputs
    before the padding don't depend on it.
    """

    config_class: type[SequenceConfig] = SequenceConfig
    base_model_prefix: str = "model"
    mixer_class: ClassVar[type[Mixer]]
    block_class: ClassVar[type[AnyBlock]] = Block
    last_norm: ClassVar[str] = "norm"
    # Any: transformers' own attributes, of types that differ between its versions.
    _tied_weights_keys: Any = {"lm_head.weight": "model.embeddings.weight"}  # noqa: RUF012
    _no_split_modules: Any = ["Block", "MambaBlock"]  # noqa: RUF012

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        backbone = Backbone(config, self.mixer_class, self.block_class, self.last_norm)
        setattr(self, self.base_model_prefix, backbone)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()  # transformers calls _init_weights and ties weights here

    @classmethod
    def from_pretrained(cls, *arguments: Any, **options: Any) -> Any:  # Any: as transformers declares it
        """Load a model as transformers does, and copy its weights into memory of their own.

        Loaded weights are memory-mapped at any address of the file, and products of matrices that aren't aligned to 64
        bytes differ in the last bit: a GRU's did on an AMD EPYC, so that a run resumed from a checkpoint did not equal
        the uninterrupted one.
        """
        loaded = super().from_pretrained(*arguments, **options)
        model = loaded[0] if isinstance(loaded, tuple) else loaded  # with output_loading_info: (model, report)
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.data = tensor.data.clone()
        return loaded

    @property
    def backbone_module(self) -> Backbone:
        """The backbone, whatever its parameter's name is."""
        module: Backbone = getattr(self, self.base_model_prefix)
        return module

    @property
    def blocks(self) -> list[AnyBlock]:
        """The blocks, first layer first."""
        return [cast(AnyBlock, layer) for layer in self.backbone_module.layers]

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of tokens; transformers asks for it by this name."""
        return self.backbone_module.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding of tokens."""
        self.backbone_module.embeddings = value

    def get_output_embeddings(self) -> nn.Module:
        """Return the map from hidden to logits; transformers ties its weight to the embedding's."""
        head: nn.Module = self.lm_head
        return head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the map from hidden to logits."""
        self.lm_head = new_embeddings

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Draw a module's first weights; transformers calls this for each module of a new model.

        Linear layers are N(0, ``initializer_range``), embeddings N(0, ``embedding_range``); a range of None leaves
        torch's own initialisation. Other modules have drawn theirs when they were made.
        """
        linear_range = self.config.initializer_range
        embedding_range = self.config.embedding_range or linear_range
        if isinstance(module, nn.Linear) and linear_range is not None:
            nn.init.normal_(module.weight, std=linear_range)
        elif isinstance(module, nn.Embedding) and embedding_range is not None:
            nn.init.normal_(module.weight, std=embedding_range)

    def forward(
        self,
        input_ids: Tensor,
        carry: list[Carry] | None = None,
        return_carry: bool = False,
        attention_mask: Tensor | None = None,
        labels: None = None,
    ) -> SequenceOutput:
        """Run the model over input_ids [B, T], continuing from ``carry`` (None: from the start).

        ``attention_mask`` [B, T] and ``labels`` are here for code that calls any causal model: a mask of rows padded on
        the right is accepted and changes nothing.

        Raises:
            ValueError: a mask has padding on the left or within, which would be read as tokens; or ``labels`` are
                given, whose loss would count all tokens alike.
        """
        if labels is not None:
            raise ValueError("expected no labels, got some; take the loss of the logits")
        if attention_mask is not None and bool((attention_mask[:, 1:] > attention_mask[:, :-1]).any()):
            raise ValueError("expected rows filled up on the right, got a mask with padding before tokens; pad there")
        hidden, after = self.backbone_module(input_ids, carry)
        logits = self.lm_head(hidden)
        return SequenceOutput(logits=logits, hidden=hidden, carry=after if return_carry else None)

    def step(self, input_ids: Tensor, carry: list[Carry] | None = None) -> tuple[Tensor, list[Carry]]:
        """Run the model over one token a row, input_ids [B], in the recurrent form of each mixer.

        Returns logits [B, V] for the next token, and the carry to continue with. T steps give the logits of one
        ``forward`` over T tokens (1e-10 in float64, a test).
        """
        output = self(input_ids[:, None], carry, return_carry=True)
        return output.logits[:, 0], output.carry
