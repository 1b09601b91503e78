def count(n):
    print("start")
    for i in range(n):
        yield i
    print("end")


def chain(*parts):
    for part in parts:
        yield from part


def guarded():
    try:
        yield 1
        yield 2
    finally:
        print("closed")


def first_big(n):
    for x in count(n):
        if x > 1:
            return x
    return None


for x in count(2):
    print("got", x)
for x in count(5):
    if x == 1:
        break
print(first_big(4))
print(list(count(2)), sum(chain([1], (2, 3))))
for x in guarded():
    break
for x in guarded():
    print(x)
pairs = count(3)
print(next(pairs), next(pairs))
rest = list(pairs)


def echo():
    got = None
    while got != "stop":
        got = yield got


talk = echo()
next(talk)
print(talk.send("hi"))
try:
    talk.send("stop")
except StopIteration:
    print("stopped")
