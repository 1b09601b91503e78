class Empty(Exception):
    pass


class Stack:
    def __init__(self):
        self.items = []

    def pop(self):
        if not self.items:
            raise Empty("pop from empty stack")
        return self.items.pop()


def drain(stack):
    popped = []
    while True:
        try:
            popped.append(stack.pop())
        except Empty:
            break
    return popped


s = Stack()
s.items = [1, 2]
print(drain(s))
try:
    s.pop()
except Empty as error:
    print(error)
value = s.pop()
