import pytest

from payments.stripe.currencies import format_amount, refuse_amount


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1250, "usd", "12.50 USD"),
        (500, "JPY", "500 JPY"),
        (1_234_560, "kwd", "1,234.560 KWD"),
        (123_456_789, "eur", "1,234,567.89 EUR"),
        (5, "usd", "0.05 USD"),
        (500, "isk", "5.00 ISK"),
    ],
)
def test_an_amount_is_shown_with_its_currencys_decimals(amount, currency, text):
    assert format_amount(amount, currency) == text


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        (50, "usd"),
        (50, "JPY"),
        (99_999_999, "eur"),
        (100_000_000, "idr"),
        (10, "kwd"),
        (500, "isk"),
        (1, "clp"),
    ],
)
def test_an_amount_that_stripe_charges_is_taken(amount, currency):
    assert refuse_amount(amount, currency) is None


@pytest.mark.parametrize(
    ("amount", "currency", "hint"),
    [
        (49, "usd", "from 50"),
        (100_000_000, "usd", "99999999"),
        (0, "clp", "from 1"),
        (11, "kwd", "last digit"),
        (150, "isk", "last two digits"),
        (1250, "xyz", "ISO 4217"),
    ],
)
def test_an_amount_that_stripe_would_refuse_is_refused_with_what_to_send(amount, currency, hint):
    assert hint in refuse_amount(amount, currency)
