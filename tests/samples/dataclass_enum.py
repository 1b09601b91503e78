from dataclasses import dataclass, field
from enum import Enum


class Color(Enum):
    RED = 1
    BLUE = 2


@dataclass(order=True)
class Item:
    name: str
    price: float = 1.5
    tags: list = field(default_factory=list)

    def cost(self, n):
        total = self.price * n
        return total


@dataclass(frozen=True)
class Key:
    color: Color


pen = Item("pen")
pen.tags.append("new")
ink = Item("ink", 4)
print(pen, pen < ink, ink.cost(2))
key = Key(Color.RED)
try:
    key.color = Color.BLUE
except AttributeError as error:
    print(type(error).__name__)
color = Color(2)
print(color.name, key == Key(Color.RED))
