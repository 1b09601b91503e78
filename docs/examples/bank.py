class Account:
    def __init__(self, owner, balance=0):
        self.owner = owner
        self.balance = balance
        self.history = []

    def withdraw(self, amount):
        if amount > self.balance:
            raise ValueError(f"{self.owner} has only {self.balance}")
        self.balance -= amount
        self.history.append(-amount)


def spread(total, parts):
    shares = [total // parts] * parts
    for i in range(total % parts):
        shares[i] += 1
    return shares


account = Account("Ada", 100)
ledger = account.history
for share in spread(7, 3):
    account.withdraw(share)
try:
    account.withdraw(1000)
except ValueError as error:
    print("refused:", error)
print(ledger)
