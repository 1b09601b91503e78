def show(a, b=2, *rest, c, d="d", **more):
    print(a, b, rest, c, d, more)
    return a


def positional(a, /, b, *, c=3):
    return a + b + c


args = (1, 2, 3)
options = {"c": 4, "z": 5}
show(*args, **options)
show(1, c=2)
show(0, 1, 2, d=4, c=3)
show(a=7, c="c")
total = positional(1, b=2)
total += positional(*args[:2], c=10)


def history(item, log=[], *, seen={}):
    log.append(item)
    seen[item] = len(log)
    return log


history("a")
print(history("b"), history("c", []))
try:
    positional(1)
except TypeError:
    print("missing")
