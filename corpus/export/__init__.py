"""Other datasets written from what rows keep: no code is run, and no column but theirs is read."""
