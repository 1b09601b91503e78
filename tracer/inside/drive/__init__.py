"""The statement driver: walks a program's syntax tree and executes, as REPL commands, the statements that run."""
