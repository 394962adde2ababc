"""The chaos run: everything fails while money moves, and afterwards every account has to agree.

`make chaos` runs it. What it does and how to read its table is told in docs/chaos.md.
"""
