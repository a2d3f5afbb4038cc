"""What `yesladder audit --json` prints; ``docs/audit.schema.json`` is made from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from answers.audit_facts import Audit

VERSION = 1
"""Another one where a field goes or means something else; fields may be added to this one."""


@dataclass(frozen=True)
class AuditSaid:
    """``all``: of everybody.  ``by``: of each value of ``segment``.  ``html``, ``markdown``: files written."""

    version: int
    ladder: str
    since: date | None
    until: date | None
    segment: str | None
    html: str | None
    markdown: str | None
    all: Audit
    by: dict[str, Audit]
