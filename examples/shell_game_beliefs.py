"""Hides where the ball went, and prints what each look under a cup could have shown, with its exact probability.

python examples/shell_game_beliefs.py
"""

from __future__ import annotations

import trace_mine

GAME = """\
from random import random
cups = ["ball", "empty", "empty"]
if random() < 0.5:
    cups[0], cups[1] = cups[1], cups[0]
if random() < 0.5:
    cups[1], cups[2] = cups[2], cups[1]
print(cups[1])
print(cups[2])
"""


def main() -> None:
    trace = trace_mine.run(GAME, view="branch+every:0", seed=1)
    print(trace)
    for belief in trace.beliefs:
        segment = trace.segments[belief.segment]
        command = trace.steps[segment.step].source
        law = ", ".join(f"{p:.3g} {text}" for p, text in zip(belief.probabilities, belief.outcomes, strict=True))
        print(f"{command} shows {trace.text[segment.start : segment.end].strip()}; it could have shown: {law}")


if __name__ == "__main__":
    main()
