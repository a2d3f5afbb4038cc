from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from answers.targets import Kind, Target, file_of, parse_target
from ladder.errors import UsageError


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mailto:ann@shop.example", [("mail", "ann@shop.example")]),
        ("mailto:a@x.example, b%2Bn@x.example,a@x.example", [("mail", "a@x.example"), ("mail", "b+n@x.example")]),
        ("slack+https://hooks.slack.com/services/a/b", [("slack", "https://hooks.slack.com/services/a/b")]),
        ("https://chat.example/hooks/1?x=2", [("webhook", "https://chat.example/hooks/1?x=2")]),
        ("s3://bucket/reports/weekly.html", [("s3", "bucket/reports/weekly.html")]),
        ("s3://bucket/reports/", [("s3", "bucket/reports/")]),
        ("reports/friday.html", [("file", "reports/friday.html")]),
        ("C:weird name.html", [("file", "C:weird name.html")]),
        ("file:///srv/a%20b.html", [("file", "/srv/a b.html")]),
        ("file://localhost/srv/a.html", [("file", "/srv/a.html")]),
        ("./hooks.slack.com/services/x", [("file", "./hooks.slack.com/services/x")]),
        ("reports.2026/friday.html", [("file", "reports.2026/friday.html")]),
    ],
)  # fmt: skip
def test_a_target_says_what_and_where(text: str, wanted: list[tuple[str, str]]) -> None:
    assert [(target.kind, target.where) for target in parse_target(text)] == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mailto:", "'' is no mail address"),
        ("mailto:ann", "'ann' is no mail address"),
        ("mailto:a@b.example,x\r\nBcc: e@evil.example", "is no mail address"),
        ("mailto:a%0d%0aBcc:e@evil.example", "is no mail address"),
        ("mailto:ünal@x.example", "is no mail address"),
        ("slack+https:///x", "no web address"),
        ("https://host:notaport/", "no web address"),
        ("s3://bucket", "write s3://BUCKET/KEY"),
        ("s3://key:secret@bucket/x", "credentials come from the environment"),
        ("ftp://x/y", "there are a path, mailto:ADDRESS"),
        ("", "there are a path, mailto:ADDRESS"),
        ("mailto:a..b@shop.example", "'a..b@shop.example' is no mail address"),
        ("mailto:ann@shop..example", "'ann@shop..example' is no mail address"),
        ("mailto:Ann <ann@shop.example>", "is no mail address"),
        ("mailto:ann@shop.example?subject=x", "what comes after ? is not taken"),
        ("ann@shop.example", "write mailto:ann@shop.example"),
        ("https://[bad/", "no web address"),
        ("s3://[x/y", "write s3://BUCKET/KEY"),
        ("file://host/x", "of this machine's files alone"),
        ("file://[x/y", "of this machine's files alone"),
        ("hooks.slack.com/services/T/x", "write https://... or slack+https://..."),
        ("hooks.slack.com:443/services/T/x", "write https://... or slack+https://..."),
        ("localhost:9000", "write https://... or slack+https://..."),
        ("//hooks.slack.com/services/T/x", "write https://... or slack+https://..."),
        ("slack:https://hooks.slack.com/services/T/x", "there are a path, mailto:ADDRESS"),
    ],
)
def test_what_is_no_target_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "slack+https://hooks.slack.com:99999/services/SECRET",
        "slack+htps://hooks.slack.com/services/SECRET",
        "hooks.slack.com/services/SECRET",
        "https://me:SECRET@chat.example:99999/x",
        "htps://chat.example?token=SECRET",
        "slack:https://hooks.slack.com/services/SECRET",
        "https://[bad/SECRET",
        "s3://key:SECRET@bucket/x",
    ],
)
def test_what_may_be_a_secret_is_in_no_refusal(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text)
    assert "SECRET" not in str(caught.value)


def test_a_name_keeps_the_secret_of_a_webhook() -> None:
    (target,) = parse_target("slack+https://user:pw@hooks.slack.com/services/T0/B0/secret?token=secret")
    assert target.name == f"slack hooks.slack.com ({target.digest[:6]})"
    assert "secret" not in target.digest
    assert Target("mail", "ann@x.example").name == "mail ann@x.example"


def test_only_mail_and_chat_cannot_tell_a_second_copy() -> None:
    assert {kind for kind in get_args(Kind) if not Target(kind, "x").knows_copies} == {"mail", "slack"}


def test_a_folder_gets_a_file_of_the_reports_name(tmp_path: Path) -> None:
    assert file_of(Target("file", str(tmp_path)), "week.html") == f"{tmp_path}/week.html"
    assert file_of(Target("file", f"{tmp_path}/new/"), "week.html") == f"{tmp_path}/new/week.html"
    assert file_of(Target("file", f"{tmp_path}/a.html"), "week.html") == f"{tmp_path}/a.html"
    assert file_of(Target("s3", "bucket/a/"), "week.html") == "bucket/a/week.html"
    assert file_of(Target("s3", "bucket/a"), "week.html") == "bucket/a"
