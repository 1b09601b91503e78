def positive(n):
    assert n > 0, f"expected a positive number, got {n}"
    return n


print(positive(3))
try:
    positive(-2)
except AssertionError as error:
    print(error)
