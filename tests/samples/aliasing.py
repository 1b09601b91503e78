a = [1]
b = a
b += [2]
b = b + [3]
grid = [[0]] * 2
grid[0][0] += 5
pair = ([], 1)
try:
    pair[0] += ["x"]
except TypeError as error:
    print(error)
print(a, b, pair)


def push(items, more=[]):
    more.append(len(items))
    items += more
    return more


kept = push(a)
push(a)
print(a, kept is push(b), kept)
d = {"a": a}
d["a"].clear()
