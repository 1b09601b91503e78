"""The statement driver: a program's syntax tree in, commands of a session out."""
