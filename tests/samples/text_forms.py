poem = """line

  two
\tthree"""


def doc():
    """Only a docstring."""


def spaced():

    # a comment

    value = """

inside
"""

    return (

        value.strip()
    )


doc()
print(spaced())
long = (1 +
        2
        + 3)
a = 1; b = 2; print(a, b)
if a: b = 5; a = 6
for x in [1, 2]: print(x, end=" ")
print()
while a > 5: a -= 1
path = "a\\b" + \
    'c"d'
print(f"{path!r:>8} {a:03d} {'nested'}")
print("no newline", end="")
print("\n\nblank lines\n")
print("naïve 日本 🎉", "\u00e9")
