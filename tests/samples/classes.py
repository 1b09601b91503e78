class Account:
    """An account.

    With a long text.
    """

    rate = 2
    opened = 0

    def __init__(self, owner, balance=0):
        self.owner = owner
        self.balance = balance
        Account.opened += 1

    def deposit(self, amount):
        if amount <= 0:
            raise ValueError("nothing to deposit")
        self.balance += amount
        return self

    @property
    def worth(self):
        return self.balance * self.rate

    @worth.setter
    def worth(self, value):
        self.balance = value // self.rate

    @classmethod
    def empty(cls, owner):
        return cls(owner)

    @staticmethod
    def check(amount):
        return amount > 0

    def __repr__(self):
        return f"Account({self.owner})"


class Savings(Account):
    rate = 3

    def __init__(self, owner):
        super().__init__(owner, 10)
        self.history = []

    def deposit(self, amount):
        self.history.append(amount)
        return super().deposit(amount)


ann = Account("ann")
ann.deposit(5).deposit(2)
ann.worth = 40
print(ann.worth, Account.empty("zoe").owner, Account.check(3), Account.opened)
bob = Savings("bob")
bob.deposit(7)
print(bob, bob.worth, bob.history, isinstance(bob, Account))
try:
    bob.deposit(-1)
except ValueError as error:
    print("refused:", error)
