# follow=3 commands=600
"""Calls in the positions that an expression and a statement have, and the order in which they are evaluated."""
xs = [0, 5]
def f(n):
    return n + 1
xs[f(0)] += f(2)
xs[f(f(-1))] = f(3)
a = xs[f(-1)] = 9
class P: pass
p = P(); p.q = p; p.n = 1
p.q.n += f(4)
p.q.q.n -= xs[f(0)] + f(1)
del xs[f(-1)]
n: int = f(7)
try:
    raise ValueError(f(3)) from KeyError(f(9))
except ValueError as e:
    print(e, repr(e.__cause__))
print(xs, a, p.n, n, xs[f(-1):f(2)], [f(i) for i in xs], [i for i in [f(3)]])
def g():
    global h
    h = len
    return [1,2]
def h(x): return 'h'
print(h(g()))
def tag(fn):
    import functools
    @functools.wraps(fn)
    def wrapper(*args, **kwargs):
        print('calling', fn.__name__)
        return fn(*args, **kwargs)
    return wrapper
@tag
def add(a, b=2): return a + b
print(add(1), add(2, b=f(3)))
class C:
    def __init__(self, n): self.n = n
    @classmethod
    def make(cls, n): return cls(n + 1)
    def more(self): return self.make(self.n)
c = C.make(3).more()
print(c.n)
m = c.more
print(m().n)
def main():
    print('main')
    return 0
assert f(1) == 2 and f(2) == 3, f(9)

def kind(v):
    match v:
        case bool(): return "bool"
        case int(k) | float(k): return k
        case [*_, last]: return last
print(kind(True), kind(2.5), kind([1, 2]))
class Base:
    __made = 3
    def __init__(self, n=f(4), *, k=[]): self.n = n; self.k = k
    def up(self, d=1): return self.n + d
    @classmethod
    def make(cls, n): return cls(n)
class Sub(Base):
    __made = 5
    def __init__(self, n):
        super().__init__(n + 1)
        self.m = n
    def up(self):
        __last = self.__made
        return super().up(f(__last)) * 2
    @classmethod
    def make(cls, n): return super().make(n + 5)
b = Sub(3)
up = b.up
print(b.up(), up(), b.make(2).n, Sub.make(3).m)
n = 1
def inc():
    global n
    n += 1
    return n
total = n + inc() * n
print(n, inc(), n, f"{n}{inc()}{n}", [n, *[inc()], n], n < inc() < n)
n += inc()
flag = n > 100 and inc() or not inc()
print(inc() if flag else n, flag)
raise SystemExit(f(n))
