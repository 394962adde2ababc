"""`make cluster`: PostgreSQL, Valkey and several server processes on one port, for trials and tests.

`__main__.py` prepares the folder and the database, and becomes supervisord, which runs and restarts the processes of
supervisord.conf. Both servers come from PyPI wheels of the development extra. docs/cluster.md describes the settings.
"""
