"""Addresses that browsers and libraries read differently are refused, and what says so says what to send instead."""

import pytest

from payments.api.addresses import check_web_address

GOOD = [
    "https://shop.example",
    "https://shop.example/",
    "HTTPS://Shop.Example/Paid",
    "http://localhost:3000/paid",
    "https://shop.example:65535?paid=1#end",
    "https://shop.example./a//b;c",
    "https://a_b.shop-1.example/",
    "https://xn--bcher-kva.example/",
    "https://XN--BCHER-KVA.example/",
    "https://xn--fiqs8s.xn--0zwm56d/",
    "https://xn--i-7iq.example/",
    "https://xn--strae-oqa.example/",
    "https://xn--mgbaam7a8h.example/",
    "http://127.0.0.1:8000/",
    "http://[::1]:8000/",
    "http://[2001:db8::1]/",
    "https://shop.example/paid?session={CHECKOUT_SESSION_ID}&a@b=c:d#{CHECKOUT_SESSION_ID}",
    "https://shop.example/größe/日本?q=%20%0a",
    "https://shop.example/e\u0301/\u0e01\u0e33/\u0915\u093f/\U0001f695?q=«»#—",
]
BAD = [
    "",
    "shop.example",
    "//shop.example/",
    "https:shop.example",
    "https:/shop.example",
    "https:///shop.example",
    "https://",
    "https://?a",
    "https://#a",
    "javascript://shop.example/%0aalert(1)",
    "ftp://shop.example/",
    " https://shop.example/",
    "https://shop.example/ ",
    "https://evil.example\\@shop.example/",
    "https://shop.example\\evil",
    "https://[::1].evil.example/",
    "https://[::1]evil:80/",
    "https://x[::1]/",
    "https://shop.example/?a=\\",
    "https:\\\\shop.example/",
    "https://user@shop.example/",
    "https://user:password@shop.example/",
    "https://@shop.example/",
    "https://:@shop.example/",
    "https://shop.example:99999/",
    "https://shop.example:0/",
    "https://shop.example:/",
    "https://shop.example:http/",
    "https://shop.example:-1/",
    "https://shop.example:8 0/",
    "https://shop.example:\uff18\uff10/",
    "https://:80/",
    "https://%00/",
    "https://shop%2eexample/",
    "https://shop..example/",
    "https://.shop.example/",
    "https://bücher.example/",
    "https://shop\u3002example/",
    "https://shop.example\uff0fevil/",
    "https://xn--ü.example/",
    "https://xn--\x80.example/",
    *(
        f"https://xn--{('shop' + character).encode('punycode').decode()}.example/"
        for character in "\u200b\u034f\u3164\u2800\xad\ue000\u3002\u2024\uff0e"
    ),
    "https://xn--shop-.example/",
    "https://xn--.example/",
    "https://xn--" + "bÜcher".encode("punycode").decode() + ".example/",
    "https://xn--" + "bu\u0308cher".encode("punycode").decode() + ".example/",
    "https://xn--" + "\u0308bucher".encode("punycode").decode() + ".example/",
    "https://xn--99999999999.example/",
    "https://{CHECKOUT_SESSION_ID}/",
    "https://shop<.example/",
    "https://shop|.example/",
    "https://shop,example/",
    "http://1.2.3.4.5/",
    "http://256.0.0.1/",
    "http://0x7f.1/",
    "http://2130706433/",
    "http://127.0.0.01/",
    "http://[::1/",
    "http://[::1%25eth0]/",
    "http://[1.2.3.4]/",
    "http://[v1.a]/",
    "http://::1/",
    "https://" + "a" * 64 + ".example/",
    "https://" + "a." * 127 + "example/",
]
INVISIBLE = "\x00\t\n\v\f\r\x1b \x7f\x80\x85\x9b\xa0\xad\u061c\u1680\u2003\u200b\u200e\u2028\u2029\u202e\u2066\u205f\u3000\ufeff"
INVISIBLE += (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180e\u180f\u2060\u2065\u2069\u206f\u2800\u3164\ufe00\ufe0f\uffa0"
)
INVISIBLE += "\ud800\udfff\ue000\uf8ff\ufdd0\ufff0\ufff8\ufff9\ufffb\ufffc\uffff\u0378"
INVISIBLE += "\U0001bca0\U0001d173\U0001ffff\U000e0000\U000e0020\U000e0100\U000e0fff\U000f0000\U0010ffff"


@pytest.mark.parametrize("url", GOOD)
def test_an_address_that_everybody_reads_alike_is_taken_as_it_is(url):
    assert check_web_address(url) == url


@pytest.mark.parametrize("url", BAD)
def test_an_address_that_is_read_differently_is_refused(url):
    with pytest.raises(ValueError, match=r"^send "):
        check_web_address(url)


@pytest.mark.parametrize("character", INVISIBLE, ids=lambda character: f"U+{ord(character):04X}")
@pytest.mark.parametrize(
    "where",
    ["{}https://a.example/", "https://a{}.example/", "https://a.example/b{}c", "https://a.example/{}"],
)
def test_spaces_and_what_is_invisible_are_refused_everywhere(where, character):
    with pytest.raises(ValueError, match=r"^send "):
        check_web_address(where.format(character))


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/",
        "https://SHOP.example:8443/a",
        "http://shop.example.?a=b",
        "https://riders.example/",
        "https://a.b.riders.example",
        "https://[0:0::1]/",
        "http://127.0.0.1:3000/",
    ],
)
def test_where_hosts_are_named_their_addresses_are_taken(url, settings):
    settings.RETURN_HOSTS = RETURN_HOSTS

    assert check_web_address(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://evil.example/?u=https://shop.example",
        "https://evil.example#shop.example",
        "https://shop.example.evil.example/",
        "https://xshop.example/",
        "https://a.shop.example/",
        "https://xriders.example/",
        "https://shop.example..",
        "https://shop.example@evil.example/",
        "https://evil.example\\@shop.example/",
        "https://[::2]/",
        "http://127.0.0.2/",
    ],
)
def test_where_hosts_are_named_no_other_is_taken(url, settings):
    settings.RETURN_HOSTS = RETURN_HOSTS

    with pytest.raises(ValueError, match=r"^send "):
        check_web_address(url)


RETURN_HOSTS = ["shop.example", ".riders.example", "::1", "127.0.0.1"]
