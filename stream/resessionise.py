"""Which sessions late events and surplus copies make wrong, and what stands in their place: frames in, frames out.

A *run* is a visitor's events and sessions between two silences longer than the gap: no session reaches from one run
into another, whatever cut it, so a run is replaced as a whole or not at all.  A run is *settled* when it ended more
than a gap before its partition's settled time: no event that a worker holds open, or will still take as on time, can
belong to it.  Only settled runs are touched, so a worker and a repair never speak of the same event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import pyarrow as pa

from ladder.tiers import Ladder
from stream.history import sessionise_history

SESSION_KEY = ("partition", "session_id")
ENTRY = ("partition", "visitor_id", "event_id", "occurred_at")
"""What tells that an event is in a session: the time, too, as for a worker that starts."""

_VISITOR = ("partition", "visitor_id")
_TIME = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Repair:
    """What is to go and to come, and what must stay as it is.

    ``gone``: sessions (``SESSION_KEY``); ``come``: the ones in their place; ``surplus``: rows of the events given that
    are copies of others.  ``late``: events that were in no session and are now: late ones, and such as an erasure had
    left without one.  ``waiting``: late events and copies in runs that are not settled.  ``cut_otherwise``: those in
    runs where another ladder's sessions stand.  ``incomplete``: those in runs whose sessions hold events that are not
    there any more, so that they cannot be cut again.
    """

    gone: pl.DataFrame
    come: pa.Table
    surplus: pl.DataFrame
    visitors: int
    late: int
    waiting: int
    cut_otherwise: int
    incomplete: int


def repair(
    events: pl.DataFrame,
    sessions: pl.DataFrame,
    ladder: Ladder,
    source: str,
    settled_until: Mapping[int, datetime],
) -> Repair:
    """Work a repair out for some visitors of one source.

    ``events``: all that these visitors landed, in the columns ``HELD``, ``late`` and ``is_surplus`` (a copy of an event
    that counts elsewhere); further ones are kept in ``Repair.surplus``.  ``sessions``: all of these visitors, at least
    ``SESSION_KEY``, ``visitor_id``, ``ladder``, ``started_at``, ``ended_at`` and ``sequence``.
    ``settled_until``: by partition; where there is none, nothing is settled.
    """
    events, sessions, runs = _runs(events, sessions, ladder)
    held = entries(sessions.lazy(), "run").collect()
    events = _flag(events, "is_held", held)
    events = _flag(events, "is_safe", events.filter(~pl.col("late"), ~pl.col("is_surplus")))
    wrong = events.filter(pl.col("is_surplus") | ~pl.col("is_held"))

    until = pl.DataFrame(
        {"partition": list(settled_until), "until": list(settled_until.values())},
        schema={"partition": pl.Int32, "until": _TIME},
    )
    runs = runs.join(until, on="partition", how="left").select(
        "run",
        is_settled=(pl.col("ended_at") + ladder.session_gap < pl.col("until")).fill_null(False),
        is_cut_otherwise=pl.col("run").is_in(sessions.filter(pl.col("ladder") != ladder.name)["run"].implode()),
        is_torn=pl.col("run").is_in(held.join(events, on=ENTRY, how="anti")["run"].implode()),
    )
    # Not late, settled and in no session: only an erasure leaves that.  Not settled it is merely open.
    wrong = wrong.join(runs, on="run", maintain_order="left").filter(
        pl.col("is_surplus") | pl.col("late") | pl.col("is_settled")
    )
    waiting, settled = _split(wrong, ~pl.col("is_settled"))
    cut_otherwise, ours = _split(settled, pl.col("is_cut_otherwise"))
    torn, mending = _split(ours, pl.col("is_torn"))

    surplus, late = _split(mending, pl.col("is_surplus"))
    # A late copy is in no session, unless it once counted: what is held of its like is then not the on-time event's.
    bystanders = pl.col("is_surplus") & pl.col("late") & (~pl.col("is_held") | pl.col("is_safe"))
    recut = mending.filter(~bystanders)
    mended = recut.select("run").unique()
    return Repair(
        gone=sessions.join(mended, on="run", how="semi").select(SESSION_KEY),
        come=sessionise_history(
            events.join(mended, on="run", how="semi").filter(~pl.col("is_surplus")), ladder, source
        ),
        surplus=surplus,
        visitors=recut.select(_VISITOR).n_unique(),
        late=len(late),
        waiting=len(waiting),
        cut_otherwise=len(cut_otherwise),
        incomplete=len(torn),
    )


def entries(sessions: pl.LazyFrame, *more: str) -> pl.LazyFrame:
    """The events that sessions hold, in the columns ``ENTRY`` and ``more``; one with two marks stands there twice."""
    return (
        sessions.select("partition", "visitor_id", "started_at", "sequence", *more)
        .explode("sequence")
        .unnest("sequence")
        .select(
            "partition",
            "visitor_id",
            "event_id",
            (pl.col("started_at") + pl.duration(microseconds="offset_us")).alias("occurred_at"),
            *more,
        )
    )


def _runs(
    events: pl.DataFrame, sessions: pl.DataFrame, ladder: Ladder
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Events and sessions with the number of their ``run``; and of each run its partition and last moment."""
    spans = pl.concat(
        [
            events.select(*_VISITOR, started_at="occurred_at", ended_at="occurred_at"),
            sessions.select(*_VISITOR, "started_at", "ended_at"),
        ]
    )
    before = pl.col("ended_at").cum_max().shift(1).over(_VISITOR)
    spans = (
        spans.with_row_index()
        .sort(*_VISITOR, "started_at")
        .with_columns(begins=(pl.col("started_at") > before + ladder.session_gap).fill_null(True))
        .with_columns(run=pl.col("begins").cum_sum())
        .sort("index")
    )
    runs = spans.group_by("run").agg(pl.first("partition"), pl.max("ended_at"))
    return (
        events.with_columns(spans["run"][: len(events)]),
        sessions.with_columns(spans["run"][len(events) :]),
        runs,
    )


def _flag(events: pl.DataFrame, name: str, others: pl.DataFrame) -> pl.DataFrame:
    """With a column that says whether an event's ``ENTRY`` is among those of others."""
    there = others.select(ENTRY).unique().with_columns(pl.lit(True).alias(name))
    return events.join(there, on=ENTRY, how="left", maintain_order="left").with_columns(pl.col(name).fill_null(False))


def _split(rows: pl.DataFrame, condition: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Those of which it holds, and the rest."""
    return rows.filter(condition), rows.filter(~condition)
