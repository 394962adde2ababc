import pytest

from payments.sandbox.errors import ApiError
from payments.sandbox.form import MAX_DEPTH, MAX_PARAMETERS, decode


def test_brackets_make_hashes_and_empty_brackets_arrays():
    assert decode(b"a=1&b[c][0][d]=x%20y+z&e[]=1&e[]=2&f=") == {
        "a": "1",
        "b": {"c": {"0": {"d": "x y z"}}},
        "e": ["1", "2"],
        "f": "",
    }


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
        b"a[][b]=1",
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
