"""A warning at the start where PostgreSQL's own log would get rows of the tables."""

import pytest
from django.db import connection

from payments_project.postgresql import server_log
from tests.support.services import STACK

pytestmark = pytest.mark.django_db


def set_all(**changes):
    """Set every setting to what is recommended, but for the changes."""
    recommended = {name: values[0] for name, values in server_log.QUIET.items()}
    with connection.cursor() as cursor:
        for name, value in (recommended | changes).items():
            cursor.execute(f"SET LOCAL {name} = '{value}'")


if STACK == "embedded":

    def test_sqlite_has_no_log():
        assert server_log.problem() == ""

else:

    def test_a_server_that_keeps_rows_out_of_its_log_is_no_problem():
        set_all()

        assert server_log.problem() == ""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("log_min_error_statement", "error"),
            ("log_error_verbosity", "default"),
            ("log_parameter_max_length_on_error", "64"),
            ("log_statement", "mod"),
            ("log_min_duration_statement", "250"),
        ],
    )
    def test_a_setting_that_writes_rows_into_the_log_is_named(name, value):
        set_all(**{name: value})

        assert f"start with {name}={server_log.QUIET[name][0]}." in server_log.problem()
