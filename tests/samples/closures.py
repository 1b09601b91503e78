def counter(start):
    count = start

    def step(by=1):
        nonlocal count
        count += by
        return count

    return step


tick = counter(10)
print(tick(), tick(5))
other = counter(0)
print(other(), tick())
late = []
for i in range(3):
    late.append(lambda: i)
print([f() for f in late])
early = [lambda i=i: i for i in range(3)]
print([f() for f in early])


def makers():
    made = []
    for k in range(2):
        def inner():
            return k
        made.append(inner)
    return made


print([f() for f in makers()])
