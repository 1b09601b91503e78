"""Beliefs over real code: short scripts that call functions with randomness of their own, held against two references.

    PYTHONPATH=. python tests/benchmarks/real_choices.py [--packages FOLDER] [--show NAME]

FOLDER is an unpacked or installed package (more_itertools, toolz, pydash, networkx); scripts of one that is missing are
left out. For each script: the session under ``branch``, its beliefs' method, the largest difference from the slow
reference (each path in a process of its own), and the chi-square of the first uncertain reveal against native draws
(statistic, degrees of freedom). Nothing here is timed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from trace_mine.tracer.inside.protocol.jobs import PathJob, Program, SamplesJob
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.show import beliefs_shown
from trace_mine.tracer.views import parse_view

MOST_PATHS = 400
SECONDS = 5.0
NATIVE_RUNS = 2_000
NX = "import networkx as nx\n"


def graph(call: str, show: str = "len(g.edges)") -> str:
    return f"{NX}g = nx.{call}\nprint({show})\nprint(sorted(g.edges))\n"


CASES: dict[str, str] = {
    # the standard library
    "random.shuffle": "import random\nxs = [1, 2, 3]\nrandom.shuffle(xs)\nprint(xs[0])\nprint(xs)\n",
    "random.sample": "import random\nxs = random.sample('abcd', 2)\nprint('a' in xs)\nprint(xs)\n",
    "random.choices": (
        "import random\nxs = random.choices('ab', weights=[1, 3], k=3)\nprint(xs.count('a'))\nprint(xs)\n"
    ),
    "random.randrange": "import random\nn = random.randrange(1, 20, 3)\nprint(n > 8)\nprint(n)\n",
    "random.uniform": "import random\nx = random.uniform(0, 10)\nprint(x < 4)\nprint(x < 2)\n",
    "random.gauss": "import random\nx = random.gauss(0, 1)\nprint(x > 0)\nprint(x > 1)\n",
    "random.expovariate": "import random\nx = random.expovariate(0.5)\nprint(x < 1)\nprint(x < 3)\n",
    "random.triangular": "import random\nx = random.triangular(0, 1, 0.5)\nprint(x < 0.5)\n",
    "random.betavariate": "import random\nx = random.betavariate(2, 2)\nprint(x < 0.5)\n",
    "random.SystemRandom": "import random\nr = random.SystemRandom()\nn = r.randint(1, 6)\nprint(n % 2)\nprint(n)\n",
    "secrets.choice": "import secrets\nc = secrets.choice('xyz')\nprint(c < 'z')\nprint(c)\n",
    "secrets.randbelow": "import secrets\nn = secrets.randbelow(5)\nprint(n > 2)\nprint(n)\n",
    "turtledemo.nim": (
        "import random\nrandom.seed()\nfrom random import randint\n"
        "def randommove(state):\n    m = max(state)\n    while True:\n        z = randint(0, 2)\n"
        "        if state[z] > (m > 1):\n            break\n"
        "    rand = randint(m > 1, state[z] - 1)\n    return z, rand\n"
        "move = randommove([2, 0, 3])\nprint(move[0])\nprint(move)\n"
    ),
    # more_itertools
    "more_itertools.random_product": (
        "from more_itertools import random_product\np = random_product('ab', [1, 2, 3])\nprint(p[0])\nprint(p)\n"
    ),
    "more_itertools.random_permutation": (
        "from more_itertools import random_permutation\np = random_permutation(range(4), 2)\nprint(p[0])\nprint(p)\n"
    ),
    "more_itertools.random_combination": (
        "from more_itertools import random_combination\nc = random_combination(range(5), 2)\nprint(0 in c)\nprint(c)\n"
    ),
    "more_itertools.random_combination_with_replacement": (
        "from more_itertools import random_combination_with_replacement as f\nc = f(range(3), 2)\n"
        "print(c[0] == c[1])\nprint(c)\n"
    ),
    "more_itertools.random_derangement": (
        "from more_itertools import random_derangement\nd = random_derangement('abc')\nprint(d[0])\nprint(d)\n"
    ),
    "more_itertools.sample": (
        "from more_itertools import sample\ns = sample(iter('abc'), 2, strict=True)\nprint(len(s))\nprint('a' in s)\n"
    ),
    "more_itertools.sample counts": (
        "from more_itertools import sample\ns = sample('ab', 2, counts=[2, 1])\nprint('b' in s)\nprint(s)\n"
    ),
    # pydash
    "pydash.sample": "import pydash\nx = pydash.sample([3, 5, 9])\nprint(x > 4)\nprint(x)\n",
    "pydash.sample_size": "import pydash\nx = pydash.sample_size([1, 2, 3], 2)\nprint(1 in x)\nprint(x)\n",
    "pydash.shuffle": "import pydash\nx = pydash.shuffle([1, 2, 3])\nprint(x[2])\nprint(x)\n",
    "pydash.random": "import pydash\nx = pydash.random(1, 4)\nprint(x < 3)\nprint(x)\n",
    "pydash.random floating": "import pydash\nx = pydash.random(0, 4, floating=True)\nprint(x < 3)\n",
    # toolz
    "toolz.random_sample": (
        "from toolz import random_sample\nx = list(random_sample(0.5, range(4)))\nprint(len(x))\nprint(x)\n"
    ),
    "toolz.random_sample 0.1": (
        "from toolz import random_sample\nx = list(random_sample(0.1, 'abcde'))\nprint(x == [])\nprint(x)\n"
    ),
    # networkx
    "networkx.gnp_random_graph": graph("gnp_random_graph(3, 0.3)"),
    "networkx.gnp_random_graph directed": graph("gnp_random_graph(3, 0.5, directed=True)"),
    "networkx.fast_gnp_random_graph": graph("fast_gnp_random_graph(3, 0.5)"),
    "networkx.gnm_random_graph": graph("gnm_random_graph(4, 2)", "g.has_edge(0, 1)"),
    "networkx.dense_gnm_random_graph": graph("dense_gnm_random_graph(4, 3)", "g.has_edge(0, 1)"),
    "networkx.watts_strogatz_graph": graph("watts_strogatz_graph(4, 2, 0.5)", "g.has_edge(0, 1)"),
    "networkx.newman_watts_strogatz_graph": graph("newman_watts_strogatz_graph(4, 2, 0.5)"),
    "networkx.barabasi_albert_graph": graph("barabasi_albert_graph(5, 1)", "max(d for _, d in g.degree)"),
    "networkx.random_regular_graph": graph("random_regular_graph(2, 4)", "g.has_edge(0, 1)"),
    "networkx.random_lobster": graph("random_lobster(2, 0.3, 0.3)"),
    "networkx.random_labeled_tree": graph("random_labeled_tree(4)", "max(d for _, d in g.degree)"),
    "networkx.random_unlabeled_tree": graph("random_unlabeled_tree(5)", "max(d for _, d in g.degree)"),
    "networkx.gn_graph": graph("gn_graph(4)", "max(d for _, d in g.degree)"),
    "networkx.gnr_graph": graph("gnr_graph(4, 0.5)", "g.has_edge(3, 0)"),
    "networkx.gnc_graph": graph("gnc_graph(4)"),
    "networkx.random_k_out_graph": graph("random_k_out_graph(3, 1, 1.0)", "g.has_edge(0, 1)"),
    "networkx.random_uniform_k_out_graph": graph("random_uniform_k_out_graph(3, 1)", "g.has_edge(0, 1)"),
    "networkx.random_tournament": graph("tournament.random_tournament(3)", "g.has_edge(0, 1)"),
    "networkx.configuration_model": graph("configuration_model([2, 1, 1])", "g.number_of_edges(0, 0)"),
    "networkx.stochastic_block_model": graph("stochastic_block_model([2, 1], [[0.9, 0.2], [0.2, 0.9]])"),
    "networkx.random_partition_graph": graph("random_partition_graph([2, 2], 0.8, 0.1)"),
    "networkx.relaxed_caveman_graph": graph("relaxed_caveman_graph(2, 2, 0.5)"),
    "networkx.duplication_divergence_graph": graph("duplication_divergence_graph(3, 0.5)"),
    "networkx.partial_duplication_graph": graph("partial_duplication_graph(4, 2, 0.5, 0.5)"),
    "networkx.bipartite.random_graph": graph("bipartite.random_graph(2, 2, 0.4)"),
    "networkx.maximal_independent_set": (
        f"{NX}s = nx.maximal_independent_set(nx.path_graph(4))\nprint(0 in s)\nprint(sorted(s))\n"
    ),
    "networkx.random_spanning_tree": (
        f"{NX}g = nx.random_spanning_tree(nx.cycle_graph(3))\nprint(g.has_edge(0, 1))\nprint(sorted(g.edges))\n"
    ),
    "networkx.utils.weighted_choice": (
        "from networkx.utils import weighted_choice\nx = weighted_choice({'a': 1, 'b': 3})\nprint(x)\n"
    ),
    "networkx.utils.random_weighted_sample": (
        "from networkx.utils import random_weighted_sample as f\nx = f({'a': 1, 'b': 2, 'c': 1}, 2)\nprint('b' in x)\n"
    ),
    "networkx.double_edge_swap": (
        f"{NX}g = nx.double_edge_swap(nx.path_graph(4), nswap=1)\nprint(g.has_edge(0, 1))\nprint(sorted(g.edges))\n"
    ),
}


def reference(worker: Any, program: Program, commands: tuple[str, ...]) -> tuple[list[tuple[float, list[str]]], float]:
    """(weight, texts) of each path, each in its own process, likeliest first; and the mass that is left."""
    waiting: list[tuple[float, list[int]]] = [(1.0, [])]
    found: list[tuple[float, list[str]]] = []
    while waiting and len(found) < MOST_PATHS:
        waiting.sort()
        _, prefix = waiting.pop()
        job = PathJob(program=program, commands=commands, prefix=tuple(prefix), max_seconds=SECONDS)
        outcome = worker.run(job)
        record = outcome.records[0]
        if outcome.status != "ok" or record.is_sampled:
            return [], 1.0
        weight, taken = 1.0, []
        for position, choice in enumerate(record.choices):
            probabilities, index = choice.probabilities, choice.taken
            if position >= len(prefix):
                for other, p in enumerate(probabilities):
                    if other != index and p > 0:
                        waiting.append((weight * p, [*taken, other]))
            weight *= probabilities[index]
            taken.append(index)
        found.append((weight, list(record.texts)))
    return found, 1.0 - sum(weight for weight, _ in found)


def compare(made: Trace, paths: list[tuple[float, list[str]]]) -> float:
    """The largest difference between a belief and the reference's."""
    worst = 0.0
    for belief in made.beliefs:
        step = made.segments[belief.segment].step
        law: Counter[str] = Counter()
        for weight, texts in paths:
            if all(texts[n] == made.steps[n].output for n in range(step)):
                law[texts[step]] += weight
        total = sum(law.values())
        told = dict(zip(belief.outcomes, belief.probabilities, strict=True))
        for text in law.keys() | told.keys():
            worst = max(worst, abs(law[text] / total - told.get(text, 0.0)))
    return worst


def chi_square(worker: Any, program: Program, made: Trace) -> tuple[float, int] | None:
    """Native draws at the first uncertain reveal: statistic and degrees of freedom."""
    belief = next((b for b in made.beliefs if len(b.outcomes) > 1), None)
    if belief is None:
        return None
    step = made.segments[belief.segment].step
    counts: Counter[str] = Counter()
    commands = tuple(step.source for step in made.steps)
    for first in range(0, NATIVE_RUNS, 500):
        job = SamplesJob(program=program, commands=commands, first_seed=first, num_samples=500, max_seconds=SECONDS)
        for record in worker.run(job).records:
            if all(record.texts[n] == made.steps[n].output for n in range(step)):
                counts[record.texts[step]] += 1
    total = counts.total()
    expected = {text: total * p for text, p in zip(belief.outcomes, belief.probabilities, strict=True)}
    if belief.method == "exact" and counts.keys() - expected.keys():
        return float("inf"), 1
    errors = {text: (total * error) ** 2 for text, error in zip(belief.outcomes, belief.stderr, strict=True)}
    terms = [(counts[text] - mass) ** 2 / (mass + errors[text]) for text, mass in expected.items()]
    return sum(terms), len(expected) - 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--packages", type=Path, nargs="*", default=[])
    parser.add_argument("--show", default="")
    options = parser.parse_args()
    names = {path.name.removesuffix(".py") for path in options.packages}
    counts: Counter[str] = Counter()
    config = TracerConfig(
        view=parse_view("branch+every:0"), packages=tuple(options.packages), warm=tuple(sorted(names))
    )
    with Tracer(config) as tracer:
        for name, source in CASES.items():
            package = name.split(".")[0]
            if package in ("more_itertools", "pydash", "toolz", "networkx") and package not in names:
                counts["package missing"] += 1
                continue
            made = tracer.trace(script_snippet(source, "script.py", ()))
            if not isinstance(made, Trace):
                counts[made.reason] += 1
                print(f"{name:52} {made.reason}: {made.evidence[:90]}")
                continue
            methods = {belief.method for belief in made.beliefs}
            method = next((m for m in ("sampled", "bounded", "exact") if m in methods), "none")
            program = Program(code=made.setup["code"])
            paths, left = reference(tracer._recorder, program, tuple(step.source for step in made.steps))
            told = f"{compare(made, paths):.1e}" if paths and left < 1e-9 else f"(left {left:.2g})"
            square = chi_square(tracer._recorder, program, made)
            counts[method] += 1
            shown = "-" if square is None else f"{square[0]:.1f}/{square[1]}"
            print(
                f"{name:52} {method:8} choices {len(made.choices):3} paths {len(paths):4} off {told:12} chi2 {shown}",
                flush=True,
            )
            if options.show and options.show in name:
                print(beliefs_shown(made, colour=False))
    print(dict(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
