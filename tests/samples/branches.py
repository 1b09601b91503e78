def grade(points):
    if points >= 90:
        return "A"
    elif points >= 60:
        return "B"
    else:
        return "C"


seen = []
for points in (95, 70, 10):
    seen.append(grade(points))
if seen:
    first = seen[0]
if not seen:
    first = None
elif len(seen) == 3 and first == "A":
    first = first.lower()
print(first, seen)
