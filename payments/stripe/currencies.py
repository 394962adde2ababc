"""The currencies that Stripe takes, their decimals, and the least and the most that it charges.

The service and its sandbox both read them here. Source: https://docs.stripe.com/currencies
"""

from decimal import Decimal

MAXIMUM = 99_999_999
"""Stripe takes eight digits of minor units, except where MAXIMUMS says otherwise."""
MAXIMUMS = {"idr": 999_999_999_999}
LARGEST = max(MAXIMUMS.values())

ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
"""Their last digit has to be 0: card networks settle two decimals."""
WHOLE_ONLY = frozenset("isk ugx".split())
"""No decimals any more, but Stripe still counts them in hundredths: the last two digits have to be 00."""
TWO_DECIMAL = frozenset(
    """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf
    chf cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf
    idr ils inr jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn
    myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp
    sle sos srd std szl thb tjs top try ttd twd tzs uah usd uyu uzs wst xcd xcg yer zar zmw
    """.split()
)
SUPPORTED = ZERO_DECIMAL | THREE_DECIMAL | WHOLE_ONLY | TWO_DECIMAL

_MINIMA = """
    usd 50 aed 200 aud 50 brl 50 cad 50 chf 50 czk 1500 dkk 250 eur 50 gbp 30 hkd 400 huf 17500 inr 50 jpy 50
    mxn 1000 myr 200 nok 300 nzd 50 pln 200 ron 200 sek 300 sgd 50 thb 1000
"""
MINIMUM = dict(zip(_MINIMA.split()[::2], map(int, _MINIMA.split()[1::2]), strict=True))
"""In minor units, where Stripe names one; the minimum of other currencies depends on the account."""


def refuse_amount(amount: int, currency: str) -> str | None:
    """Return why Stripe would not charge `amount` minor units of `currency`, or None where it would."""
    currency = currency.lower()
    if currency not in SUPPORTED:
        return f"Stripe does not take the currency {currency!r}: send an ISO 4217 code such as 'usd'."
    minimum, maximum = MINIMUM.get(currency, 1), largest(currency)
    if not minimum <= amount <= maximum:
        return f"Send an amount from {minimum} to {maximum} minor units of {currency}."
    if currency in THREE_DECIMAL and amount % 10:
        return f"Stripe counts {currency} in thousandths, and the last digit has to be 0."
    if currency in WHOLE_ONLY and amount % 100:
        return f"Stripe counts {currency} in hundredths, and the last two digits have to be 00."
    return None


def largest(currency: str) -> int:
    """Return the most that Stripe charges, in minor units."""
    return MAXIMUMS.get(currency.lower(), MAXIMUM)


def decimals(currency: str) -> int:
    """Return how many decimals the minor units of a currency stand for."""
    currency = currency.lower()
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def format_amount(amount: int, currency: str) -> str:
    """Return minor units as a person reads them: `1250, "usd"` is `12.50 USD`, `500, "jpy"` is `500 JPY`."""
    places = decimals(currency)
    return f"{Decimal(amount).scaleb(-places):,.{places}f} {currency.upper()}"
