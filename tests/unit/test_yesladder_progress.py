from __future__ import annotations

import pytest

from yesladder.progress import bars, progress_bar, status


def test_a_bar_is_drawn_on_standard_error_and_ends_at_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("reading", 8) as advance:
        advance(2)
        advance(6)
    said = capsys.readouterr()
    assert said.out == ""
    assert "reading" in said.err
    assert "100%" in said.err


def test_quiet_ones_say_nothing_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("reading", 8, quiet=True) as advance:
        advance(8)
    with bars(quiet=True) as progress:
        progress.add_task("x", total=1, note="")
    with status("building", quiet=True) as say:
        say("a model")
    assert capsys.readouterr() == ("", "")


def test_several_bars_carry_a_note_each(capsys: pytest.CaptureFixture[str]) -> None:
    with bars() as progress:
        progress.add_task("sending", total=1, completed=1, note="")
        task = progress.add_task("building", total=1, note="")
        progress.update(task, note="fct_sessions (3 of 9)")
    said = capsys.readouterr().err
    assert "sending" in said
    assert "fct_sessions (3 of 9)" in said


def test_an_error_inside_passes_through() -> None:
    with pytest.raises(ValueError, match="ours"), progress_bar("reading", 1):
        raise ValueError("ours")
