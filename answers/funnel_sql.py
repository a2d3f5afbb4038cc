"""A funnel question as one SQL statement over the marts, for those whose steps have an order and nothing unusual."""

from __future__ import annotations

from answers.funnel_conditions import Combined, Compare, Condition
from answers.funnel_events import COLUMNS, PERSONS
from answers.funnel_question import Question
from answers.funnel_steps import JSON, Meaning
from ladder.durations import in_microseconds
from ladder.tiers import Scalar


def as_sql(question: Question, meaning: Meaning) -> str | None:
    """How many units came to each step, as ``answers.funnel`` counts them; for `yesladder sql`.

    None for what it cannot say: other orders than ordered, windows of steps, exclusions, optional and first steps,
    properties held, units that are properties, and conditions that compare otherwise than for equality.
    """
    plain = question.order == "ordered" and question.unit in ("visitor", "user", "session")
    unusual = (
        question.step_windows,
        question.exclusions,
        question.optional,
        question.first_ever,
        question.first_matching,
        question.hold,
    )
    if not plain or any(unusual):
        return None
    try:
        return _statement(question, meaning)
    except _UnsayableError:
        return None


class _UnsayableError(Exception):
    pass


def _statement(question: Question, meaning: Meaning) -> str:
    own = dict(question.step_where)
    flags = []
    for number, kinds in enumerate(meaning.steps, start=1):
        meant = []
        for kind in kinds:
            parts = [] if kind.event is None else [f"events.name = {_text(kind.event)}"]
            parts += [] if kind.condition is None else [_condition(kind.condition)]
            meant.append(" and ".join(parts) or "true")
        met = " or ".join(f"({one})" for one in meant)
        for condition in (question.where, own.get(number)):
            met = met if condition is None else f"({met}) and {_condition(condition)}"
        flags.append(f"coalesce({met}, false) as is_{number}")
    unit, joined = _unit(question.unit)
    begun = ["is_1"]
    if question.since is not None:
        begun.append(f"occurred_at >= timestamptz {_text(question.since.isoformat())}")
    if question.until is not None:
        begun.append(f"occurred_at < timestamptz {_text(question.until.isoformat())}")
    lines = [
        "with",
        "",
        "steps as (",
        "    select",
        f"        {unit} as unit,",
        "        events.occurred_at,",
        f"        row_number() over (partition by {unit} order by events.occurred_at, events.received_at,",
        "            events.source, events.source_partition, events.record_offset) as place,",
        *(f"        {flag}{',' if number < len(flags) else ''}" for number, flag in enumerate(flags, start=1)),
        f"    from staging.stg_events as events{joined}",
        "),",
        "",
        "reached_1 as (",
        "    select unit, occurred_at as began_at, place",
        "    from steps",
        f"    where {' and '.join(begun)}",
        ")",
    ]
    for number in range(2, len(flags) + 1):
        lines[-1] += ","
        lines += [
            "",
            f"reached_{number} as (",
            "    select before.unit, before.began_at, steps.place",
            f"    from reached_{number - 1} as before",
            f"    asof join (select unit, occurred_at, place from steps where is_{number}) as steps",
            "        on steps.unit = before.unit and steps.place > before.place",
            f"    where steps.occurred_at <= before.began_at + to_microseconds({in_microseconds(question.window)})",
            ")",
        ]
    lines.append("")
    for number, step in enumerate(question.steps, start=1):
        union = "" if number == 1 else "union all "
        counted = f"{number} as step, {_text(step)} as name, count(distinct unit) as units"
        lines.append(f"{union}select {counted} from reached_{number}")
    lines.append("order by step")
    return "\n".join(lines)


def _unit(unit: str) -> tuple[str, str]:
    """How it is called, and what must be joined for it."""
    if unit == "visitor":
        return "events.visitor_id", ""
    if unit == "user":
        persons = " ".join(PERSONS.split())
        return (
            "coalesce(persons.person, events.visitor_id)",
            f"\n    left join ({persons}) as persons\n        on persons.linked_visitor = events.visitor_id",
        )
    return (
        "places.session_id",
        "\n    inner join (\n"
        "        select distinct\n"
        "            session_id, visitor_id, unnest(list_transform(sequence, lambda e: e.event_id)) as event_id\n"
        "        from staging.stg_sessions\n"
        "    ) as places on places.event_id = events.event_id and places.visitor_id = events.visitor_id\n"
        "    anti join intermediate.int_repeated_events as repeated\n"
        "        on repeated.session_id = places.session_id and repeated.event_id = places.event_id",
    )


def _condition(condition: Condition) -> str:
    if isinstance(condition, Combined):
        return f"({f' {condition.word} '.join(_condition(part) for part in condition.parts)})"
    return _compare(condition)


def _compare(condition: Compare) -> str:
    if condition.operator not in ("=", "in"):
        raise _UnsayableError
    name = condition.property
    if name in COLUMNS:
        texts = [_text(value) for value in condition.values if isinstance(value, str)]
        return f"coalesce(events.{name} in ({', '.join(texts)}), false)" if texts else "false"
    pointer = _text("/" + name.removeprefix(JSON).replace("~", "~0").replace("/", "~1"))
    return "(" + " or ".join(_equal(pointer, value) for value in condition.values) + ")"


def _equal(pointer: str, value: Scalar) -> str:
    """Equality is JSON's: of texts with texts, numbers with numbers, truths with truths."""
    said = f"json_extract_string(events.properties, {pointer})"
    if isinstance(value, bool):
        kinds, met = "'BOOLEAN'", f"{said} = {_text(str(value).lower())}"
    elif isinstance(value, str):
        kinds, met = "'VARCHAR'", f"{said} = {_text(value)}"
    else:
        kinds, met = "'UBIGINT', 'BIGINT', 'DOUBLE'", f"try_cast({said} as double) = {value!r}"
    return (
        f"coalesce(case when json_valid(events.properties) then json_type(events.properties, {pointer}) in ({kinds})"
        f" and {met} end, false)"
    )


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
