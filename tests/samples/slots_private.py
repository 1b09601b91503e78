# follow=2
class Point:
    __slots__ = ("x", "y", "__dict__")

    def __init__(self, x, y):
        self.x = x
        self.y = y

    def move(self, dx=0, dy=0):
        self.x += dx
        self.y += dy


class Vault:
    __count = 0

    def __init__(self, secret):
        self.__secret = secret
        Vault.__count += 1

    def open(self):
        return self.__peek() + Vault.__count

    def __peek(self):
        return self.__secret


p = Point(1, 2)
q = p
p.move(dy=5)
q.extra = "e"
print(p.x, p.y, p.extra)
v = Vault(41)
print(v.open())
del q.extra
