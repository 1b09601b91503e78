numbers = [3, 1, 2]
for x in numbers:
    if x == 1:
        numbers.append(10)
for pair in ((1, 2), (3, 4)):
    a, b = pair
for letter in "hé":
    last = letter
ages = {"ann": 3, "bob": 4}
for name in ages:
    last = name
for name, age in ages.items():
    ages[name] = age + 1
for i, x in enumerate(numbers, start=1):
    total = i * x
for left, (middle, right) in zip("ab", [(1, 2), (3, 4)]):
    last = left, middle, right
for i in range(2, 10, 4):
    pass
for i in range(len(numbers) - 2):
    numbers[i], numbers[i + 1] = numbers[i + 1], numbers[i]
for square in (n * n for n in numbers if n > 1):
    print(square)
for x in reversed(numbers):
    last = x
for x in sorted({3, 1, 2}):
    last = x
for x in []:
    last = "never"
else:
    last = "else"
