class Loud:
    def __init__(self, n):
        self.n = n

    def __bool__(self):
        print("bool", self.n)
        return self.n > 0

    def __eq__(self, other):
        print("eq", self.n)
        return self.n == other.n

    def __lt__(self, other):
        print("lt", self.n)
        return self.n < other.n

    def bump(self):
        self.n += 10
        return 1


a, b = Loud(0), Loud(1)
if a:
    print("no")
elif b:
    print("yes")
while b:
    b = a
print(a == b, not a)
if a == Loud(0) and b:
    print("both")
c = a or b
same = a < Loud(2) < Loud(3)


def say(word, value=None):
    print("say", word)
    return value


def twice(n):
    n = n * 2
    return n


x = 1
total = x + twice(3) + say("three", 3)
total = a.n + a.bump()
d = {}
d[say("key", "k")] = say("value", "v")
d["k2"] = say("one") if d else say("two")
ok = say("left", 0) and say("right", 1)
ok = say("l", 1) and twice(2) or say("never")
text = f"{say('in f', 1)} {twice(2):>3}"
low = 0 < twice(1) < twice(2)
items = [say(1, 1), x, twice(x)]
x += twice(x)
items[0] += twice(5)
pair = {"a": twice(1), "b": say("b", 2)}
print(total, d, ok, text, low, items, x, pair, max(twice(2), 3), twice(twice(1)))
say("chain", [3, 1, 2]).sort()
print(*[twice(1), 2], sep="-")
