"""Each index has a query that needs it: docs/schema.md names both, and is held to the database here."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from tests.support.plans import on_postgresql

pytestmark = [pytest.mark.django_db, on_postgresql]


def indexes():
    """Return the names of the service's indexes, without the hash at the end of those that Django names."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename LIKE 'payments!_%' ESCAPE '!'"
            " OR tablename LIKE 'notifications!_%' ESCAPE '!' OR tablename LIKE 'access!_%' ESCAPE '!'"
        )
        return [re.sub("_[0-9a-f]{8}$", "", name) for (name,) in cursor.fetchall()]


def test_each_index_is_named_with_its_query():
    page = Path(settings.BASE_DIR, "docs/schema.md").read_text()
    rows = re.findall(r"^\| (`.+?) \| .+ \|$", page, re.MULTILINE)
    named = [name for row in rows for name in re.findall("`([^`]+)`", row)]

    assert sorted(named) == sorted(indexes())


def test_no_text_has_a_second_index_for_how_it_begins():
    assert not [name for name in indexes() if name.endswith("_like")]
