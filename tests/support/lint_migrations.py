"""`make lint`: say whether each migration can be run on PostgreSQL while the version before it serves.

`python -m tests.support.lint_migrations`; exit code 1 where one cannot.
"""

import os
import sys
from pathlib import Path


def lint(*, app: str | None = None) -> bool:
    """Print what is wrong with our migrations, or with those of one app; return whether nothing is.

    Migrations that only make an app's first tables are left out: nothing is served from those yet.
    """
    # These need Django's settings, which `main` names first.
    from django.apps import apps
    from django.conf import settings
    from django_migration_linter import MigrationLinter

    others = [
        config.label for config in apps.get_app_configs() if Path(config.path).parent != settings.BASE_DIR
    ]
    linter = MigrationLinter(
        all_warnings_as_errors=True,
        exclude_apps=others,
        ignore_initial_migrations=True,
        quiet=["ignore", "ok"],
        no_cache=True,
    )
    linter.lint_all_migrations(app_label=app)
    return not linter.has_errors


def main() -> None:
    os.environ["TEST_STACK"] = "services"
    os.environ["TEST_REDIS_URL"] = "redis://nobody.invalid/0"  # not asked for anything
    os.environ["DJANGO_SETTINGS_MODULE"] = "payments_project.settings"
    import django

    from tests.support import services  # noqa: F401 starts the database

    django.setup()
    sys.exit(not lint())


if __name__ == "__main__":
    main()
