"""Blocks and the language model around a mixer: forward over time, in pieces, and one step at a time with a carry.

The model is one of transformers': it takes what ``generate``, ``Trainer`` and pipelines give to a causal model.
``registry`` derives a class for each mixer. Names of parameters are fla's, two of them by model: Mamba-2's differ.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils.generic import ModelOutput, can_return_tuple

from trace_mine.train.models.arguments import RowLayout, layout_of, loss_arguments
from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.folder_code import auto_map, write_module
from trace_mine.train.models.layers import Carry, GatedMLP, Mixer, RMSNorm, Tapped
from trace_mine.train.models.ragged import CarryCache, LayerAxes, Part, cut, filled, run_pieces
from trace_mine.train.models.transformer import Attention


@dataclass
class SequenceOutput(ModelOutput):
    """The output of a model. A plain dataclass with defaults, because ``ModelOutput`` asks for that.

    Attributes:
        loss: a number; None without labels.
        logits: [B, T, V]; row t predicts token t + 1. Fewer rows of T if ``logits_to_keep`` says so.
        past_key_values: the carries after each row's last token; None unless asked for.
        hidden_states: L + 1 tensors [B, T, D]: the embeddings, each block's output, and ``hidden`` in the place of the
            last block's, as in transformers' models; None unless asked for.
        hidden: [B, T, D], the normed output of the last block, of which the logits are a linear map.
        carry: one for each layer, after the last step; None unless asked for.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: CarryCache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    hidden: Tensor | None = None
    carry: list[Carry] | None = None


class Block(Tapped, GradientCheckpointingLayer):
    """A pre-norm residual block: the mixer, then the gated MLP if the config has one.

    Tap: residual [B, T, D], the block's output. Parameters have fla's names, which call any mixer ``attn``.
    """

    points = ("residual",)

    def __init__(self, config: SequenceConfig, mixer: Mixer) -> None:
        super().__init__()
        self.attn_norm = RMSNorm(config.hidden_size, eps=config.norm_eps)
        self.attn = mixer
        if config.mlp_size:
            self.mlp_norm = RMSNorm(config.hidden_size, eps=config.norm_eps)
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


class MambaBlock(Tapped, GradientCheckpointingLayer):
    """A pre-norm residual block without an MLP, with fla's names for Mamba-2. Tap: residual [B, T, D], its output."""

    points = ("residual",)

    def __init__(self, config: SequenceConfig, mixer: Mixer) -> None:
        super().__init__()
        self.norm = RMSNorm(config.hidden_size, eps=config.norm_eps)
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
    """Embeddings, blocks and a last norm, whose parameter has the name ``last_norm``.

    All blocks have the mixer, but those that are attention by the config's ``attn``.
    """

    def __init__(self, config: SequenceConfig, mixer: type[Mixer], block: type[AnyBlock], last_norm: str) -> None:
        super().__init__()
        self.embeddings: nn.Module = nn.Embedding(config.vocab_size, config.hidden_size)
        specs = config.attention_layers()
        mixers = [
            Attention(config, specs[layer]) if layer in specs else mixer(config)
            for layer in range(config.num_hidden_layers)
        ]
        self.layers = nn.ModuleList([block(config, each) for each in mixers])
        self.last_norm = last_norm
        setattr(self, last_norm, RMSNorm(config.hidden_size, eps=config.norm_eps))

    def forward(
        self, inputs: Tensor, carry: list[Carry] | None, residuals: list[Tensor] | None = None
    ) -> tuple[Tensor, list[Carry]]:
        """Map inputs to hidden [B, T, D], from the layers' carries on; return also their new carries.

        Inputs are tokens [B, T], or [B, T, D] in place of their embeddings. The embeddings and the outputs of all
        blocks but the last are appended to ``residuals``.
        """
        x = inputs if inputs.is_floating_point() else self.embeddings(inputs)
        after = []
        for index, layer in enumerate(self.layers):
            if residuals is not None:
                residuals.append(x)
            x, layer_carry = layer(x, None if carry is None else carry[index])
            after.append(layer_carry)
        return getattr(self, self.last_norm)(x), after


class SequenceModel(PreTrainedModel, GenerationMixin):
    """A causal language model over tokens. Subclasses name their config and mixer, and differing parameter names.

    Rows may be padded anywhere: ``attention_mask`` says where, and no state sees it (``ragged``). Rows padded on the
    right need no mask for outputs before the padding, which don't depend on it.
    """

    config_class: type[SequenceConfig] = SequenceConfig
    base_model_prefix: str = "model"
    mixer_class: ClassVar[type[Mixer]]
    block_class: ClassVar[type[AnyBlock]] = Block
    last_norm: ClassVar[str] = "norm"
    # Any: transformers' own attributes, of types that differ between its versions.
    _tied_weights_keys: Any = {"lm_head.weight": "model.embeddings.weight"}  # noqa: RUF012
    _no_split_modules: Any = ["Block", "MambaBlock"]  # noqa: RUF012
    supports_gradient_checkpointing: bool = True
    # No state can go back, so that ``generate`` refuses to guess tokens and take them back (assisted generation).
    _is_stateful: Any = True

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

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], is_main_process: bool = True, *arguments: Any, **options: Any
    ) -> None:
        """Save a model as transformers does, with the file by which ``trust_remote_code=True`` opens the folder.

        Raises:
            ValueError: ``push_to_hub`` is asked for here.
        """
        # transformers would upload before that file is there
        if options.get("push_to_hub"):
            raise ValueError("expected save_pretrained without push_to_hub, got it; call push_to_hub(REPOSITORY)")
        self.config.auto_map = auto_map(type(self.config), type(self))
        super().save_pretrained(save_directory, is_main_process, *arguments, **options)
        if is_main_process:
            write_module(Path(save_directory), type(self.config), type(self))

    @classmethod
    def register_for_auto_class(cls, auto_class: Any = "AutoModel") -> None:
        """Do nothing: transformers would mark the class, and then copy our source files into each folder it saves."""

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

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        """Tell ``generate`` that no cache of keys and values is to be made: ``forward`` makes its own."""
        return False

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        carry: list[Carry] | None = None,
        return_carry: bool = False,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: CarryCache | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **others: Any,  # Any: what transformers gives to any causal model; ``loss_arguments`` says which
    ) -> SequenceOutput:
        """Run the model over input_ids [B, T], continuing from ``carry`` or ``past_key_values`` (None: from the start).

        Args:
            carry: of all rows, which have seen as many steps; it is left as it is.
            return_carry: return the carry after the last step.
            attention_mask: [B, T], or with a cache [B, columns read before + T]; 0 at padding. At padding after a
                token, outputs repeat that token's.
            labels: [B, T], the tokens themselves, -100 where there is no loss; they are shifted here.
            inputs_embeds: [B, T, D] in place of input_ids.
            position_ids: [B, T]; where they are 0 a sequence begins anew, so that rows of several ones can be packed.
            past_key_values: what an earlier call returned, changed in place; rows go on each from its own last token.
            use_cache: make such a cache; None: only if one is given.
            output_hidden_states: return ``hidden_states``.
            logits_to_keep: the number of last columns, or the columns, that logits are made of; 0: all.
            others: ``num_items_in_batch`` and the other arguments of transformers' loss. ``return_dict=False`` makes a
                tuple of the output.

        Raises:
            ValueError: arguments don't go together, or one is given that means nothing here.
        """
        loss_options = loss_arguments(others, position_ids)
        cached = CarryCache() if past_key_values is None and use_cache else past_key_values
        inputs, layout = layout_of(
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            carry=carry,
            return_carry=return_carry,
            cached=cached,
        )
        hidden, hidden_states, after = self._backbone_outputs(
            inputs, layout, carry, cached, output_hidden_states or getattr(self.config, "output_hidden_states", False)
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        whole = isinstance(logits_to_keep, int) and logits_to_keep == 0
        logits = self.lm_head(hidden if whole else hidden[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **loss_options)
        return SequenceOutput(
            loss=loss,
            logits=logits,
            past_key_values=cached if use_cache is not False else None,
            hidden_states=hidden_states,
            hidden=hidden,
            carry=after if return_carry else None,
        )

    def _backbone_outputs(
        self,
        inputs: Tensor,
        layout: RowLayout,
        carry: list[Carry] | None,
        cached: CarryCache | None,
        wants_states: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...] | None, list[Carry] | None]:
        """Run the backbone; return hidden, ``hidden_states`` if wanted, and the carry where rows run as one batch."""
        axes: LayerAxes = [block.mixing.batch_axes for block in self.blocks]

        def run(each: Tensor, its_carry: list[Carry] | None) -> tuple[list[Tensor], list[Carry]]:
            residuals: list[Tensor] | None = [] if wants_states else None
            normed, carries = self.backbone_module(each, its_carry, residuals)
            return [normed, *(residuals or [])], carries

        after: list[Carry] | None = None
        # As they lie, without a copy: rows without padding in one batch, or padded on the right and no carry wanted.
        if layout.as_they_lie:
            num_rows, time = inputs.shape[:2]
            begun = cached is not None and cached.get_seq_length() > 0
            if begun:
                assert cached is not None
                carry = cached.carry_of(range(num_rows))
            outputs, after = run(inputs, carry)
            if cached is not None:
                positions = [cached.position(row) + time for row in range(num_rows)]
                cached.put([Part(rows=[*range(num_rows)], positions=positions, carry=after)], axes, num_rows, time)
        else:
            assert layout.real is not None
            pieces = cut(layout.real, layout.begins, cached)
            if pieces:
                needs_position = any(block.mixing.needs_position for block in self.blocks)
                outputs = run_pieces(run, inputs, pieces, cached=cached, axes=axes, needs_position=needs_position)
            else:  # padding alone
                states = len(self.blocks) if wants_states else 0
                outputs = [self.lm_head.weight.new_zeros(*inputs.shape[:2], self.config.hidden_size)] * (1 + states)
                if cached is not None:
                    cached.put([], axes, *inputs.shape[:2])
        if layout.real is not None:
            outputs = [filled(each, layout.real) for each in outputs]
        hidden, *residuals = outputs
        return hidden, (*residuals, hidden) if wants_states else None, after

    def step(self, input_ids: Tensor, carry: list[Carry] | None = None) -> tuple[Tensor, list[Carry]]:
        """Run the model over one token a row, input_ids [B], in the recurrent form of each mixer.

        Returns logits [B, V] for the next token, and the carry to continue with. T steps give the logits of one
        ``forward`` over T tokens (1e-10 in float64, a test).
        """
        output = self(input_ids[:, None], carry, return_carry=True)
        return output.logits[:, 0], output.carry
