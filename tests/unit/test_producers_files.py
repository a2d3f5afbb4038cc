from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ladder.errors import UsageError, YesladderError
from ladder.events import Event, encode
from producers.columns import ColumnMap
from producers.files import FileBatch, read_batches

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
COLUMNS = ColumnMap("uid", "action", "ts")


def message(n: int, **changes: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "messageId": f"m{n}",
        "anonymousId": f"v{n % 3}",
        "event": "Offer seen",
        "timestamp": (NOW - timedelta(hours=1) + timedelta(seconds=n)).isoformat(),
    } | changes


def lines(*messages: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in messages)


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(path: Path, columns: ColumnMap | None = None, batch_size: int = 10_000) -> list[FileBatch]:
    return list(read_batches([path], columns, NOW, batch_size))


def events(batches: list[FileBatch]) -> list[Event]:
    return [event for batch in batches for event in batch.events]


def refusals(batches: list[FileBatch]) -> list[tuple[str, str, bytes]]:
    return [(reject.reason, reject.field, reject.raw) for batch in batches for reject in batch.rejects]


def test_lines_become_events_that_arrive_a_microsecond_apart(tmp_path: Path) -> None:
    path = write(tmp_path, "a.ndjson", lines(message(0), message(1), message(2)))
    found = events(read(path))
    assert [event.event_id for event in found] == ["m0", "m1", "m2"]
    assert [event.received_at - NOW for event in found] == [timedelta(microseconds=n) for n in range(3)]
    assert found[2].occurred_at == NOW - timedelta(hours=1) + timedelta(seconds=2)


def test_arrival_goes_on_from_file_to_file_and_over_refused_lines(tmp_path: Path) -> None:
    first = write(tmp_path, "a.ndjson", lines(message(0)) + b"no\n")
    second = write(tmp_path, "b.ndjson", lines(message(1)))
    batches = list(read_batches([first, second], None, NOW))
    assert [event.received_at - NOW for event in events(batches)] == [timedelta(0), timedelta(microseconds=2)]
    assert batches[0].rejects[0].rejected_at - NOW == timedelta(microseconds=1)


def test_a_bad_line_is_a_dead_letter_and_stops_nothing(tmp_path: Path) -> None:
    bad = [b"{", b"[1]", b'{"type":"track"}', b"\xff\xfe", b'{"a":NaN}', b"[" * 5000, b'"visitor_id"', b"\x00"]
    content = lines(message(0)) + b"\n".join(bad) + b"\n" + lines(message(1))
    batches = read(write(tmp_path, "a.ndjson", content))
    assert [event.event_id for event in events(batches)] == ["m0", "m1"]
    assert [raw for _, _, raw in refusals(batches)] == bad
    assert {reject.stage for batch in batches for reject in batch.rejects} == {"file"}


def test_a_line_without_end_is_refused_without_being_kept_whole(tmp_path: Path) -> None:
    huge = lines(message(0, properties={"x": "y" * 3_000_000}))
    batches = read(write(tmp_path, "a.ndjson", huge + lines(message(1))))
    assert [event.event_id for event in events(batches)] == ["m1"]
    ((reason, _, raw),) = refusals(batches)
    assert reason == "too_large"
    assert raw == huge[: 256 * 1024]


def test_a_line_as_long_as_an_event_may_be_is_read(tmp_path: Path) -> None:
    room = 32 * 1024 - len(json.dumps(message(0, properties={"x": ""})))
    fits, too_long = (message(n, properties={"x": "y" * (room + n)}) for n in (0, 1))
    batches = read(write(tmp_path, "a.ndjson", lines(fits, too_long)))
    assert [event.event_id for event in events(batches)] == ["m0"]
    assert [reason for reason, _, _ in refusals(batches)] == ["too_large"]


def test_an_event_in_our_own_print_may_be_longer_as_its_quotes_are_escaped_there(tmp_path: Path) -> None:
    (event,) = events(read(write(tmp_path, "a.ndjson", lines(message(0, properties={"x": '"' * 15_000})))))
    assert len(encode(event)) > 32 * 1024
    (again,) = events(read(write(tmp_path, "b.ndjson", encode(event))))
    assert again == event


def test_blank_lines_windows_ends_a_byte_order_mark_and_a_last_line_without_end_are_fine(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + lines(message(0)).replace(b"\n", b"\r\n") + b"\r\n  \n" + lines(message(1)).rstrip()
    batches = read(write(tmp_path, "a.jsonl", content))
    assert [event.event_id for event in events(batches)] == ["m0", "m1"]
    assert refusals(batches) == []


def test_the_same_lines_without_ids_get_the_same_ids_each_time_and_others_in_other_places(tmp_path: Path) -> None:
    nameless = message(0)
    del nameless["messageId"]
    content = lines(nameless, nameless, message(1, messageId=None), message(2, messageId="made-by-me"))
    path = write(tmp_path, "a.ndjson", content)
    ids = [event.event_id for event in events(read(path))]
    later = [event.event_id for event in events(list(read_batches([path], None, NOW + timedelta(days=1))))]
    assert ids == later
    assert len(set(ids)) == 4
    assert [event_id[:5] for event_id in ids] == ["file-", "file-", "file-", "made-"]
    assert ids[3] == "made-by-me"


def test_a_file_keeps_its_own_times_though_its_events_were_sent_long_ago(tmp_path: Path) -> None:
    timestamp, sent_at, received_at = "2020-05-01T10:00:00Z", "2020-05-01T10:00:30Z", "2020-05-01T09:58:30Z"
    path = write(
        tmp_path,
        "a.ndjson",
        lines(
            message(0, timestamp=timestamp, sentAt=sent_at),
            message(1, timestamp=timestamp, sentAt=sent_at, receivedAt=received_at),
            message(2, timestamp=timestamp, receivedAt=received_at),
        ),
    )
    assert [event.occurred_at for event in events(read(path))] == [
        datetime(2020, 5, 1, 10, 0, 0, tzinfo=UTC),
        datetime(2020, 5, 1, 9, 58, 0, tzinfo=UTC),
        datetime(2020, 5, 1, 10, 0, 0, tzinfo=UTC),
    ]


def test_lines_of_our_own_contract_come_back_as_they_were_among_any_others(tmp_path: Path) -> None:
    own = Event(
        event_id="e1",
        visitor_id="v",
        occurred_at=NOW - timedelta(days=3),
        received_at=NOW - timedelta(days=2),
        kind="page",
        name="Home",
        properties='{"visitor_id":"x"}',
        page_url="https://example.com/",
    )
    content = lines(message(0, properties={"visitor_id": "not ours"})) + encode(own) + b"\n"
    found = events(read(write(tmp_path, "a.json", content)))
    assert found[1] == own
    assert (found[0].event_id, found[0].received_at) == ("m0", NOW)


def test_batches_are_of_the_size_asked_and_know_their_bytes(tmp_path: Path) -> None:
    content = lines(*(message(n) for n in range(5))) + b"\nbad\n" + lines(message(5))
    path = write(tmp_path, "a.ndjson", content)
    batches = read(path, batch_size=3)
    assert [(len(batch.events), len(batch.rejects)) for batch in batches] == [(3, 0), (2, 1), (1, 0)]
    assert sum(batch.bytes_read for batch in batches) == len(content)


@pytest.mark.parametrize("name", ["a.ndjson.gz", "a.ndjson"])
def test_gzip_is_known_by_its_bytes_and_progress_counts_the_packed_ones(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, gzip.compress(lines(*(message(n) for n in range(1000)))))
    batches = read(path, batch_size=100)
    assert len(events(batches)) == 1000
    assert sum(batch.bytes_read for batch in batches) == path.stat().st_size


def test_a_gzip_stream_that_breaks_off_gives_what_came_before_and_then_says_where(tmp_path: Path) -> None:
    packed = gzip.compress(lines(*(message(n, properties={"n": n * 7919 % 1009}) for n in range(20_000))))
    path = write(tmp_path, "a.ndjson.gz", packed[: len(packed) // 2])
    batches: list[FileBatch] = []
    with pytest.raises(YesladderError) as caught:
        batches.extend(read_batches([path], None, NOW, 1000))
    read_before = len(events(batches))
    assert 5_000 < read_before < 15_000
    assert str(caught.value) == (
        f"{path}: cannot be read any further than line {read_before}: the gzip stream breaks off"
    )


def test_gzip_that_is_damaged_says_so(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(lines(*(message(n, properties={"n": n * 7919 % 1009}) for n in range(20_000)))))
    packed[len(packed) // 2] ^= 0xFF
    path = write(tmp_path, "a.ndjson.gz", bytes(packed))
    with pytest.raises(YesladderError, match=r"a\.ndjson\.gz: cannot be read any further than line \d+: "):
        read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(YesladderError, match=r"missing\.ndjson: cannot be read .* line 0: .*No such file"):
        read(tmp_path / "missing.ndjson")


def test_an_empty_file_has_no_events(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a.ndjson", b"")) == []
    assert events(read(write(tmp_path, "a.ndjson.gz", gzip.compress(b"")))) == []


def test_a_name_that_tells_no_format_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    good = write(tmp_path, "a.ndjson", lines(message(0)))
    with pytest.raises(UsageError, match=r"b\.xlsx: cannot tell its format"):
        next(read_batches([good, tmp_path / "b.xlsx"], None, NOW))
    with pytest.raises(UsageError, match=r"b\.csv: say what its columns are, with --map"):
        next(read_batches([good, tmp_path / "b.csv"], None, NOW))


CSV = b"""uid,action,ts,plan
v1,Offer seen,1772362800,pro
v2,"Offer, ""great"" one
taken",1772362801,
"""


def test_csv_rows_become_events_with_text_as_properties(tmp_path: Path) -> None:
    said: list[str] = []
    path = write(tmp_path, "a.csv.gz", gzip.compress(CSV))
    found = events(list(read_batches([path], COLUMNS, NOW, say=said.append)))
    assert [(event.visitor_id, event.name, event.properties) for event in found] == [
        ("v1", "Offer seen", '{"plan":"pro"}'),
        ("v2", 'Offer, "great" one\ntaken', "{}"),
    ]
    assert found[0].occurred_at == datetime(2026, 3, 1, 11, 0, 0, tzinfo=UTC)
    assert said == [f"{path}: ts holds epoch seconds"]


@pytest.mark.parametrize("delimiter", [b";", b"\t", b"|"])
def test_the_delimiter_is_the_one_that_shows_the_columns(tmp_path: Path, delimiter: bytes) -> None:
    content = b"\xef\xbb\xbfuid,action,ts\r\nv1,a,2026-03-01T11:00:00Z\r\n".replace(b",", delimiter)
    assert [event.name for event in events(read(write(tmp_path, "a.csv", content), COLUMNS))] == ["a"]


def test_bad_csv_rows_are_dead_letters_with_their_bytes_and_reasons(tmp_path: Path) -> None:
    rows = [
        b"v1,a,1772362800,x",
        b"v1,a",
        b"v1,a,never,x",
        b",a,1772362800,x",
        b"v\xff,a,1772362800,x",
        b"v1,a,1772362800,x,y",
        b"v3,a,1772362800,x",
    ]
    batches = read(write(tmp_path, "a.csv", b"uid,action,ts,plan\n" + b"\n".join(rows) + b"\n\n"), COLUMNS)
    assert [event.visitor_id for event in events(batches)] == ["v1", "v3"]
    assert refusals(batches) == [
        ("bad_value", "", rows[1]),
        ("bad_time", "ts", rows[2]),
        ("missing_field", "uid", rows[3]),
        ("not_utf8", "", rows[4]),
        ("bad_value", "", rows[5]),
    ]
    assert batches[0].rejects[0].detail == "the row has 2 cells, the header 4"


def test_a_quote_that_is_never_closed_costs_some_rows_and_no_memory(tmp_path: Path) -> None:
    row = b"v1,a,1772362800,x\n"
    content = b"uid,action,ts,plan\n" + row + b'v2,"a,1772362800,x\n' + row * 20_000
    batches = read(write(tmp_path, "a.csv", content), COLUMNS)
    assert len(events(batches)) > 5_000
    assert refusals(batches)[0][0] == "bad_value"
    assert max(len(raw) for _, _, raw in refusals(batches)) <= 256 * 1024


def test_columns_that_are_not_there_are_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.csv: there is no column 'ts'; its columns are 'uid', 'action', 'time'"):
        read(write(tmp_path, "a.csv", b"uid,action,time\n"), COLUMNS)
    with pytest.raises(UsageError, match="the column 'uid' stands there twice"):
        read(write(tmp_path, "b.csv", b"uid,uid,action,ts\n"), COLUMNS)
    with pytest.raises(UsageError, match="there is no column 'uid'"):
        read(write(tmp_path, "c.csv", b""), COLUMNS)
    parquet = tmp_path / "d.parquet"
    pl.DataFrame({"uid": ["a"], "action": ["b"]}).write_parquet(parquet)
    with pytest.raises(UsageError, match=r"d\.parquet: there is no column 'ts'; its columns are 'uid', 'action'"):
        read(parquet, COLUMNS)


def test_parquet_rows_become_events_with_typed_properties(tmp_path: Path) -> None:
    at = datetime(2026, 3, 1, 11, 0, 0, 123_456, tzinfo=UTC)
    path = tmp_path / "a.parquet"
    pl.DataFrame(
        {
            "uid": [1, 2, None],
            "action": ["a", "b", "c"],
            "ts": [at, at, at],
            "price": [9.5, None, 1.0],
            "tags": [["x"], [], None],
        }
    ).with_columns(pl.col("ts").cast(pl.Datetime("ns", "UTC"))).write_parquet(path)
    batches = read(path, COLUMNS)
    assert [(event.visitor_id, event.occurred_at, event.properties) for event in events(batches)] == [
        ("1", at, '{"price":9.5,"tags":["x"]}'),
        ("2", at, '{"tags":[]}'),
    ]
    assert [(reason, field) for reason, field, _ in refusals(batches)] == [("missing_field", "uid")]
    assert sum(batch.bytes_read for batch in batches) == path.stat().st_size


def test_parquet_times_that_python_does_not_know_are_refused_row_by_row(tmp_path: Path) -> None:
    at = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1e6)
    times = pl.Series([at, 2**62, at]).cast(pl.Datetime("us", "UTC"))
    pl.DataFrame({"uid": ["a", "b", "c"], "action": ["x"] * 3, "ts": times}).write_parquet(tmp_path / "a.parquet")
    batches = read(tmp_path / "a.parquet", COLUMNS)
    assert [event.visitor_id for event in events(batches)] == ["a", "c"]
    assert {event.occurred_at for event in events(batches)} == {datetime(2026, 3, 1, tzinfo=UTC)}
    assert [(reason, field) for reason, field, _ in refusals(batches)] == [("bad_time", "ts")]


def test_a_parquet_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(YesladderError, match=r"a\.parquet: cannot be read any further than line 0: "):
        read(write(tmp_path, "a.parquet", b"PAR1 and nothing more"), COLUMNS)
