def pick(list):
    next = list[0]
    iter = next
    for _ in list:
        bool = _ > iter
        if bool:
            next = _
    return next


print(pick([2, 9, 4]))
len = 3
for x in {1: "a"}:
    range = x
_ = "underscore"
type = len + range
iter = next = bool = print
for item in iter.__name__.split("n"):
    if item:
        next(item, type, _)
