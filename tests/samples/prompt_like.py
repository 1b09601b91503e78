def table(rows):
    for row in rows:
        print("...", row)


quiet = ">>> not a prompt"
print(len(quiet))
