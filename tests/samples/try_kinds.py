def divide(a, b):
    try:
        result = a / b
    except ZeroDivisionError:
        return "none"
    except (TypeError, ValueError) as error:
        result = str(type(error).__name__)
    else:
        result = result * 2
    finally:
        print("finally", a)
    return result


def swallow():
    try:
        raise KeyError("lost")
    finally:
        return "kept"


def convert(text):
    try:
        return int(text)
    except ValueError as error:
        raise RuntimeError("bad " + text) from error


print(divide(1, 2), divide(1, 0), divide(1, "x"))
print(swallow())
try:
    convert("7x")
except RuntimeError as error:
    print(error, type(error.__cause__).__name__)
try:
    try:
        [][0]
    except IndexError:
        print("inner")
        raise
except LookupError as error:
    kept = error
print(kept, "error" in dir())
try:
    try:
        {}["k"]
    finally:
        print("cleanup")
except KeyError as error:
    print(error.args)
for n in range(3):
    try:
        if n == 1:
            continue
        if n == 2:
            break
    finally:
        print("n", n)
try:
    pass
except:
    pass
else:
    print("fine")
try:
    raise SystemExit(3)
except SystemExit as error:
    print("exit", error.code)
caught = "mine"
try:
    int("""a
b""")
except ValueError as error:
    print(error)
print(caught)


def answer():
    try:
        {}["x"]
    except KeyError as error:
        return error


print(repr(answer()))


def decided():
    n = 1
    try:
        return n
    finally:
        n = 2
        print("too late", n)


print(decided())
