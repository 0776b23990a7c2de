import pytest

from cyrene_assets.utils.errors import BuildError, UserError
from cyrene_assets.utils.text_safety import escape_control_chars


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert escape_control_chars("a\x1b[2Jb\x07\x9b31m") == r"a\x1b[2Jb\x07\x9b31m"
    assert (
        escape_control_chars("\u202eevil\u2066\u200f\U000e0041")
        == r"\u202eevil\u2066\u200f\U000e0041"
    )
    assert escape_control_chars("carriage\rreturn") == r"carriage\rreturn"
    assert escape_control_chars("\ud800").encode() == rb"\ud800"


@pytest.mark.parametrize(
    "text", ["", "two\nlines\tand a tab", "昔涟 ภาษา café 👩‍👩‍👧 ‍é", "a\u00a0b"]
)
def test_other_text_stays_what_it_is(text: str) -> None:
    assert escape_control_chars(text) == text


@pytest.mark.parametrize("kind", [UserError, BuildError])
def test_no_error_carries_an_escape_sequence(kind: type[UserError | BuildError]) -> None:
    assert str(kind("speaker '\x1b]0;owned\x07'")) == r"speaker '\x1b]0;owned\x07'"
