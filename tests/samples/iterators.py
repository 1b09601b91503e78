class Countdown:
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        print("iter")
        return self

    def __next__(self):
        if self.n == 0:
            print("exhausted")
            raise StopIteration
        self.n -= 1
        return self.n


for n in Countdown(2):
    print(n)
for n in Countdown(5):
    if n == 3:
        break


class Letters:
    def __getitem__(self, index):
        return "ab"[index]


for letter in Letters():
    print(letter)
for line in iter(["a", "b", "stop"].pop, "a"):
    print(line)


def stops():
    raise StopIteration("mine")


for k in [1]:
    try:
        stops()
    except StopIteration as error:
        print("caught", error)
