"""What `manage.py fetch_webhooks` is asked for wrongly, and what it answers."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--since", "31d"], "Stripe keeps events for 30 days"),
        (["--since", "1d", "--until", "2d"], "later than --since"),
        (["--since", "yesterday"], "2026-01-31"),
        (["--type", "customer.created"], "charge.refunded"),
        (["--payment", "17"], "payment"),
        (["--pending-minutes", "0"], "1 or more"),
        (["--ride", "ride_1", "--since", "1d"], "Choose events or payments"),
    ],
)
def test_wrong_usage_is_refused_with_what_to_send(arguments, hint, capfd, settings):
    settings.DEBUG = True  # as the command's own process has it
    from django.core.management import ManagementUtility

    with pytest.raises(SystemExit) as ended:
        ManagementUtility(["manage.py", "fetch_webhooks", *arguments]).execute()
    assert ended.value.code == 2
    assert hint in capfd.readouterr().err
