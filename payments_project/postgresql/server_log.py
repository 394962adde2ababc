"""Check once, at the start, whether PostgreSQL would write customers' data and Checkout links into its own log.

The values stand in the statements, and people who read the log may seldom read the tables.
Source: https://www.postgresql.org/docs/current/runtime-config-logging.html
"""

from django.db import OperationalError, connection

QUIET = {
    "log_min_error_statement": ("panic", "fatal", "log"),  # the statement that failed
    "log_error_verbosity": ("terse",),  # `Failing row contains (…)`, and the line of JSON that cannot be read
    "log_parameter_max_length_on_error": ("0",),
    "log_statement": ("none", "ddl"),
    "log_min_duration_statement": ("-1",),
}
"""Settings of the server by name, with the values that keep rows out of its log. The first is recommended."""


def problem() -> str:
    """Return which settings would write rows into the log, in a sentence or two; empty if none would."""
    if connection.vendor != "postgresql":
        return ""
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name", [list(QUIET)]
            )
            values: dict[str, str] = dict(cursor.fetchall())
    except OperationalError:  # the next use of the database reports it
        return ""
    loud = [name for name, value in values.items() if value not in QUIET[name]]
    if not loud:
        return ""
    advice = ", ".join(f"{name}={QUIET[name][0]}" for name in loud)
    return (
        "PostgreSQL may write Checkout links and customers' ids into its own log, with the statements that fail or are "
        f"slow. Let it start with {advice}."
    )
