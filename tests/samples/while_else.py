n = 3
while n:
    n -= 1
else:
    done = "ran out"
while True:
    n += 1
    if n == 2:
        continue
    if n > 3:
        break
else:
    done = "never"
while n > 100:
    n = 0
print(n, done)
