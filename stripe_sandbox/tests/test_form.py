import pytest

from stripe_sandbox.api.form import MAX_DEPTH, MAX_PARAMETERS, decode
from stripe_sandbox.errors import ApiError


def test_brackets_make_hashes_and_empty_brackets_arrays():
    assert decode(b"a=1&b[c][0][d]=x%20y+z&e[]=1&e[]=2&f=") == {
        "a": "1",
        "b": {"c": {"0": {"d": "x y z"}}},
        "e": ["1", "2"],
        "f": "",
    }


def test_a_name_that_comes_again_begins_the_next_hash_of_an_array():
    first = b"a[][b][c]=1&a[][b][d]=2&a[][e]=3"
    second = b"a[][e]=4&a[][f][]=5&a[][f][]=6"
    assert decode(first + b"&" + second) == {
        "a": [{"b": {"c": "1", "d": "2"}, "e": "3"}, {"e": "4", "f": ["5", "6"]}]
    }
    assert decode(b"a[b][][c]=1&a[b][][c]=2") == {"a": {"b": [{"c": "1"}, {"c": "2"}]}}


def test_the_last_of_two_values_counts():
    assert decode(b"a=1&a=2") == {"a": "2"}


@pytest.mark.parametrize(
    "encoded",
    [
        b"a=1&a[b]=2",
        b"a[b]=2&a=1",
        b"a[]=1&a[b]=2",
        b"a[b]=1&a[]=2",
        b"a=1&a[]=2",
        b"a[=1",
        b"a]=1",
        b"[a]=1",
        b"a[][]=1",
        b"a[]=1&a[][b]=1",
        b"a[][b]=1&a[]=1",
        b"a[][b]=1&a[][b][c]=1",
        b"a[b][][c]=1&a[b][d]=1",
        b"a[[b]]=1",
        b"=1",
        b"a=%00",
        b"a=%ff",
        b"\xff=1",
        b"a" + b"[a]" * MAX_DEPTH + b"=1",
        b"&".join(b"a%d=1" % number for number in range(MAX_PARAMETERS + 1)),
    ],
)
def test_what_makes_no_sense_or_too_much_is_refused(encoded):
    with pytest.raises(ApiError, match="Invalid request"):
        decode(encoded)
