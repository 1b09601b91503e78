"""Run in a process of its own by test_fla_parity: fla's classes on the CPU, their kernels in Triton's interpreter.

fla_oracle.py write NAME FOLDER   a model of fla with random weights, its logits and gradients, to FOLDER
fla_oracle.py read NAME FOLDER    fla's class loads what we wrote to FOLDER; its logits to FOLDER/told.pt
"""

import json
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

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

import fla.models  # noqa: E402

for module_name, module in list(sys.modules.items()):
    if module_name.startswith("fla.ops.") and hasattr(module, "tl"):
        module.range = numbers

CLASSES = {
    "delta_net": "DeltaNetForCausalLM",
    "gated_delta_net": "GatedDeltaNetForCausalLM",
    "delta_product": "GatedDeltaProductForCausalLM",
    "mamba2": "Mamba2ForCausalLM",
}


def logits_of(model, ids):
    return model(ids, use_cache=False).logits


def main():
    what, name, folder = sys.argv[1:]
    kind = getattr(fla.models, CLASSES[name])
    told = json.load(open(f"{folder}/keys.json"))
    ids = torch.tensor(told["ids"])
    if what == "read":
        model = kind.from_pretrained(folder)
        with torch.no_grad():
            torch.save({"logits": logits_of(model, ids)}, f"{folder}/told.pt")
        return
    torch.manual_seed(0)
    config = kind.config_class(**told["keys"])
    model = kind(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    logits = logits_of(model, ids)
    logits.square().mean().backward()
    gradients = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
    torch.save({"logits": logits.detach(), "gradients": gradients}, f"{folder}/told.pt")


main()
