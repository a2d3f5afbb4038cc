"""Letters to a real mail server, web server and S3 server on loopback, which fail at chosen moments."""

from __future__ import annotations

import email
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer
from pyarrow.fs import S3FileSystem

from answers.document import Chart, Document, Paragraph
from answers.letter import Letter, letter
from answers.mail import compose
from answers.report_document import report_document
from answers.sending import Carriers, MailServer, Patience, Security, SendingError, send
from answers.targets import Target, parse_target
from answers.webhooks import slack_body, webhook_body
from ladder.errors import UsageError
from tests.suites.certificates import Authority
from tests.suites.hostile_names import HOSTILE
from tests.suites.mail_server import LOGIN, Fault as MailFault, Mailbox, mail_server
from tests.suites.named_facts import NOW, facts_with
from tests.suites.web_server import Fault as WebFault, Web

QUICK = Patience(attempts=3, first_s=0.01, longest_s=0.02, timeout_s=5)
ONE = replace(QUICK, attempts=1)
HURRIED = replace(QUICK, timeout_s=1, last_answer_s=1)


def patience(fault: object) -> Patience:
    """A short one only where there is an answer that never comes: a busy machine is no fault."""
    return HURRIED if fault == "hang" else QUICK


ANN = Target("mail", "ann@shop.example")
PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def weekly() -> Letter:
    return letter("weekly", facts_with("poll"), "html")


def server(box: Mailbox, port: int | None = None, security: Security = "none") -> Carriers:
    return Carriers(MailServer("127.0.0.1", "Yesladder <reports@shop.example>", port or box.port, security))


class Mail(HTMLParser):
    """The elements of a mail, and its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def parts(message: EmailMessage) -> dict[str, list[EmailMessage]]:
    found: dict[str, list[EmailMessage]] = {}
    for part in message.walk():
        found.setdefault(part.get_content_type(), []).append(part)
    return found


def test_a_mail_arrives_with_its_words_its_pictures_and_as_plain_text(box: Mailbox, weekly: Letter) -> None:
    send(weekly, ANN, server(box), QUICK)
    ((to, message),) = box.arrived
    assert to == ("ann@shop.example",)
    assert message["Subject"] == "poll: where people drop off, week 11 of 2026 (9 to 15 March)"
    assert (message["From"], message["To"]) == ("Yesladder <reports@shop.example>", "ann@shop.example")
    assert message["Message-ID"] == f"<{weekly.key(ANN)}@shop.example>"
    found = parts(message)
    (plain,), (page,), pictures = found["text/plain"], found["text/html"], found["image/png"]
    assert plain.get_content().startswith("# poll: where people drop off")
    read = Mail(page.get_content())
    assert "The drop-off at poll 1 rose by 10.0 points" in read.words
    shown = [attributes["src"] for tag, attributes in read.elements if tag == "img"]
    assert shown == [f"cid:{picture['Content-ID'].strip('<>')}" for picture in pictures]
    assert len(shown) == 5
    assert all(picture.get_content().startswith(PNG) for picture in pictures)
    assert not {"script", "style", "link", "iframe", "form", "object"} & {tag for tag, _ in read.elements}
    assert [a for tag, a in read.elements if "href" in a or str(a.get("src", "")).startswith("http")] == []
    assert "application/pdf" not in found


def test_a_pdf_comes_along_as_a_file(box: Mailbox) -> None:
    send(letter("weekly", facts_with("poll"), "pdf"), ANN, server(box), QUICK)
    ((_, message),) = box.arrived
    (attached,) = parts(message)["application/pdf"]
    assert attached.get_filename() == "weekly-week-2026-03-09.pdf"
    assert attached.get_content().startswith(b"%PDF-")


def test_a_hostile_name_is_words_in_a_mail(weekly: Letter) -> None:
    """It brings no element, no header, no address and no line of its own."""
    plain = email.message_from_bytes(compose(weekly, ANN, "r@shop.example").as_bytes(), policy=SMTP)
    read = Mail(parts(plain)["text/html"][0].get_content())
    for name in HOSTILE.values():
        made = compose(
            replace(letter("weekly", facts_with(name), "md"), document=pictureless(name)), ANN, "r@shop.example"
        )
        hostile = email.message_from_bytes(made.as_bytes(), policy=SMTP)
        assert [key for key, _ in hostile.items()] == [key for key, _ in plain.items()]
        assert hostile["To"] == "ann@shop.example"
        assert "\n" not in hostile["Subject"]
        found = Mail(parts(hostile)["text/html"][0].get_content())
        assert [tag for tag, _ in found.elements] == [tag for tag, _ in read.elements if tag != "img"]
        assert len(found.words) < 8 * len(read.words)


def pictureless(name: str) -> Document:
    """The report without its charts, which take their time; what is in them is tested beside them."""
    document = report_document(facts_with(name))
    return replace(document, blocks=tuple(block for block in document.blocks if not isinstance(block, Chart)))


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_is_plain_text_in_chat_and_json(weekly: Letter, name: str) -> None:
    hostile = letter("weekly", facts_with(name), "md")
    body = json.loads(slack_body(hostile))
    texts = [block.get("text") or block["elements"][0] for block in body["blocks"]]
    assert {text["type"] for text in texts} == {"plain_text"}
    assert not any(text["emoji"] for text in texts)
    assert all(len(text["text"]) <= (150 if n == 0 else 3000) for n, text in enumerate(texts))
    assert "<" not in body["text"]
    assert any("The surest drops:\n• “" in str(block["text"]["text"]) for block in body["blocks"] if "text" in block)
    assert len(body["blocks"]) == len(json.loads(slack_body(weekly))["blocks"]) <= 50
    assert json.loads(webhook_body(hostile, ANN))["file"]["content"] == hostile.file.decode()


def test_what_others_than_slack_set_as_markdown_holds_no_name_of_the_events() -> None:
    hostile = "![x](http://evil.example/p.png) @everyone <!channel> www.evil.example"
    body = json.loads(slack_body(letter("weekly", facts_with(hostile), "md")))
    assert not set("![]<>@/*`|#&") & set(body["text"])
    assert "evil.example" not in body["text"]
    named = replace(facts_with("poll"), ladder=replace(facts_with("poll").ladder, name="shop"))
    assert json.loads(slack_body(letter("weekly", named, "md")))["text"] == (
        "shop: where people drop off, week 11 of 2026 (9 to 15 March): 1,000 events, 280 sessions, 120 visitors"
    )


def test_different_reports_have_different_keys_and_the_same_has_the_same() -> None:
    facts = facts_with("poll")
    assert facts.period is not None
    letters = [
        letter("weekly", facts, "md"),
        letter("weekly", facts, "md", sender="a"),
        letter("weekly", facts, "html"),
        letter("daily", facts, "md"),
        letter("weekly", replace(facts, ladder=replace(facts.ladder, name="other")), "md"),
        letter("weekly", replace(facts, period=replace(facts.period, unit="visitor")), "md"),
        letter("weekly", replace(facts, period=replace(facts.period, segment="utm_source")), "md"),
    ]
    assert len({one.key(ANN) for one in letters}) == len(letters)
    later = letter("weekly", replace(facts, written_at=NOW + timedelta(hours=1)), "md")
    assert later.key(ANN) == letters[0].key(ANN) != later.key(Target("mail", "ben@shop.example"))


def test_reports_of_different_names_and_periods_are_different_files() -> None:
    plain = letter("weekly", facts_with("poll"), "md")
    names = ["weekly", "日报", "週報", "a b", "a-b", "a--b", "-a-b", "a_b", "report"]
    files = [replace(plain, name=name).file_name for name in names]
    assert len(set(files)) == len(files)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+-week-2026-03-09\.md", file) for file in files)
    assert files[0] == "weekly-week-2026-03-09.md"
    days = [
        replace(plain, kind=kind, period=f"2026-10-01/{until}").file_name
        for kind, until in (
            ("day", "2026-10-02"),
            ("month", "2026-11-01"),
            ("days", "2026-10-02"),
            ("days", "2026-10-03"),
        )
    ]
    assert len(set(days)) == 4


@pytest.mark.parametrize("fault", ["too busy", "greylist", "drop before data", "full"])
def test_a_mail_that_was_not_taken_is_tried_again_and_arrives_once(
    box: Mailbox, weekly: Letter, fault: MailFault
) -> None:
    box.faults = [fault]
    said: list[str] = []
    send(weekly, ANN, server(box), QUICK, said.append)
    assert (len(box.arrived), box.attempts) == (1, 2)
    assert len(said) == 1
    assert said[0].startswith("mail ann@shop.example: the mail server 127.0.0.1 ")


def test_a_server_that_stays_busy_is_left_after_the_last_attempt(box: Mailbox, weekly: Letter) -> None:
    box.faults = ["too busy"] * 9
    with pytest.raises(SendingError, match=r"answered 451 4\.3\.2 come back later"):
        send(weekly, ANN, server(box), QUICK)
    assert (box.attempts, box.arrived) == (3, [])


def test_a_refusal_for_good_is_not_tried_again(box: Mailbox, weekly: Letter) -> None:
    box.faults = ["refuse recipient"]
    with pytest.raises(SendingError, match=r"answered 550 5\.1\.1 no such user here"):
        send(weekly, ANN, server(box), QUICK)
    assert box.attempts == 1


@pytest.mark.parametrize("fault", ["drop after data", "hang"])
def test_a_mail_of_which_nothing_is_known_is_not_sent_again(box: Mailbox, weekly: Letter, fault: MailFault) -> None:
    box.faults = [fault]
    with pytest.raises(SendingError, match="hung up") as caught:
        send(weekly, ANN, server(box), patience(fault))
    assert caught.value.is_unsure
    assert len(box.ids) == 1


def test_a_server_that_takes_its_time_at_the_end_gets_a_mail_once(box: Mailbox, weekly: Letter) -> None:
    box.faults = ["slow"]
    send(weekly, ANN, server(box), replace(QUICK, timeout_s=0.5, last_answer_s=30))
    assert len(box.ids) == 1
    assert Patience().last_answer_s == 600


def test_a_line_that_is_a_dot_does_not_end_a_mail(box: Mailbox, weekly: Letter) -> None:
    dotted = replace(weekly, document=Document(".", (".", "..x"), (Paragraph("."), Paragraph("the end")), ()))
    send(dotted, ANN, server(box), ONE)
    ((_, message),) = box.arrived
    (plain,) = parts(message)["text/plain"]
    (composed,) = parts(compose(dotted, ANN, "r@shop.example"))["text/plain"]
    assert plain.get_content().replace("\r\n", "\n") == composed.get_content().replace("\r\n", "\n")
    assert "\n." in plain.get_content().replace("\r\n", "\n")


def test_a_stop_ends_the_wait_for_another_attempt(box: Mailbox, weekly: Letter) -> None:
    box.faults = ["too busy"] * 9
    stopping = threading.Event()
    with pytest.raises(SendingError, match="answered 451"):
        send(weekly, ANN, server(box), Patience(first_s=60), lambda _: stopping.set(), stopping)
    assert box.attempts == 1
    with pytest.raises(SendingError, match="answered 451"):
        send(weekly, ANN, server(box), QUICK, stopping=stopping)
    assert box.attempts == 2


def test_what_goes_wrong_while_a_mail_is_written_surely_did_not_arrive(box: Mailbox, weekly: Letter) -> None:
    with pytest.raises(SendingError, match="the mail cannot be written: KeyError") as caught:
        send(replace(weekly, document=replace(weekly.document, blocks=("x",))), ANN, server(box), QUICK)  # type: ignore[arg-type]  # no block
    assert not caught.value.is_unsure
    assert box.attempts == 0


def test_a_server_that_cannot_be_reached_or_trusted_is_named_in_one_line(box: Mailbox, weekly: Letter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SendingError, match=r"mail server 127\.0\.0\.1 cannot be reached: .*refused"):
        send(weekly, ANN, server(box, port), QUICK)
    with pytest.raises(SendingError, match="STARTTLS") as caught:
        send(weekly, ANN, server(box, security="starttls"), QUICK)
    assert not caught.value.is_passing
    with pytest.raises(SendingError):
        send(weekly, ANN, server(box, security="tls"), HURRIED)
    with pytest.raises(UsageError, match="YESLADDER_SMTP_HOST"):
        send(weekly, ANN, None, QUICK)
    assert ssl.create_default_context().verify_mode == ssl.CERT_REQUIRED
    assert box.arrived == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # the server does not see that all it hears is TLS
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_over_tls_and_with_a_login_a_mail_arrives_and_a_wrong_password_or_a_stranger_is_named(
    security: Security, weekly: Letter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path, "authority")
    user, password = LOGIN.login.decode(), LOGIN.password.decode()
    with mail_server(authority.vouch_for("mail"), is_tls_first=security == "tls") as box:
        place = MailServer("127.0.0.1", "reports@shop.example", box.port, security, user, password)
        with pytest.raises(SendingError, match=r"mail server 127\.0\.0\.1 has a certificate that is not trusted"):
            send(weekly, ANN, Carriers(place), QUICK)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        with pytest.raises(SendingError, match=r"answered 535 ") as caught:
            send(weekly, ANN, Carriers(replace(place, password="wrong horse")), QUICK)
        assert "horse" not in str(caught.value)
        assert not caught.value.is_passing
        with pytest.raises(SendingError, match=r"answered 530 .*uthentication required"):
            send(weekly, ANN, Carriers(replace(place, user=None)), QUICK)
        assert box.arrived == []
        send(weekly, ANN, Carriers(place), QUICK)
        assert box.ids == [f"<{weekly.key(ANN)}@shop.example>"]


def test_a_password_is_in_no_message_about_its_server() -> None:
    assert "secret" not in repr(MailServer("h", "a@b.example", user="u", password="secret"))


def hook(web: Web, kind: str = "webhook") -> Target:
    (target,) = parse_target(web.url if kind == "webhook" else f"slack+{web.url}")
    return target


def test_a_webhook_gets_the_report_and_its_key(web: Web, weekly: Letter) -> None:
    send(weekly, hook(web), None, QUICK)
    (call,) = web.calls
    assert call.headers["content-type"] == "application/json"
    assert call.key == f'"{weekly.key(hook(web))}"'
    assert call.json["key"] == weekly.key(hook(web))
    assert (call.json["report"], call.json["period"]) == ("weekly", "2026-03-09/2026-03-16")
    assert call.json["file"]["content"].encode() == weekly.file
    assert call.json["summary"][0].startswith("The drop-off at poll 1 rose")


@pytest.mark.parametrize("fault", [500, 502, 503, 429, 408, "drop", "drop after reading", "hang"])
def test_a_webhook_is_called_again_with_the_same_key(web: Web, weekly: Letter, fault: WebFault) -> None:
    web.faults = [fault]
    send(weekly, hook(web), None, patience(fault))
    assert len({call.key for call in web.calls}) == 1
    assert len(web.calls) == (1 if fault == "drop" else 2)
    assert len({call.body for call in web.calls}) == 1


@pytest.mark.parametrize("fault", ["bad gzip", "endless"])
@pytest.mark.parametrize("kind", ["webhook", "slack"])
def test_an_answer_whose_body_is_odd_is_an_answer(web: Web, weekly: Letter, kind: str, fault: WebFault) -> None:
    web.faults = [fault]
    send(weekly, hook(web, kind), None, HURRIED)
    assert len(web.calls) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 301])
def test_what_a_webhook_refuses_is_not_sent_again(web: Web, weekly: Letter, code: int) -> None:
    web.faults = [code]
    with pytest.raises(SendingError, match=f"answered {code}"):
        send(weekly, hook(web), None, QUICK)
    assert len(web.calls) == 1


@pytest.mark.parametrize("fault", ["drop after reading", "hang", 500, 504])
def test_chat_that_may_have_got_it_is_not_sent_it_again(web: Web, weekly: Letter, fault: WebFault) -> None:
    web.faults = [fault]
    with pytest.raises(SendingError) as caught:
        send(weekly, hook(web, "slack"), None, patience(fault))
    assert caught.value.is_unsure
    assert len(web.calls) == 1
    assert web.url not in str(caught.value)


@pytest.mark.parametrize("fault", [429, 503])
def test_chat_that_says_it_took_nothing_is_tried_again(web: Web, weekly: Letter, fault: WebFault) -> None:
    web.faults = [fault]
    web.retry_after = "0.01"
    send(weekly, hook(web, "slack"), None, QUICK)
    assert len(web.calls) == 2


def test_the_pause_that_a_server_asks_for_is_kept_up_to_the_longest(web: Web, weekly: Letter) -> None:
    web.faults = [429]
    web.retry_after = "3600"
    send(weekly, hook(web), None, QUICK)
    assert len(web.calls) == 2


def test_nobody_listening_is_told_without_the_secret_address(weekly: Letter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (target,) = parse_target(f"slack+http://127.0.0.1:{port}/services/secret")
    with pytest.raises(SendingError, match="cannot be reached") as caught:
        send(weekly, target, None, QUICK)
    assert not caught.value.is_unsure
    assert "secret" not in str(caught.value)


def test_a_file_is_written_whole_into_its_folder(tmp_path: Path, weekly: Letter) -> None:
    (target,) = parse_target(f"{tmp_path}/new/")
    send(weekly, target)
    send(weekly, target)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["weekly-week-2026-03-09.html"]
    assert (tmp_path / "new" / "weekly-week-2026-03-09.html").read_bytes() == weekly.file


@pytest.fixture(scope="module")
def store() -> Iterator[tuple[S3FileSystem, Carriers]]:
    """An S3 server; who may use it, the environment tells as it does elsewhere."""
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    _, port = moto.get_host_and_port()
    endpoint = f"http://127.0.0.1:{port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        files = S3FileSystem(allow_bucket_creation=True, endpoint_override=endpoint)
        files.create_dir("reports")
        yield files, Carriers(None, endpoint)
    moto.stop()


def test_s3_gets_the_file_under_its_key(store: tuple[S3FileSystem, Carriers], weekly: Letter) -> None:
    files, by = store
    for text in ("s3://reports/team/", "s3://reports/team/", "s3://reports/latest.html"):
        send(weekly, parse_target(text)[0], by, QUICK)
    for key in ("reports/team/weekly-week-2026-03-09.html", "reports/latest.html"):
        with files.open_input_stream(key) as stored:
            assert stored.read() == weekly.file
        assert httpx.head(f"{by.s3_endpoint}/{key}").headers["content-type"] == "text/html; charset=utf-8"


def test_a_bucket_that_is_not_there_is_told_at_once(store: tuple[S3FileSystem, Carriers], weekly: Letter) -> None:
    said: list[str] = []
    with pytest.raises(SendingError, match=r"s3 nobodys/x\.html: .*does not exist") as caught:
        send(weekly, Target("s3", "nobodys/x.html"), store[1], QUICK, said.append)
    assert not caught.value.is_passing
    assert said == []


def test_an_s3_server_that_is_away_is_tried_again(weekly: Letter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SendingError, match=r"s3 reports/x\.html: ") as caught:
        send(
            weekly,
            Target("s3", "reports/x.html"),
            Carriers(None, f"http://127.0.0.1:{port}"),
            replace(QUICK, attempts=1),
        )
    assert caught.value.is_passing
