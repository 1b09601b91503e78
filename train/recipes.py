"""Recipes: functions that return the complete settings of a run.

The recipes for a CPU have what proved to train small models there: AdamW with betas (0.9, 0.98), a rate of 3e-3, clip
1, batches of 64, first stages of short sessions (without them small models stay at chance), and later stages that keep
the spacings of earlier ones (after spacing 1 was dropped, accuracy there fell to 0.52). docs/training.md has what each
recipe reached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from trace_mine.train.models.keys import FOREIGN, KEYS, defaults
from trace_mine.train.settings import Keys, Settings, StageSettings

SMALL: Keys = {
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_heads": 2,
    "intermediate_size": 128,
    "initializer_range": None,
    "embedding_range": 0.5,
}
"""One layer of width 64, with torch's initialisation of linear layers and embeddings of standard deviation 0.5.

The embedding's spread matters: the embeddings are the residual stream that the first block adds to, so that their size
decides how much of it the block can change.
"""

DELTA: Keys = {**SMALL, "allow_neg_eigval": True}
"""``SMALL`` with eigenvalues in [-1, 1]: a swap is a reflection, which [0, 1] cannot express (docs/training.md)."""

GATED: Keys = {**SMALL, "allow_neg_eigval": True, "head_dim": 32}

BELIEF_MODELS: dict[str, Keys] = {
    # No MLP: with its eight square matrices (a GRU has six) an LSTM layer is as large as another mixer and its MLP.
    "lstm": {**SMALL, "intermediate_size": 0, "embedding_range": 1.0},
    "gru": {**SMALL, "intermediate_size": 0, "embedding_range": 1.0},
    "slstm": SMALL,
    "pd_ssm": {**SMALL, "state_size": 16},
    "delta_net": DELTA,
    "renormed_delta_net": DELTA,
    "gated_delta_net": GATED,
    "delta_product": {**GATED, "num_householder": 2},
    "kimi_delta": GATED,
    "gated_delta_net_2": GATED,
    "rwkv7": DELTA,
    "mamba2": {**SMALL, "head_dim": 32, "state_size": 32},
    # two layers: one layer of attention can't look up what another look-up found
    "transformer": {**SMALL, "num_hidden_layers": 2},
    "path_attention": {**SMALL, "num_hidden_layers": 2},
}
"""Model -> the keys that it has in the recipes for a CPU, chosen for about equal numbers of parameters."""

COMMON_KEYS = ("tie_word_embeddings",)
"""Keys that every model has and that ``SMALL`` leaves at their defaults."""

BELIEF_STAGES: dict[str, tuple[int, ...]] = {"transformer": (200, 200, 600)}
"""Steps of ``belief``'s stages for models that need more of them: the Transformer is near a blind guess for 400 steps
(KL .63 .59 .52 .40 after 100 to 400), and at .057 after these, 4.9 M tokens.
"""


def quick() -> Settings:
    """Swaps of 3 variables, by a one-layer DeltaNet with eigenvalues in [-1, 1]: about two minutes on one core."""
    return Settings(
        recipe="quick",
        model="delta_net",
        model_keys=DELTA,
        task="permutations",
        task_parameters={"n": 3},
        stages=(
            # 480 steps in all: 600 and 900 reach 0.997 and 0.9995 at 4 times the length, these 0.993 (docs/log.md).
            StageSettings(steps=200, commands=(2, 4, 8), spacings=(1, 2)),
            StageSettings(steps=120, commands=(8, 16), spacings=(1, 2, 4)),
            StageSettings(steps=160, commands=(16, 32), spacings=(1, 2, 4, 8)),
        ),
    )


def contrast() -> Settings:
    """The data and steps of ``quick`` for any model, so that models compare.

    ``--model lstm`` takes another model, ``--set model.allow_neg_eigval=false`` eigenvalues in [0, 1].
    """
    return replace(quick(), recipe="contrast")


def belief() -> Settings:
    """Swaps that each happen with p = 0.1, unseen, and a reveal every 2 commands: the model has to keep a belief.

    One token a command, which makes sessions short enough to reach 384 commands on a CPU. ``requires`` makes the task
    refuse p = 1, where there is nothing to believe.
    """
    return Settings(
        recipe="belief",
        model="delta_net",
        model_keys=DELTA,
        task="permutations",
        task_parameters={"n": 3, "p": 0.1, "style": "echo"},
        requires="branch",
        per="command",
        stages=(
            StageSettings(steps=80, commands=(4, 8, 16), spacings=(1, 2)),
            StageSettings(steps=60, commands=(8, 16, 32), spacings=(2,)),
            StageSettings(steps=240, commands=(48,), spacings=(2,)),
        ),
        evaluate_at=(1, 4, 8),
    )


def s5_cpu() -> Settings:
    """Swaps of 5 variables by a DeltaNet with one head of width 64.

    ``--set task.moves=full`` takes full permutations, of which the same budget learns nothing (docs/training.md).
    """
    return replace(
        quick(),
        recipe="s5-cpu",
        model_keys={**DELTA, "num_heads": 1},
        task_parameters={"n": 5},
        stages=(
            # sessions of a single command too: with longer ones to begin with small models stay at chance
            StageSettings(steps=400, commands=(1, 2, 4), spacings=(1, 2)),
            StageSettings(steps=300, commands=(4, 8, 16), spacings=(1, 2, 4)),
            StageSettings(steps=400, commands=(16, 32), spacings=(1, 2, 4, 8)),
        ),
    )


def s5_full() -> Settings:
    """Full permutations of 5 variables by a two-layer DeltaNet, in stages that end by accuracy: some fifteen minutes on
    one core.

    What a plain ``s5-cpu`` lacks: a second layer; a convolution as long as half a command, by which a key can tell
    which target a name belongs to; names without separators; and stages from a single command on. The last stage has
    128 commands and spacing 16, the setting of arXiv 2602.14814, Fig. 4: a model trained on 64 at most made no
    mistake there and one in twelve reveals at 128 (docs/log.md).
    """
    spacings = {1: (1,), 2: (1, 2), 3: (1, 2, 3), 4: (1, 2, 4), 8: (1, 2, 4), 16: (1, 2, 4, 8), 32: (1, 2, 4, 8)}
    spacings[64] = (2, 4, 8, 16)
    stages = [
        StageSettings(
            steps=60,
            commands=(commands,),
            spacings=spacings[commands],
            advance_at=0.95,
            earlier=0.4,
            rows=1.0 if commands < 8 else 0.5,
        )
        for commands in spacings
    ]
    last = StageSettings(steps=820, commands=(128,), spacings=(2, 4, 8, 16), earlier=0.4, rows=0.25)
    return replace(
        quick(),
        recipe="s5-full",
        model_keys={**DELTA, "num_hidden_layers": 2, "conv_size": 8},
        task_parameters={"n": 5, "moves": "full", "style": "echo"},
        per="name",
        stages=(*stages, last),
        batch_size=128,
        reveal_weight=3.0,
        decay_share=0.25,
        evaluate_every=0,
        evaluate_at=(1, 2),
        log_every=10,
    )


def groups() -> Settings:
    """Word problems of finite groups, played as registers that are permuted; ``--set task.group=A5`` names a group."""
    return replace(quick(), recipe="groups", task="groups", task_parameters={})


def paper_s5() -> Settings:
    """The configuration of arXiv 2602.14814, Fig. 4, for a GPU.

    The paper says width 512, 18 layers, 8 heads of 128 and about 265 M parameters. 8 heads of 128 are a key width of
    1,024, and only a model width of 1,024 with a tied vocabulary of 32 k comes to 265 M parameters: this recipe takes
    that width. The task's own closed vocabulary is small, so the 33 M parameters of the paper's embedding are missing.

    A step has the paper's 36 rows, six at a time: at 64 commands a row of 2,979 tokens takes 6.6 GiB in bf16, so that
    six take 44 GiB with weights and optimiser (measured on an H200 with the torch form). In W processes a step stays
    the same with ``accumulate`` = 6 / W.
    """
    return Settings(
        recipe="paper-s5",
        model="delta_net",
        model_keys={
            "hidden_size": 1_024,
            "num_hidden_layers": 18,
            "num_heads": 8,
            "intermediate_size": 4_096,
            "tie_word_embeddings": True,
            "allow_neg_eigval": True,
        },
        task="permutations",
        task_parameters={"n": 5, "moves": "full"},
        stages=tuple(
            StageSettings(steps=417, commands=(commands,), spacings=tuple(s for s in (1, 2, 4, 8) if s <= spacing))
            for commands, spacing in ((8, 1), (16, 2), (32, 4), (64, 8))
        ),
        batch_size=6,
        accumulate=6,
        learning_rate=5e-4,
        schedule="cosine",
        min_rate=0.2,
        warmup=83,
        device="cuda",
        precision="bf16",
        evaluate_at=(1, 2),
    )


def mined() -> Settings:
    """A language model on a mined dataset (``--set dataset=FOLDER``), evaluated by role of token."""
    return Settings(
        recipe="mined",
        model="gated_delta_net",
        model_keys={**GATED, "hidden_size": 128, "num_hidden_layers": 2, "num_heads": 4, "intermediate_size": 256},
        task="",
        dataset="traces",
        stages=(StageSettings(steps=600, commands=(), spacings=()),),
        batch_size=16,
        learning_rate=2e-3,
        max_length=384,
        evaluate_rows=64,
        evaluate_at=(1,),
    )


def finetune(hf: Path, *, dataset: str = "", task: str = "", lora_rank: int = 0, max_length: int = 1_024) -> Settings:
    """Any local causal language model on datasets or a task, as ``trace-train finetune`` starts it.

    A step has 16 rows. LoRA takes ten times the rate of a whole model, whose weights a high one would spoil.
    """
    stage = StageSettings(steps=200, commands=(4, 8), spacings=(1, 2)) if task else StageSettings(steps=200)
    return Settings(
        recipe="finetune",
        model=FOREIGN,
        model_keys={"path": str(hf), **({"lora_rank": lora_rank} if lora_rank else {})},
        task=task,
        dataset=dataset,
        stages=(stage,),
        batch_size=4,
        accumulate=4,
        learning_rate=2e-4 if lora_rank else 2e-5,
        warmup=20,
        max_length=max_length,
        log_every=5,
        evaluate_every=50,
        evaluate_rows=32,
        evaluate_at=(1, 2),
        save_every=20,
    )


RECIPES: dict[str, Callable[[], Settings]] = {
    "quick": quick,
    "contrast": contrast,
    "belief": belief,
    "s5-cpu": s5_cpu,
    "s5-full": s5_full,
    "groups": groups,
    "paper-s5": paper_s5,
    "mined": mined,
}
"""Name, as the command line takes it, to recipe."""


def recipe(name: str, model: str | None = None) -> Settings:
    """Return a recipe's settings, for another model of the registry if ``model`` names one.

    Another model comes with the keys and the learning rate that small models of its kind train with
    (``BELIEF_MODELS``). In ``mined``, ``paper-s5`` and ``s5-full`` it has the recipe's sizes, convolution and
    initialisation instead, so that models compare, and in ``paper-s5`` the recipe's rate too.

    Raises:
        ValueError: no recipe or model has this name.
    """
    if name not in RECIPES:
        raise ValueError(f"expected a recipe among {', '.join(RECIPES)}, got {name!r}")
    settings = RECIPES[name]()
    if model is None or model == settings.model:
        return settings
    if model not in BELIEF_MODELS:
        raise ValueError(f"expected a model among {', '.join(BELIEF_MODELS)}, got {model!r}")
    keys = BELIEF_MODELS[model]
    if name in ("mined", "paper-s5", "s5-full"):
        keys = _with_sizes_of(settings.model_keys, keys, model)
    # Only there: in `contrast` all models get the same steps, which is what it compares.
    if name == "belief" and model in BELIEF_STAGES:
        pairs = zip(settings.stages, BELIEF_STAGES[model], strict=True)
        settings = replace(settings, stages=tuple(replace(stage, steps=steps) for stage, steps in pairs))
    rate = settings.learning_rate if name == "paper-s5" else _rate(settings, model)
    return replace(settings, model=model, model_keys=dict(keys), learning_rate=rate)


def _with_sizes_of(recipe_keys: Keys, model_keys: Keys, model: str) -> Keys:
    """Combine the recipe's sizes and initialisation with the keys that only the model has.

    A model that convolves does so over as many steps as the recipe's.

    ``head_dim`` and ``state_size``, if the model has them, become the recipe's width of a head.
    """
    own = {key: value for key, value in model_keys.items() if key not in SMALL}
    keys = {key: value for key, value in recipe_keys.items() if key in SMALL or key in COMMON_KEYS} | own
    convolution = next((name for name in ("conv_size", "conv_kernel") if name in defaults(KEYS[model])), None)
    if convolution is not None and "conv_size" in recipe_keys:
        keys = keys | {convolution: recipe_keys["conv_size"]}
    head_width = keys["hidden_size"] // keys["num_heads"]
    return keys | {key: head_width for key in ("head_dim", "state_size") if key in own}


def _rate(settings: Settings, model: str) -> float:
    """Return the learning rate for a model: 1e-3 for those that the recipe's is too high for, else the recipe's.

    The Transformer always takes 1e-3; LSTM and GRU do where no outcome is hidden.
    """
    is_hidden = settings.task_parameters.get("p", 1.0) != 1.0
    slower = ("transformer",) if is_hidden else ("lstm", "gru", "transformer")
    return 1e-3 if model in slower else settings.learning_rate
