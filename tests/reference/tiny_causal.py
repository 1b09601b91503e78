"""Small causal language models of others, made from their configurations: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

TEXT = [
    ">>> a, b, c = c, a, b\n>>> print('a', a)\na 1\n",
    ">>> for n in [2, 34]:\n...     a += n\n>>> a\n37\n>>> a / 0\nTraceback (most recent call last):\n",
]


def save_tiny(folder: Path, family: str = "gpt2", context: int = 256, dropout: float = 0.0) -> Path:
    """Save a GPT-2 or a Qwen2 of two layers with a byte-level BPE of some merges, as ``save_pretrained`` does."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        PreTrainedTokenizerFast,
        Qwen2Config,
        Qwen2ForCausalLM,
    )

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    # fewer bytes would be unknown tokens; merges make tokens that reach over a session's segments
    raw.train_from_iterator(
        TEXT * 5,
        trainers.BpeTrainer(
            vocab_size=320, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|endoftext|>", bos_token="<|endoftext|>", unk_token="<|endoftext|>"
    )
    torch.manual_seed(0)
    size = len(tokenizer)
    if family == "gpt2":
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=size,
                n_positions=context,
                n_embd=32,
                n_layer=2,
                n_head=2,
                resid_pdrop=dropout,
                embd_pdrop=dropout,
                attn_pdrop=dropout,
                bos_token_id=0,
                eos_token_id=0,
            )
        )
    else:
        model = Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=size,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=1,
                max_position_embeddings=context,
                tie_word_embeddings=True,
                bos_token_id=0,
                eos_token_id=0,
            )
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
