# commands=30
total = 0
for i in range(1000):
    total += i
while total > 10:
    total //= 2
print(total)
items = list(range(50))
for item in items:
    if item % 2:
        items[item] = 0
print(sum(items))


def search(limit):
    n = 0
    while True:
        n += 1
        if n * n > limit:
            return n


print(search(10_000))
