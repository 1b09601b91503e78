# comprehensions=1
def double(x):
    return x * 2


words = ["a", "bb", "ccc"]
lengths = [len(w) for w in words]
w = "outer"
longer = [w for w in words if len(w) > 1]
doubled = [double(n) for n in lengths if n != 2]
nested = [[n] * n for n in range(1, 3)]
print(w, lengths, longer, doubled, nested)
