from tests.support.services import STACK

# The linter reads the SQL of PostgreSQL.
collect_ignore = ["test_migrations.py"] if STACK == "embedded" else []
