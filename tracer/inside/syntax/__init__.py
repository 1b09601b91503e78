"""From syntax trees to command text, and back from output to doctest text: pure functions that run no program."""
