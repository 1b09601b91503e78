"""Puts draws into programs: it runs in a jail, on the text of strangers."""
