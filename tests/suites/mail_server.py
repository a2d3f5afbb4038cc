"""A real SMTP server on loopback that fails when it is told to."""

from __future__ import annotations

import asyncio
import email
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from pathlib import Path
from typing import Any, Literal, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

Fault = Literal[
    "refuse recipient", "greylist", "full", "drop before data", "drop after data", "hang", "slow", "too busy"
]


class Mailbox:
    """What has arrived, also where the sender was not told so.  ``faults``: what goes wrong with the next mails."""

    def __init__(self) -> None:
        self.port = 0
        self.faults: list[Fault] = []
        self.arrived: list[tuple[tuple[str, ...], EmailMessage]] = []
        self.attempts = 0
        self.release = threading.Event()

    @property
    def ids(self) -> list[str]:
        """The Message-IDs of what has arrived."""
        return [str(message["Message-ID"]) for _, message in self.arrived]

    def _next(self, *of: Fault) -> Fault | None:
        return self.faults.pop(0) if self.faults and self.faults[0] in of else None

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.attempts += 1
        if self._next("too busy") is not None:
            return "451 4.3.2 come back later"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        match self._next("refuse recipient", "greylist", "drop before data"):
            case "refuse recipient":
                return "550 5.1.1 no such user here"
            case "greylist":
                return "450 4.2.0 greylisted"
            case "drop before data":
                cast(Any, server).transport.abort()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        fault = self._next("full", "drop after data", "hang", "slow")
        if fault == "full":
            return "452 4.2.2 the mailbox is full"
        content = envelope.content
        data = content.encode() if isinstance(content, str) else content or b""
        message = email.message_from_bytes(data, policy=SMTP_POLICY)
        self.arrived.append((tuple(envelope.rcpt_tos), message))
        if fault == "drop after data":
            cast(Any, server).transport.abort()
        if fault == "hang":
            await asyncio.get_running_loop().run_in_executor(None, self.release.wait, 60)
        if fault == "slow":
            await asyncio.sleep(1)
        return "250 OK"


LOGIN = LoginPassword(b"reports", b"correct horse")


def _know(server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: object) -> AuthResult:
    return AuthResult(success=login == LOGIN, handled=False)


@contextmanager
def mail_server(certificate: Path | None = None, *, is_tls_first: bool = False) -> Iterator[Mailbox]:
    """It listens on ``port`` of 127.0.0.1 until the block ends.

    With a ``certificate`` (and its key) it takes mail only after ``LOGIN``, over TLS: after STARTTLS, or from the first
    byte on.
    """
    mailbox = Mailbox()
    context: ssl.SSLContext | None = None
    demands: dict[str, Any] = {}
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        demands = {"authenticator": _know, "auth_required": True, "auth_require_tls": not is_tls_first}
        demands |= {} if is_tls_first else {"require_starttls": True, "tls_context": context}
    loop = asyncio.new_event_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    mailbox.port = listening.getsockname()[1]
    server = loop.run_until_complete(
        loop.create_server(
            lambda: SMTP(mailbox, hostname="mail.test", enable_SMTPUTF8=True, **demands),
            sock=listening,
            ssl=context if is_tls_first else None,
        )
    )
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield mailbox
    finally:
        mailbox.release.set()
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
