"""`make cluster`: PostgreSQL, Valkey and several server processes on one port, for trying and for tests.

supervisor runs and restarts them all, as supervisord.conf says; `__main__.py` prepares what it starts, and becomes it.
Both servers come from PyPI wheels of the development extra. What can be set is described in docs/cluster.md.
"""
