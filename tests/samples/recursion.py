# follow=3
def fact(n):
    if n < 2:
        return 1
    return n * fact(n - 1)


def depth(tree):
    if not isinstance(tree, list):
        return 0
    best = 0
    for branch in tree:
        best = max(best, depth(branch))
    return best + 1


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


print(fact(4))
print(depth([1, [2, []]]))
print(fib(3))
