from __future__ import annotations

import pytest

from answers.audit_words import names_any, quoted, words


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Email Given", ("email", "given")),
        ("emailGiven", ("email", "given")),
        ("EMAIL_GIVEN", ("email", "given")),
        ("E-Mail given", ("email", "given")),
        ("leave your e-mails!", ("leave", "your", "emails")),
        ("checkout/step-2", ("checkout", "step", "2")),
        ("HTMLMail", ("html", "mail")),
        ("", ()),
        ("...", ()),
        ("Größe wählen", ("grösse", "wählen")),
    ],
)
def test_words_are_told_apart_as_people_write_them(name: str, found: tuple[str, ...]) -> None:
    assert words(name) == found


def test_a_phrase_is_found_word_by_word_and_never_inside_of_a_word() -> None:
    assert names_any(["Book a Call now"], ["demo", "book a call"])
    assert not names_any(["a call to action", "paying attention", "democracy"], ["book a call", "pay", "demo"])
    assert not names_any([], ["demo"])
    assert not names_any(["demo"], [])


def test_a_very_long_name_is_neither_searched_nor_quoted_to_its_end() -> None:
    name = "x " * 5000 + "demo"
    assert not names_any([name], ["demo"])
    assert len(quoted(name)) < 120
    assert quoted("two\nlines\u202e") == "“two lines\N{REPLACEMENT CHARACTER}”"
