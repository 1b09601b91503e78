def check(values):
    for value in values:
        if value < 0:
            raise ValueError(f"negative: {value}\nsecond line")
    return True


check([1])
check([2, -3])
print("never")
