"""Runs a program in the sandbox and prints each step with the state after it.

python examples/quickstart.py
"""

from __future__ import annotations

import trace_mine

SOURCE = """\
stock = {"apples": 2}
shelf = stock
for count in [3, 4]:
    shelf["apples"] += count
print(stock)
"""


def main() -> None:
    trace = trace_mine.run(SOURCE)
    for step, state in zip(trace.steps, trace.states, strict=True):
        print(f"{step.source:30} {step.output:20} {state.get('stock', '')}")

    def largest(values: list[int]) -> int:
        best = values[0]
        for value in values[1:]:
            if value > best:
                best = value
        return best

    call = trace_mine.trace(largest, [3, 9, 4])
    print(f"{call!r}: result = {call.states[-1]['result']}")


if __name__ == "__main__":
    main()
