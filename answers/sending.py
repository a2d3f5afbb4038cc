"""Sending a letter, with patience: what surely did not arrive, or does no harm twice, is tried again."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from answers.letter import Letter
from answers.mail import compose
from answers.page import write_page
from answers.targets import Target, file_of
from answers.webhooks import slack_body, webhook_body
from ladder.errors import UsageError, YesladderError

Security = Literal["starttls", "tls", "none"]
PORTS: Mapping[Security, int] = {"starttls": 587, "tls": 465, "none": 25}

_NOT_TAKEN = frozenset((429, 503))
"""Answers by which a server says that it did nothing."""
_AGAIN = frozenset((408, 409, 425, 429, 500, 502, 503, 504))
"""Answers after which the same request with the same key may do better."""


_REFUSED = ("ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_", "SIGNATURE", "HTTP status 403", "HTTP status 404")
"""What the store's client says of what another attempt would not mend."""


@dataclass(frozen=True)
class MailServer:
    """``security``: TLS from the beginning, after STARTTLS, or none at all.  ``user``: None where none is asked for."""

    host: str
    sender: str
    port: int | None = None
    security: Security = "starttls"
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Carriers:
    """By what things are sent.  ``mail``: None where no mails are.  ``s3_endpoint``: None for Amazon's own."""

    mail: MailServer | None = None
    s3_endpoint: str | None = None


@dataclass(frozen=True)
class Patience:
    """``attempts`` in all, ``first_s`` seconds apart, then twice as long, up to ``longest_s``.

    ``timeout_s``: for each answer but one: ``last_answer_s`` for a mail server's to the end of a mail, which it may
    give only when it has handed the mail on (RFC 5321, 4.5.3.2.6: ten minutes).
    """

    attempts: int = 4
    first_s: float = 2.0
    longest_s: float = 60.0
    timeout_s: float = 30.0
    last_answer_s: float = 600.0


class SendingError(YesladderError):
    """A letter was not sent.  ``is_passing``: another time may do.  ``is_unsure``: it may have arrived all the same."""

    def __init__(
        self, message: str, *, is_passing: bool = False, is_unsure: bool = False, after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.is_passing = is_passing
        self.is_unsure = is_unsure
        self.after_s = after_s


def send(
    letter: Letter,
    target: Target,
    by: Carriers | None = None,
    patience: Patience | None = None,
    say: Callable[[str], None] = lambda _: None,
    stopping: threading.Event | None = None,
) -> None:
    """Send it once, with several attempts.  Raises ``SendingError``, or ``UsageError`` for what no attempt can mend.

    Where it is unsure whether an attempt arrived, there is another one only if the target knows copies
    (``Target.knows_copies``).  ``say``: hears of each attempt that failed and is made again.  ``stopping``: once it is
    set, no other attempt is made.
    """
    patience, by = patience or Patience(), by or Carriers()
    stopping = threading.Event() if stopping is None else stopping

    def attempt() -> None:
        match target.kind:
            case "file":
                write_page(letter.file, Path(file_of(target, letter.file_name)))
            case "mail":
                _mail(letter, target, by.mail, patience)
            case "slack":
                _post(target, slack_body(letter), {}, patience.timeout_s)
            case "webhook":
                key = letter.key(target)
                _post(target, webhook_body(letter, target), {"Idempotency-Key": f'"{key}"'}, patience.timeout_s)
            case "s3":
                _put(letter, target, by.s3_endpoint, patience.timeout_s)

    def is_worth_it(error: BaseException) -> bool:
        is_safe = isinstance(error, SendingError) and error.is_passing and (not error.is_unsure or target.knows_copies)
        return is_safe and not stopping.is_set()

    backing_off = wait_exponential_jitter(multiplier=patience.first_s, max=patience.longest_s, jitter=patience.first_s)

    def wait(state: RetryCallState) -> float:
        error = None if state.outcome is None else state.outcome.exception()
        asked = error.after_s if isinstance(error, SendingError) else None
        return backing_off(state) if asked is None else min(asked, patience.longest_s)

    failed: list[BaseException] = []

    def tell(state: RetryCallState) -> None:
        error = None if state.outcome is None else state.outcome.exception()
        failed[:] = [] if error is None else [error]
        say(f"{error}; again in a moment")

    def pause(seconds: float) -> None:
        if stopping.wait(seconds):
            raise failed[0]

    Retrying(
        stop=stop_after_attempt(patience.attempts),
        wait=wait,
        retry=retry_if_exception(is_worth_it),
        before_sleep=tell,
        sleep=pause,
        reraise=True,
    )(attempt)


def _mail(letter: Letter, target: Target, server: MailServer | None, patience: Patience) -> None:
    if server is None:
        raise UsageError(
            f"{target.name}: no mail server is set; give YESLADDER_SMTP_HOST and YESLADDER_SMTP_FROM (docs/reports.md)"
        )
    try:
        message = compose(letter, target, server.sender)
    except UsageError:
        raise
    except Exception as error:  # whatever it is, nothing has gone out yet
        raise SendingError(f"{target.name}: the mail cannot be written: {type(error).__name__}: {error}") from error
    place = f"{target.name}: the mail server {server.host}"
    try:
        connection = _connected(server, patience.timeout_s)
    except ssl.SSLCertVerificationError as error:
        raise SendingError(f"{place} has a certificate that is not trusted: {error.verify_message}") from None
    except smtplib.SMTPResponseException as error:
        raise _answered(place, error) from None
    except smtplib.SMTPNotSupportedError as error:
        raise SendingError(f"{place}: {_line(str(error))} Look at YESLADDER_SMTP_SECURITY.") from None
    except (OSError, smtplib.SMTPException) as error:
        raise SendingError(f"{place} cannot be reached: {_why(error)}", is_passing=True) from None
    try:
        _deliver(connection, message, patience, target, place)
    finally:
        connection.close()


def _connected(server: MailServer, timeout_s: float) -> smtplib.SMTP:
    port = server.port or PORTS[server.security]
    context = ssl.create_default_context()
    if server.security == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(server.host, port, timeout=timeout_s, context=context)
    else:
        connection = smtplib.SMTP(server.host, port, timeout=timeout_s)
    try:
        if server.security == "starttls":
            connection.starttls(context=context)
        if server.user is not None:
            connection.login(server.user, server.password or "")
    except BaseException:
        connection.close()
        raise
    return connection


def _deliver(connection: smtplib.SMTP, message: EmailMessage, patience: Patience, target: Target, place: str) -> None:
    """A mail counts as handed over when its last line goes out; before, a server must not deliver it."""
    from_address = message["From"].addresses[0].addr_spec
    lines = re.sub(rb"(?m)^\.", b"..", message.as_bytes())
    is_handed_over = False
    try:
        connection.ehlo_or_helo_if_needed()
        _agreed(connection.mail(from_address), 250)
        _agreed(connection.rcpt(target.where), 250)
        _agreed(connection.docmd("DATA"), 354)
        connection.send(lines if lines.endswith(b"\r\n") else lines + b"\r\n")
        if connection.sock is not None:
            connection.sock.settimeout(patience.last_answer_s)
        is_handed_over = True
        connection.send(b".\r\n")
        _agreed(connection.getreply(), 250)
    except smtplib.SMTPResponseException as error:
        raise _answered(place, error) from None
    except (OSError, smtplib.SMTPException) as error:
        raise SendingError(f"{place} hung up: {_why(error)}", is_passing=True, is_unsure=is_handed_over) from None
    try:
        connection.quit()
    except (OSError, smtplib.SMTPException):
        return  # it has taken the mail, which is all that matters


def _agreed(answer: tuple[int, bytes], good: int) -> None:
    code, words = answer
    if code != good and (good, code) != (250, 251):
        raise smtplib.SMTPResponseException(code, words)


def _answered(place: str, error: smtplib.SMTPResponseException) -> SendingError:
    words = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
    return SendingError(f"{place} answered {error.smtp_code} {_line(words)}", is_passing=400 <= error.smtp_code < 500)


def _post(target: Target, body: bytes, headers: Mapping[str, str], timeout_s: float) -> None:
    said = {"Content-Type": "application/json", "User-Agent": "yesladder", **headers}
    try:
        with httpx.stream("POST", target.where, content=body, headers=said, timeout=timeout_s) as answer:
            if answer.is_success:
                return
            words = _words(answer)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise SendingError(f"{target.name} cannot be reached: {_why(error)}", is_passing=True) from None
    except httpx.HTTPError as error:
        raise SendingError(f"{target.name} did not answer: {_why(error)}", is_passing=True, is_unsure=True) from None
    except (httpx.InvalidURL, UnicodeError) as error:
        raise UsageError(f"{target.name}: no web address: {error}") from None
    raise SendingError(
        f"{target.name} answered {answer.status_code} {words}".rstrip(),
        is_passing=answer.status_code in _AGAIN,
        is_unsure=answer.status_code in _AGAIN - _NOT_TAKEN,
        after_s=_retry_after(answer),
    )


def _words(answer: httpx.Response) -> str:
    """The beginning of what is said; empty where it cannot be read."""
    said = b""
    try:
        for part in answer.iter_bytes():
            said += part
            if len(said) >= 1000:
                break
    except httpx.HTTPError:
        return ""
    return _line(said.decode(errors="replace"))


def _retry_after(answer: httpx.Response) -> float | None:
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "")))
    except ValueError:
        return None


def _put(letter: Letter, target: Target, endpoint: str | None, timeout_s: float) -> None:
    from pyarrow.fs import S3FileSystem

    try:
        store = S3FileSystem(endpoint_override=endpoint, connect_timeout=timeout_s, request_timeout=timeout_s)
        with store.open_output_stream(
            file_of(target, letter.file_name), metadata={"Content-Type": letter.media_type}
        ) as out:
            out.write(letter.file)
    except OSError as error:
        words = _line(str(error))
        raise SendingError(f"{target.name}: {words}", is_passing=not any(sign in words for sign in _REFUSED)) from None


def _why(error: Exception) -> str:
    if isinstance(error, (TimeoutError, socket.timeout, httpx.TimeoutException)):
        return "no answer in time"
    return _line(str(error)) or type(error).__name__


def _line(words: str) -> str:
    """The first 200 letters, on one line, of what somebody else's server says."""
    return "".join(letter if letter.isprintable() else " " for letter in words)[:200].strip()
