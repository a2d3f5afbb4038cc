"""What must hold of every batch that lands in the lake: read off the contract and the ladder, as plain data.

Each expectation names a class of Great Expectations with its arguments.  They look at views (``batch_view``) that carry
the table's columns, the ``file`` and ``row_id`` of each row and, for sessions, numbers worked out of the sequence, so
that every rule is a plain statement about columns.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ladder.errors import REASONS
from ladder.events import EARLIEST, KINDS, LATEST, Id
from ladder.rejects import Stage
from ladder.tables import TABLES
from ladder.tiers import ROLES
from warehouse.views import read_parquet

ID_LENGTH: int = get_args(Id)[1].max_length
"""The contract's limit for ids and names."""

_LOOKED_INTO = frozenset({"properties", "context", "sequence", "tiers_reached"})
"""Columns that rules look into by way of others, which a null fails too."""

_ROW = {
    "events": "event_id",
    "sessions": "session_id",
    "rejects": "source || '/' || partition || '/' || record_offset",
    "checkpoints": "source || '/' || partition || '/' || next_offset",
}

_COUNTS = {"ask": "asks", "yes": "yeses", "no": "noes", "reward": "rewards", "cheer": "cheers", "regret": "regrets"}


@dataclass(frozen=True)
class Expectation:
    """``says``: the rule in words.  ``kind``: the class in ``great_expectations.expectations``."""

    says: str
    kind: str
    arguments: Mapping[str, Any]


def expectations(table: str, tiers: int) -> list[Expectation]:
    """The rules for one table's batch; ``tiers`` is how many the ladder has."""
    not_null = [
        Expectation(f"{field.name} is there", "ExpectColumnValuesToNotBeNull", {"column": field.name})
        for field in TABLES[table]
        if not field.nullable and field.name not in _LOOKED_INTO
    ]
    return not_null + {"events": _events, "sessions": _sessions, "rejects": _rejects, "checkpoints": _checkpoints}[
        table
    ](tiers)


def batch_view(table: str, root: Path, files: Collection[str], known: Collection[str], ladder: str, tiers: int) -> str:
    """The SELECT that the expectations of a table look at, with no column beyond those that they name.

    ``files`` are the batch's, ``known`` those of the same table that marts are built from, relative to ``root``.
    """
    named = {
        rule.arguments[key]
        for rule in expectations(table, tiers)
        for key in ("column", "column_A", "column_B")
        if key in rule.arguments
    }
    columns = [f'"{name}"' for name in TABLES[table].names if name in named]
    if table == "events":
        columns += [f"{_is_object(name)} as {name}_is_an_object" for name in ("properties", "context")]
    if table == "sessions":
        # A file read in beside the stream brings its sessions again: one of each counts (stg_sessions), none is wrong.
        own = "source || ' ' || session_id"
        built = f"select {own} from {read_parquet(root, known)}" if known else "select null where false"
        columns += [
            *_of_the_sequence(ladder, tiers),
            f"{own} as session_of_source",
            f"{own} in ({built}) as is_built_already",
        ]
    source = read_parquet(root, files, filename=True)
    return f"select filename as file, {_ROW[table]} as row_id, {', '.join(columns)} from {source}"


def _events(tiers: int) -> list[Expectation]:
    return [
        *[_length(name) for name in ("event_id", "visitor_id", "name", "user_id")],
        _in_set("kind", KINDS),
        _in_range("occurred_at"),
        _in_range("received_at"),
        _at_least("received_at", "occurred_at", "nothing occurs after it was received"),
        *[
            Expectation(f"{name} is a JSON object", "ExpectColumnValuesToBeInSet", _is_true(f"{name}_is_an_object"))
            for name in ("properties", "context")
        ],
        _between("partition", 0, None, "partitions count from 0"),
        _between("record_offset", 0, None, "offsets count from 0"),
    ]


def _sessions(tiers: int) -> list[Expectation]:
    return [
        Expectation(
            "session_id is unique in its source", "ExpectColumnValuesToBeUnique", {"column": "session_of_source"}
        ),
        Expectation(
            "no session of its source has been built before",
            "ExpectColumnValuesToBeInSet",
            _is_true("is_built_already", False),
        ),
        _length("visitor_id"),
        _length("user_id"),
        _in_range("started_at"),
        _in_range("ended_at"),
        _at_least("ended_at", "started_at", "a session ends at or after its start"),
        _between("events", 1, None, "a session has at least one event"),
        *[_between(count, 0, None, f"{count} is a count") for count in _COUNTS.values()],
        _equal("events", "sequence_events", "events counts the distinct events of the sequence"),
        *[
            _equal(count, f"sequence_{count}", f"{count} counts the marks of role {role} in the sequence")
            for role, count in _COUNTS.items()
        ],
        Expectation("the sequence is in order of time", "ExpectColumnValuesToBeInSet", _is_true("is_in_order")),
        _between("first_offset_us", 0, 0, "the sequence begins at the session's start"),
        _equal("last_offset_us", "duration_us", "the sequence ends at the session's end"),
        _between("unknown_roles", 0, 0, f"roles are {', '.join(ROLES)}"),
        _between("half_marks", 0, 0, "an entry has tier, role and step, or none of them"),
        _between("tiers_off_the_ladder", 0, 0, f"tiers of the sequence and of tiers_reached are 1 to {tiers}"),
        _between("highest_tier_on_this_ladder", 1, tiers, f"highest_tier is 1 to {tiers}"),
        _between("first_ask_tier_on_this_ladder", 1, tiers, f"first_ask_tier is 1 to {tiers}"),
        Expectation(
            "highest_tier is the highest of tiers_reached", "ExpectColumnValuesToBeInSet", _is_true("highest_agrees")
        ),
    ]


def _rejects(tiers: int) -> list[Expectation]:
    return [_in_set("reason", tuple(REASONS)), _in_set("stage", get_args(Stage))]


def _checkpoints(tiers: int) -> list[Expectation]:
    counts = ("landed", "duplicates", "rejected", "late", "skipped_offsets")
    return [
        _at_least("next_offset", "first_offset", "a checkpoint does not go backwards"),
        *[_between(count, 0, None, f"{count} is a count") for count in counts],
    ]


def _of_the_sequence(ladder: str, tiers: int) -> list[str]:
    roles = ", ".join(f"'{role}'" for role in ROLES)
    here = "ladder = '" + ladder.replace("'", "''") + "'"

    offsets = "list_transform(sequence, lambda e: e.offset_us)"

    def entries(condition: str) -> str:
        return f"len(list_filter(sequence, lambda e: {condition}))"

    return [
        "len(list_distinct(list_transform(sequence, lambda e: e.event_id))) as sequence_events",
        *[entries(f"e.role = '{role}'") + f" as sequence_{count}" for role, count in _COUNTS.items()],
        f"coalesce(list_sort({offsets}) = {offsets}, false) as is_in_order",
        "coalesce(sequence[1].offset_us, -1) as first_offset_us",
        "coalesce(sequence[-1].offset_us, -1) as last_offset_us",
        "date_diff('microsecond', started_at, ended_at) as duration_us",
        f"{entries(f'e.role is not null and e.role not in ({roles})')} as unknown_roles",
        f"{entries('(e.tier is null) <> (e.role is null) or (e.role is null) <> (e.step is null)')} as half_marks",
        f"case when {here} then {entries(f'e.tier is not null and e.tier not between 1 and {tiers}')}"
        f" + len(list_filter(tiers_reached, lambda t: t not between 1 and {tiers})) else 0 end as tiers_off_the_ladder",
        f"case when {here} then highest_tier end as highest_tier_on_this_ladder",
        f"case when {here} then first_ask_tier end as first_ask_tier_on_this_ladder",
        "highest_tier is not distinct from list_max(tiers_reached) as highest_agrees",
    ]


def _is_object(column: str) -> str:
    return f"coalesce(starts_with(trim({column}), '{{') and ends_with(trim({column}), '}}'), false)"


def _is_true(column: str, value: bool = True) -> dict[str, Any]:
    return {"column": column, "value_set": [value]}


def _length(column: str) -> Expectation:
    return Expectation(
        f"{column} has 1 to {ID_LENGTH} characters",
        "ExpectColumnValueLengthsToBeBetween",
        {"column": column, "min_value": 1, "max_value": ID_LENGTH},
    )


def _in_set(column: str, values: tuple[str, ...]) -> Expectation:
    return Expectation(
        f"{column} is one of {', '.join(values)}",
        "ExpectColumnValuesToBeInSet",
        {"column": column, "value_set": list(values)},
    )


def _in_range(column: str) -> Expectation:
    return Expectation(
        f"{column} lies from {EARLIEST.year} to {LATEST.year}",
        "ExpectColumnValuesToBeBetween",
        {"column": column, "min_value": EARLIEST, "max_value": LATEST, "strict_max": True},
    )


def _between(column: str, low: int, high: int | None, says: str) -> Expectation:
    limits = {"min_value": low} if high is None else {"min_value": low, "max_value": high}
    return Expectation(says, "ExpectColumnValuesToBeBetween", {"column": column, **limits})


def _at_least(later: str, earlier: str, says: str) -> Expectation:
    return Expectation(
        says,
        "ExpectColumnPairValuesAToBeGreaterThanB",
        {"column_A": later, "column_B": earlier, "or_equal": True},
    )


def _equal(one: str, other: str, says: str) -> Expectation:
    return Expectation(says, "ExpectColumnPairValuesToBeEqual", {"column_A": one, "column_B": other})
