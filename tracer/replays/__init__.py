"""Replays with the verdict outside: readers that print a session again, and the supervisor's comparison."""
