"""Tests as pytest finds them: each item a snippet, its fixtures and parameters spelt as commands."""
