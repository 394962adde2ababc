import pytest

from access.escaping import escape


@pytest.mark.parametrize("text", ["", "evt_1", "Größe 5 €", "乗車 🚕", r"a\b", "a b"])
def test_text_that_people_write_stays_as_it_is(text):
    assert escape(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\nERROR forged", r"a\nERROR forged"),
        ("\x1b[2J\x07\x00", r"\x1b[2J\x07\x00"),
        ("\x9b2J\x85", r"\x9b2J\x85"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\u202etxt.exe\u2066\u200f", r"\u202etxt.exe\u2066\u200f"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_moves_a_cursor_begins_a_line_or_turns_text_around_is_written_out(text, escaped):
    assert escape(text) == escaped
