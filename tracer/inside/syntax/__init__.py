"""Syntax trees and text: scopes and renaming, commands as text, output as a doctest can show it."""
