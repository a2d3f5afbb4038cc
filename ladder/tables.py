"""The lake's tables: columns, grain and meaning.  The stream writes them, the warehouse stores and reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from ladder.events import ARROW_SCHEMA

_TIME = pa.timestamp("us", tz="UTC")

MARKED_EVENT = pa.struct(
    [
        pa.field("offset_us", pa.int64(), nullable=False),
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("tier", pa.int16()),
        pa.field("role", pa.string()),
        pa.field("step", pa.string()),
    ]
)
"""One place in a session's sequence: microseconds since its start, the event, and one of its marks.

An event with two marks stands there twice, an event with none once with null tier, role and step.
"""

ORIGIN = [
    pa.field("source", pa.string(), nullable=False),
    pa.field("partition", pa.int32(), nullable=False),
]
"""Where rows came from: ``kafka:TOPIC`` with the Kafka partition, or ``file:DIGEST`` with partition 0."""

LANDED = pa.field("landed_date", pa.date32(), nullable=False)
"""The UTC day of the commit; every table's partition column (docs/decisions/0004)."""

EVENTS: pa.Schema = pa.schema(
    [
        *ARROW_SCHEMA,
        pa.field("late", pa.bool_(), nullable=False),
        *ORIGIN,
        pa.field("record_offset", pa.int64(), nullable=False),
        LANDED,
    ]
)
"""One row per accepted event.  ``late``: arrived after the watermark, so in no session until re-sessionised."""

REMOVED_COPIES = "copies removed"
"""The tally of ``events`` of how many copies of other events were taken out of it, after they had landed."""

SESSIONS: pa.Schema = pa.schema(
    [
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("ladder", pa.string(), nullable=False),
        pa.field("visitor_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string()),
        pa.field("started_at", _TIME, nullable=False),
        pa.field("ended_at", _TIME, nullable=False),
        *[
            pa.field(count, pa.int32(), nullable=False)
            for count in ("events", "asks", "yeses", "noes", "rewards", "cheers", "regrets")
        ],
        pa.field("highest_tier", pa.int16()),
        pa.field("tiers_reached", pa.list_(pa.int16()), nullable=False),
        pa.field("first_ask_tier", pa.int16()),
        pa.field("largest_leap", pa.int16()),
        pa.field("capped", pa.bool_(), nullable=False),
        pa.field("page_url", pa.string()),
        pa.field("referrer", pa.string()),
        pa.field("utm_source", pa.string()),
        pa.field("utm_medium", pa.string()),
        pa.field("utm_campaign", pa.string()),
        pa.field("device_class", pa.string()),
        pa.field("sequence", pa.list_(MARKED_EVENT), nullable=False),
        *ORIGIN,
        LANDED,
    ]
)
"""One row per closed session, ``session_id`` unique.

``highest_tier``: of its yeses.  ``first_ask_tier``: the lowest tier of its first asking event.  ``largest_leap``: the
largest (tier asked - highest tier held), where an event's own yes is held before its own ask; null without asks.
Page, referrer, campaign and device are each the first value that an event of the session carries.
``capped``: cut by a cap on length or events; the visitor went on in the next session.
"""

REJECTS: pa.Schema = pa.schema(
    [
        pa.field("reason", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("raw", pa.binary(), nullable=False),
        pa.field("rejected_at", _TIME, nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        *ORIGIN,
        pa.field("record_offset", pa.int64(), nullable=False),
        LANDED,
    ]
)
"""One row per refused event (the dead letters).  ``stage``: `collector`, `stream` or `file`; ``raw``: its bytes."""

CHECKPOINTS: pa.Schema = pa.schema(
    [
        *ORIGIN,
        pa.field("first_offset", pa.int64(), nullable=False),
        pa.field("next_offset", pa.int64(), nullable=False),
        *[
            pa.field(count, pa.int64(), nullable=False)
            for count in ("landed", "duplicates", "rejected", "late", "skipped_offsets")
        ],
        pa.field("watermark", _TIME),
        pa.field("open_since", _TIME),
        pa.field("committed_at", _TIME, nullable=False),
        LANDED,
    ]
)
"""One row per checkpoint and partition: what it took in, [first_offset, next_offset), and what became of it.

``skipped_offsets``: offsets that held no record for us (lost by the broker, or a transaction's marks).
``open_since``: the oldest event that is in no session yet.
"""


@dataclass(frozen=True)
class Position:
    """How far a partition has come with a checkpoint; what it takes to go on from there.

    ``newest``: the newest event time seen.  ``settled_until``: every older event is late or in a session.  Both None
    before the first event.
    """

    next_offset: int
    newest: datetime | None = None
    settled_until: datetime | None = None


TABLES: dict[str, pa.Schema] = {
    "events": EVENTS,
    "rejects": REJECTS,
    "checkpoints": CHECKPOINTS,
    "sessions": SESSIONS,
}
"""In the order of a checkpoint's commits; ``sessions`` comes last and is the truth."""

ALERTS: pa.Schema = pa.schema(
    [
        pa.field("notice_id", pa.string(), nullable=False),
        pa.field("alert_id", pa.string(), nullable=False),
        pa.field("what", pa.string(), nullable=False),
        pa.field("ladder", pa.string(), nullable=False),
        pa.field("tier", pa.int16(), nullable=False),
        pa.field("tier_name", pa.string(), nullable=False),
        pa.field("step", pa.string(), nullable=False),
        pa.field("segment", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("minute", _TIME, nullable=False),
        pa.field("raised", _TIME, nullable=False),
        pa.field("since", _TIME, nullable=False),
        *[pa.field(name, pa.float64(), nullable=False) for name in ("fall", "lost", "lost_low", "lost_high")],
        pa.field("asks_an_hour", pa.float64(), nullable=False),
        pa.field("sure", pa.bool_(), nullable=False),
        pa.field("told", pa.bool_(), nullable=False),
        pa.field("quiet", pa.string()),
        pa.field("carried_by", pa.string(), nullable=False),
        pa.field("series", pa.string()),
        pa.field("mark", pa.string()),
        pa.field("marked_at", _TIME),
        pa.field("headline", pa.string(), nullable=False),
        pa.field("written_at", _TIME, nullable=False),
        LANDED,
    ]
)
"""One row per notice about an alert, ``notice_id`` unique; rows with the same ``alert_id`` are about the same trouble.

``what``: `raised`, `joined`, `changed`, `resolved`, `lasting` or `ended`.  ``segment``: `column=value, ...`, empty for
all of a step.  ``minute``: the minute that was judged; ``raised``: that of the first notice of these people; ``since``:
when the fall began.  ``fall``: the share of yeses missing; ``lost``: yeses, with a 95% interval.  ``told``: whether
sinks were told; ``quiet``: why not.  ``carried_by``: JSON list of segment values with what each lost.  ``series``:
JSON list of the hour's minutes (since 1970) up to ``minute``, or up to its alarm where it was told late, each with
yeses expected and those that came.
"""

BESIDE: dict[str, pa.Schema] = {"alerts": ALERTS}
"""Tables of the lake that are no part of a checkpoint, of builds or of erasure: they are about nobody in person."""

TIME_COLUMN = {
    "events": "occurred_at",
    "sessions": "started_at",
    "rejects": "rejected_at",
    "checkpoints": "committed_at",
    "alerts": "minute",
}
"""The column each table's files carry statistics of."""
