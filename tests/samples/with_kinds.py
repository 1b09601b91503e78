import contextlib
import io


class Swallow:
    def __init__(self, kinds):
        self.kinds = kinds

    def __enter__(self):
        print("enter")
        return self

    def __exit__(self, kind, error, trace):
        print("exit", kind and kind.__name__)
        return kind is not None and issubclass(kind, self.kinds)


@contextlib.contextmanager
def named(name):
    print("<" + name)
    yield name
    print(name + ">")


with Swallow(KeyError) as guard:
    {}["lost"]
print(guard.kinds)
with named("a") as a, named("b") as (b):
    print(a + b)
with contextlib.suppress(ZeroDivisionError):
    1 / 0
buffer = io.StringIO()
with contextlib.redirect_stdout(buffer):
    print("hidden")
print(buffer.getvalue().strip())


def looped():
    for n in range(3):
        with named(str(n)):
            if n == 1:
                return n


print(looped())
try:
    with Swallow(KeyError):
        int("x")
except ValueError as error:
    print("out:", error)
