huge = 3 ** 500
small = -0.0
nan = float("nan")
inf = -float("inf")
z = 2 + 3j
one, uno, true = 1, 1.0, True
names = {"b", "a", "c"}
frozen = frozenset(range(3))
numbers = set(range(5))
data = bytes(range(3))
array = bytearray(b"ab")
big = list(range(500))
text = "ab" * 200
none = None
dots = ...
nan != nan
print(one == uno == true, huge % 1000, len(big))
