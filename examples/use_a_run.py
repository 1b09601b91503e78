"""Lets a finished run go on with sessions, through transformers' own classes. With the extra [train].

python examples/use_a_run.py runs/quick
"""

from __future__ import annotations

import argparse
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

SESSIONS = [">>> a, b, c = 1, 2, 3\n>>> a, b = b, a\n>>> print('a', a)\na ", ">>> a, b, c = 1, 2, 3\n"]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a folder that trace-train left")
    parser.add_argument("--tokens", type=int, default=12, help="tokens after each session (default 12)")
    chosen = parser.parse_args(arguments)

    # the file that is trusted, RUN/modeling_trace_mine.py, imports trace-mine and nothing else
    model = AutoModelForCausalLM.from_pretrained(chosen.run, trust_remote_code=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(chosen.run, trust_remote_code=True)
    batch = tokenizer(SESSIONS, return_tensors="pt", padding=True, padding_side="left")
    made = model.generate(**batch, max_new_tokens=chosen.tokens, do_sample=False)
    for session, row in zip(SESSIONS, made[:, batch["input_ids"].shape[1] :], strict=True):
        print(f"{session}[here it goes on]{tokenizer.decode(row)}\n")


if __name__ == "__main__":
    main()
