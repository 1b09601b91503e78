from dataclasses import dataclass


@dataclass
class Point:
    x: int
    y: int


def kind(value):
    match value:
        case 0:
            return "zero"
        case True | None:
            return "flag"
        case int(n) if n > 100:
            return f"big {n}"
        case str() as text:
            return "text " + text
        case [first, *others] if others:
            return f"{first} then {others}"
        case (only,):
            return only
        case {"k": inner, **rest}:
            return inner, rest
        case Point(x=0, y=y):
            return "axis", y
        case Point(x, y):
            return "point", x + y
        case float.real | -1:
            return "never"
        case _:
            return "other"


for value in (0, None, 200, "s", [1, 2], (5,), {"k": 1, "z": 2}, Point(0, 3), Point(1, 2), 7):
    print(kind(value))
command = "go north now"
match command.split():
    case ["go", direction, *_]:
        print(direction)
match command:
    case "stop":
        print("no")
