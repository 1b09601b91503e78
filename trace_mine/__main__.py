"""``python -m trace_mine``: prints the list of the project's commands."""

from __future__ import annotations

import sys

import trace_mine

COMMANDS = {
    "trace-run": ("trace_mine.tracer", "one script's session, on the terminal, as JSON or as a page"),
    "trace-mine": ("trace_mine.corpus", "a dataset of the doctests, scripts and tests of repositories"),
    "trace-synth": ("trace_mine.corpus.synthetic", "a dataset of a task whose law is known"),
    "trace-tokenize": ("trace_mine.tokenizer", "fits a tokenizer, shows and encodes rows"),
    "trace-train": ("trace_mine.train", "trains a sequence model by a recipe"),
    "trace-eval": ("trace_mine.eval", "measures runs beside baselines, draws figures, writes reports"),
}
"""Command to (module for ``python -m``, what the command does)."""


def main() -> int:
    """Print the commands, or the version; return 2 for an argument that is none of ``--help``, ``-h``,
    ``--version``.
    """
    if sys.argv[1:] == ["--version"]:
        print(f"trace-mine {trace_mine.__version__}")
        return 0
    print(f"trace-mine {trace_mine.__version__}: {(trace_mine.__doc__ or '').splitlines()[0]}\n")
    for name, (module, purpose) in COMMANDS.items():
        print(f"  {name:15} python -m {module:27} {purpose}")
    # Each command is a console script and a module, since `torchrun -m` and locked-down machines need the module.
    print("\nEach has --help with examples. From Python: import trace_mine; dir(trace_mine) lists the public names.")
    return 0 if sys.argv[1:] in ([], ["--help"], ["-h"]) else 2


if __name__ == "__main__":
    sys.exit(main())
