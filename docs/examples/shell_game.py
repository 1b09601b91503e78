from random import random
cups = ["ball", "empty", "empty"]
if random() < 0.5:
    cups[0], cups[1] = cups[1], cups[0]
print(cups[0])
