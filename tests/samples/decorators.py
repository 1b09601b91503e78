import functools


def twice(function):
    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        function(*args, **kwargs)
        return function(*args, **kwargs)

    return wrapped


def tag(label):
    def mark(function):
        function.label = label
        return function

    return mark


@twice
@tag("x")
def shout(text, *, end="!"):
    print(text + end)
    return len(text)


result = shout("hey", end="?")
print(shout.__name__, shout.label, result)


@functools.lru_cache(maxsize=None)
def square(n):
    print("computing")
    return n * n


print(square(3) + square(3), square.cache_info().hits)
