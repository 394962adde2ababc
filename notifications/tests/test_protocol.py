import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications import protocol
from notifications.protocol import Ping, Register

GUIDE_ERROR = (
    r'{"type":"error","message":"Invalid message format. '
    r'Send {\"type\": \"register\", \"userId\": \"your_user_id\"}"}'
)


def registration(**fields):
    return json.dumps({"type": "register", "userId": "user_123"} | fields)


def test_the_guides_registration_is_understood():
    request = protocol.parse('{"type": "register", "userId": "user_123"}')
    assert request == Register(type="register", userId="user_123")
    assert request.last_seq is None
    assert request.token is None


@pytest.mark.parametrize(
    "user_id", ["a", "a@b.com", "auth0|1", "😀", "user 1", " ", "x" * 128, "😀" * 128, "﷽\n\t"]
)
def test_any_user_id_can_be_registered(user_id):
    assert protocol.parse(registration(userId=user_id)).user_id == user_id
    assert protocol.parse(json.dumps({"type": "register", "userId": user_id}, ensure_ascii=False))


@pytest.mark.parametrize("last_seq", [0, 1, 2**63 - 1])
def test_a_registration_may_say_what_the_client_has(last_seq):
    assert protocol.parse(registration(lastSeq=last_seq)).last_seq == last_seq


def test_a_registration_may_carry_a_token():
    assert protocol.parse(registration(token="a.b.c")).token == "a.b.c"


def test_keys_that_are_not_known_are_ignored():
    assert protocol.parse(registration(version=2, extra={"deep": [1, 2]})).user_id == "user_123"
    assert protocol.parse('{"type":"ping","at":1}') == Ping(type="ping")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        "hello",
        "null",
        "NaN",
        "17",
        "[]",
        '"register"',
        "{}",
        '{"type":"register"}',
        '{"userId":"user_123"}',
        '{"type":"subscribe","userId":"user_123"}',
        '{"type":["register"],"userId":"user_123"}',
        '{"type":null,"userId":"user_123"}',
        '{"type":"Register","userId":"user_123"}',
        '{"type":"register","user_id":"user_123"}',
        '{"type":"register","userId":"user_123"',
        '{"type":"register","userId":"user_123"} {}',
        "{'type':'register','userId':'user_123'}",
        '\ufeff{"type":"ping"}',
        r'{"type":"register","userId":"\ud800"}',
        r'{"type":"register","userId":"\udc00x"}',
        '{"type":"register","userId":"\ud800"}',
        r'{"type":"register","userId":"a\u0000b"}',
        registration(userId=""),
        registration(userId="x" * 129),
        registration(userId=None),
        registration(userId=1),
        registration(userId=True),
        registration(userId=["user_123"]),
        registration(lastSeq=-1),
        registration(lastSeq=2**63),
        registration(lastSeq=10**400),
        registration(lastSeq=1.0),
        registration(lastSeq=True),
        registration(lastSeq="1"),
        registration(lastSeq=None),
        registration(token=1),
        registration(token=None),
        '{"type":"register","userId":"user_123","lastSeq":' + "9" * 10_000 + "}",
        "[" * 10_000,
        '{"a":' * 3_000,
        '{"type":"ping","x":' + "[" * 5_000 + "]" * 5_000 + "}",
        registration(padding="x" * 16 * 1024),
        registration(padding="x" * 1024 * 1024),
        json.dumps({"type": "ping", "padding": "😀" * 5_000}, ensure_ascii=False),
    ],
)
def test_anything_else_is_no_valid_message(text):
    assert protocol.parse(text) is None


def test_a_message_may_have_16_kib_and_no_more():
    empty = len(registration(padding=""))
    assert protocol.parse(registration(padding="x" * (16 * 1024 - empty)))
    assert protocol.parse(registration(padding="x" * (16 * 1024 - empty + 1))) is None


ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=5,
)
KEYS = st.sampled_from(["type", "userId", "token", "lastSeq", "other"])
VALUES = st.sampled_from(["register", "ping"]) | JSON


@given(ANY_TEXT)
def test_no_text_ever_raises(text):
    assert protocol.parse(text) is None or isinstance(protocol.parse(text), Register | Ping)


@given(JSON | st.dictionaries(KEYS, VALUES))
def test_no_json_ever_raises_and_a_registration_always_has_a_usable_user_id(value):
    request = protocol.parse(json.dumps(value))
    if isinstance(request, Register):
        assert request.user_id.encode()
        assert len(request.user_id) <= 128


def test_frames_are_the_guides_with_their_keys_in_order_and_nothing_added():
    assert protocol.registration_success(user_id="user_123") == (
        '{"type":"registration_success",'
        '"message":"Successfully registered for payment notifications","userId":"user_123"}'
    )
    assert protocol.INVALID_MESSAGE == GUIDE_ERROR
    assert protocol.PONG == '{"type":"pong"}'


def test_a_resuming_client_is_sent_the_newest_number_and_whether_the_gap_follows():
    text = protocol.registration_success(user_id="u", lastSeq=7, resumed=False, epoch="e-1")
    assert list(json.loads(text)) == ["type", "message", "userId", "lastSeq", "resumed", "epoch"]
    assert text.endswith('"userId":"u","lastSeq":7,"resumed":false,"epoch":"e-1"}')


def test_an_error_with_a_cause_of_its_own_has_a_code():
    assert protocol.error(message="No.", code="unauthorized") == (
        '{"type":"error","message":"No.","code":"unauthorized"}'
    )


@given(st.dictionaries(ANY_TEXT, ANY_TEXT | st.integers() | st.none(), min_size=1))
def test_a_number_is_added_as_the_last_key(frame):
    frame.pop("seq", None)
    text = protocol.encode(frame | {"type": "news"})
    assert text.isascii()
    numbered = json.loads(protocol.with_seq(text, 42))
    assert list(numbered.items()) == [*json.loads(text).items(), ("seq", 42)]


def test_a_frame_with_no_json_form_is_refused():
    with pytest.raises(TypeError):
        protocol.encode({"amount": object()})
    with pytest.raises(ValueError, match="JSON"):
        protocol.encode({"amount": float("nan")})
