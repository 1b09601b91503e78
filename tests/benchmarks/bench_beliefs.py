"""Beliefs of games with many states: CPU seconds of the last output's law, and its method.

    PYTHONPATH=. python tests/benchmarks/bench_beliefs.py

Maybe-swaps (p = .3) of pairs of n distinct items, as commands at a prompt: n! states, if there are swaps enough. The
law is held against the joint filter, which is ten lines here.
"""

from __future__ import annotations

import collections
import random
import time

from trace_mine.tracer.inside import program
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.inside.states.beliefs import beliefs_of
from trace_mine.tracer.inside.states.world import World

P = 0.3
GAMES = ((4, 24), (6, 24), (7, 24), (8, 24), (8, 48))


def make_world(seed: int, seconds: float, lazy: bool) -> World:
    namespace = program.fresh_namespace(Program(code="from random import random"))
    return World(namespace, 0, lambda path: False, output_limit=1 << 20, max_seconds=seconds, seed=seed, lazy=lazy)


def main() -> None:
    install()
    print("items swaps states seconds method error worst")
    for num_items, num_swaps in GAMES:
        source = random.Random(1)
        pairs = [source.sample(range(num_items), 2) for _ in range(num_swaps)]
        names = "abcdefgh"[:num_items]
        commands = [(f"{name} = {index}", "") for index, name in enumerate(names)]
        law: dict[tuple[int, ...], float] = {tuple(range(num_items)): 1.0}
        for i, j in pairs:
            a, b = names[i], names[j]
            commands.append((f"if random() < {P}:\n    {a}, {b} = {b}, {a}", ""))
            new: dict[tuple[int, ...], float] = collections.defaultdict(float)
            for state, weight in law.items():
                swapped = [*state]
                swapped[i], swapped[j] = state[j], state[i]
                new[tuple(swapped)] += P * weight
                new[state] += (1 - P) * weight
            law = new
        exact: dict[str, float] = collections.defaultdict(float)
        for state, weight in law.items():
            exact[str(state[0])] += weight
        began = time.process_time()
        found = beliefs_of([*commands, ("print(a)", "0")], make_world, seeds=1, max_seconds=60)
        seconds = time.process_time() - began
        told = found.beliefs[-1]
        worst = max(abs(exact[text] - p) for text, p in zip(told.outcomes, told.probabilities, strict=True))
        print(num_items, num_swaps, len(law), f"{seconds:.3f} {told.method} {max(told.stderr):.2g} {worst:.1g}")


if __name__ == "__main__":
    main()
