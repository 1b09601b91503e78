total = 0


def add(n):
    global total, made
    total += n
    made = n


add(2)
add(3)
print(total, made)
x = [1, 2, 3]
del x[0], made
y: int = 4
z: "not evaluated"


def typed(a: int) -> int:
    b: undefined_name = a
    c: int
    del a
    return b


print(typed(1), y, x)
import math as m, os.path
from collections import deque as dq


def late():
    import json
    from textwrap import dedent as d
    return json.dumps(d("  a"))


print(late(), dq([1], 1), m.floor(2.5), os.path.basename("a/b"))
assert total == 5, "never evaluated"
assert add(1) is None
