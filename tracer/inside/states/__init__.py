"""Sets of weighted program states: snapshots, paths, the merging interpreter, supports, beliefs, automata."""
