class Address:
    pass


thing = Address()
thing.size = 3
f = open
print("before")
things = [thing, thing]
mapping = {1: thing}
mapping[1].size = 4
function = len
kind = int
module = __import__("math")
names = sorted({"x", "y"})
unordered = {"p", "q"}
