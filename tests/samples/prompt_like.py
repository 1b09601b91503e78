def table(rows):
    for row in rows:
        print("...", row)


table([">>>"])
