# follow=2
def clean(text):
    words = []
    for word in text.split():
        words.append(strip(word))
    return words


def strip(word):
    word = word.strip(".,")
    return word.lower()


def count(text):
    counts = {}
    for word in clean(text):
        counts[word] = counts.get(word, 0) + 1
    return counts


words = ["mine"]
print(count("A b. a, c"))
print(words)


class Tree:
    def __init__(self, value, left=None, right=None):
        self.value = value
        self.left = left
        self.right = right

    def insert(self, value):
        if value < self.value:
            if self.left is None:
                self.left = Tree(value)
            else:
                self.left.insert(value)
        elif self.right is None:
            self.right = Tree(value)
        else:
            self.right.insert(value)

    def walk(self):
        if self.left:
            yield from self.left.walk()
        yield self.value
        if self.right:
            yield from self.right.walk()


root = Tree(5)
for value in (3, 8, 4):
    root.insert(value)
print(list(root.walk()))
