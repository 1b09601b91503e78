words = ["a", "bb", "ccc"]
lengths = {w: len(w) for w in words}
table = [[i * j for j in range(3)] for i in range(2)]
vowels = {c for w in words for c in w if c in "aeiou"}
evens = [n for n in range(6) if n % 2 == 0]
double = lambda x: x * 2
print(sorted(map(double, evens), key=lambda x: -x))
gen = (w.upper() for w in words)
print(next(gen), list(gen), lengths, vowels)
n = "outer"
print([n for n in range(2)], n)
