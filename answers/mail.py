"""A report as a mail: tables with inline styles and pictures that come along, and the same as plain text."""

from __future__ import annotations

import hashlib
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from answers.document import Bullets, Chart, Heading, Paragraph, Table
from answers.letter import Letter
from answers.mail_addresses import mail_address
from answers.markdown import markdown
from answers.page import render
from answers.targets import Target

_KINDS = {Heading: "heading", Paragraph: "paragraph", Bullets: "bullets", Table: "table", Chart: "chart"}


def compose(letter: Letter, target: Target, sender: str) -> EmailMessage:
    """The mail to one address.  The same letter to the same address has the same ``Message-ID``, whenever it is made.

    A PDF comes along as a file; a page does not, since its script is what mail clients refuse.  ``sender``: an address,
    or ``Name <address>``.
    """
    message = EmailMessage(policy=SMTP)
    address = mail_address(sender)
    message["Subject"] = letter.document.title
    message["From"] = address
    message["To"] = Address(addr_spec=target.where)
    message["Date"] = format_datetime(letter.written_at)
    message["Message-ID"] = f"<{letter.key(target)}@{address.domain or 'yesladder.invalid'}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(markdown(letter.document), cte="quoted-printable")
    charts = letter.pictures
    cids = {name: f"{name}.{hashlib.sha256(image).hexdigest()[:16]}@yesladder" for name, image in charts.items()}
    page = render(
        "letter.html",
        styles=[],
        document=letter.document,
        blocks=[(_KINDS[type(block)], block) for block in letter.document.blocks],
        preview=" ".join(letter.short)[:200],
        cids=cids,
    )
    message.add_alternative(page, subtype="html", cte="quoted-printable")
    body = message.get_payload(1)
    if isinstance(body, EmailMessage):
        for name, image in charts.items():
            body.add_related(image, "image", "png", cid=f"<{cids[name]}>", filename=f"{name}.png", disposition="inline")
    if letter.how == "pdf":
        message.add_attachment(letter.file, "application", "pdf", filename=letter.file_name)
    return message
