"""Models of others, trained on our tasks and datasets: any local causal language model with its own tokenizer.

``finetuning`` is where to start. ``alignment`` finds the roles of another tokenizer's tokens, ``batches`` makes rows of
them, ``opening`` opens models and puts LoRA on them, ``scoring`` evaluates on what was held out.
"""
