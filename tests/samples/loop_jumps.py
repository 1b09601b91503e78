def find(rows, wanted):
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            if value < 0:
                continue
            if value == wanted:
                return i, j
            if value > 9:
                break
        else:
            continue
        return "too big"
    return None


rows = [[1, -2], [3, 4]]
print(find(rows, 4))
print(find(rows, 5))
print(find([[10]], 1))
for row in rows:
    while row:
        if row.pop() < 0:
            break
    else:
        print("emptied", rows)
