"""Run in a process of its own by test_fla_parity: fla's classes on the CPU, their kernels in Triton's interpreter.

fla_oracle.py write NAME FOLDER   a model of fla with random weights, its logits and gradients, to FOLDER
fla_oracle.py read NAME FOLDER    fla's class loads what we wrote to FOLDER; its logits to FOLDER/told.pt
"""

import json
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import safetensors.torch
import torch
from triton.runtime import autotuner

torch.set_num_threads(1)


def run_first_config(self, *args, **keys):
    """No timing in the interpreter: the first configuration that is left after pruning."""
    self.nargs = dict(zip(self.arg_names, args, strict=False))
    configs = self.prune_configs(keys) if self.early_config_prune or self.perf_model else self.configs
    chosen = configs[0].all_kwargs()
    if configs[0].pre_hook is not None:
        configs[0].pre_hook({**self.nargs, **keys, **chosen})
    for name in ("num_warps", "num_stages", "num_ctas", "maxnreg", "ir_override"):
        chosen.pop(name, None)
    return self.fn.run(*args, **{**keys, **chosen})


class Number(int):
    """A loop variable that is an int in the interpreter, where kernels expect a tensor's ``to``."""

    def to(self, *_args, **_keys):
        return self


def numbers(*bounds):
    return (Number(n) for n in range(*(int(bound) for bound in bounds)))


autotuner.Autotuner.run = run_first_config

import fla.layers  # noqa: E402
import fla.models  # noqa: E402

for module_name, module in list(sys.modules.items()):
    if module_name.startswith("fla.ops.") and hasattr(module, "tl"):
        module.range = numbers

CLASSES = {
    "delta_net": "DeltaNetForCausalLM",
    "gated_delta_net": "GatedDeltaNetForCausalLM",
    "delta_product": "GatedDeltaProductForCausalLM",
    "kimi_delta": "KDAForCausalLM",
    "path_attention": "PaTHAttentionForCausalLM",
    "mamba2": "Mamba2ForCausalLM",
}
LAYERS = {"gated_delta_net_2": "GatedDeltaNet2"}
"""Models of which fla has the layer alone: they are put into the blocks of its KDA model, which are alike."""


def model_of(name, keys):
    """fla's model with first weights."""
    if name not in LAYERS:
        kind = getattr(fla.models, CLASSES[name])
        return kind(kind.config_class(**keys))
    model = fla.models.KDAForCausalLM(fla.models.KDAConfig(**keys))
    told = {key: keys[key] for key in ("hidden_size", "head_dim", "num_heads", "num_v_heads", "allow_neg_eigval")}
    for index, block in enumerate(model.model.layers):
        block.attn = getattr(fla.layers, LAYERS[name])(**told, norm_eps=1e-6, layer_idx=index)
    return model


def logits_of(model, ids):
    return model(ids, use_cache=False).logits


def main():
    what, name, folder = sys.argv[1:]
    told = json.load(open(f"{folder}/keys.json"))
    ids = torch.tensor(told["ids"])
    if what == "read":
        if name in LAYERS:
            model = model_of(name, json.load(open(f"{folder}/config.json"))).eval()
            model.load_state_dict(safetensors.torch.load_file(f"{folder}/model.safetensors"))
        else:
            model = getattr(fla.models, CLASSES[name]).from_pretrained(folder)
        with torch.no_grad():
            torch.save({"logits": logits_of(model, ids)}, f"{folder}/told.pt")
        return
    torch.manual_seed(0)
    model = model_of(name, told["keys"])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    if name in LAYERS:
        config = json.load(open(f"{folder}/config.json"))
        json.dump({**config, "model_type": "trace_gated_deltanet_2"}, open(f"{folder}/config.json", "w"))
    logits = logits_of(model, ids)
    logits.square().mean().backward()
    gradients = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
    torch.save({"logits": logits.detach(), "gradients": gradients}, f"{folder}/told.pt")


main()
