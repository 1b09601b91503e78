data = [1, 2, 3, 4]
if (n := len(data)) > 3:
    print(n)
while (item := data.pop()) != 2:
    print(item)
first, *rest = "abc"
*init, last = rest
[a, [b, *c]] = 1, (2, 3, 4)
x = y = []
x.append(1)
total = (k := 2) + k
print([k for k in range(2)], any((found := v) > 1 for v in [1, 2, 3]), found)
