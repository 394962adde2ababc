"""The chaos run: everything fails while money moves, and afterwards every account has to agree.

`make chaos` runs it. docs/chaos.md says what it does and how to read its table.
"""
