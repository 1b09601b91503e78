def spread(total, parts):
    shares = [total // parts] * parts
    for i in range(total % parts):
        shares[i] += 1
    return shares

stock = {"a": 5}
alias = stock
for share in spread(7, 3):
    alias["a"] -= share
print(stock)
