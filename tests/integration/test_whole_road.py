"""Real data down the whole road, HTTP to tier table, and down the short one, `backfill`: the same tables."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from answers.gather import Asked, gather
from answers.markdown import markdown
from answers.report_document import report_document
from ladder.tables import TABLES
from ladder.tiers import Ladder, load_ladder
from producers.columns import ColumnMap
from producers.topics import end_offsets
from tests.integration.conftest import Demo
from tests.suites.brokers import Broker
from tests.suites.command_line import Service, run, run_json
from tests.suites.raw_file_oracle import tier_table
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.lake_claim import Claim
from warehouse.periods import last_finished
from warehouse.quality import Gate
from warehouse.query import run_sql
from yesladder.backfill import Backfilled, backfill
from yesladder.datasets import load

ROOT = Path(__file__).parents[2]
DATASETS = ["moodle_edify", "snowplow_web", "otto_mini"]
UNITS = {"session": ("sessions", "reach_sessions"), "visitor": ("actors", "reach_actors")}
NOW = datetime(2026, 11, 22, 21, 0, tzinfo=UTC)
WHERE_FROM = ["source", "partition"]
"""What may differ between two roads (and the day of landing, which the lake's scan leaves out)."""


def raw_file(dataset: str) -> Path:
    return ROOT / "datasets" / dataset / "segment.ndjson.gz"


def ladder_file(dataset: str) -> Path:
    return ROOT / "ladders" / f"{dataset}.toml"


def expected_of(dataset: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((ROOT / "datasets" / dataset / "expected.json").read_text(encoding="utf-8"))
    return said


@pytest.fixture(params=DATASETS)
def demo(request: pytest.FixtureRequest) -> Demo:
    found: Demo = request.getfixturevalue(request.param.partition("_")[0])
    return found


@pytest.fixture(scope="module")
def backfilled(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each data set's warehouse by `backfill` and `build`: moodle_edify by the commands, the others from Python."""
    warehouses = {}
    for dataset in DATASETS:
        folder = tmp_path_factory.mktemp(dataset)
        warehouses[dataset] = folder / "warehouse"
        if dataset == "moodle_edify":
            where = ["--warehouse", folder / "warehouse", "--ladder", ladder_file(dataset)]
            done = run_json("backfill", raw_file(dataset), *where, cwd=folder)
            assert run_json("build", *where, cwd=folder)["held_back"] == []
        else:
            lake = Lake(folder / "warehouse" / "lake")
            done = backfill([raw_file(dataset)], lake, load_ladder(ladder_file(dataset)), now=NOW).to_dict()
            assert build(lake, load_ladder(ladder_file(dataset)), gate=gate, now=NOW).held_back == ()
        expected = expected_of(dataset)
        assert done == {
            "read": expected["events"],
            "landed": expected["events"],
            "duplicates": 0,
            "rejected": 0,
            "visitors": expected["actors"],
            "sessions": expected["sessions"],
        }
    return warehouses


# --- the demo against the numbers computed elsewhere ---


def test_the_demo_accounts_for_every_event_it_sent(demo: Demo) -> None:
    expected = expected_of(demo.dataset)
    said = {name: demo.result[name] for name in ("sent", "landed", "duplicates", "rejected", "late", "sessions")}
    assert said == {
        "sent": expected["events"],
        "landed": expected["events"],
        "duplicates": 0,
        "rejected": 0,
        "late": 0,
        "sessions": expected["sessions"],
    }
    assert set(demo.result) == {*said, "seconds", "tiers", "report"}
    assert all(taken >= 0 for taken in demo.result["seconds"].values())
    page = Path(demo.result["report"]).read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert f"{expected['sessions']:,}" in page


@pytest.mark.parametrize("unit", UNITS)
def test_the_demos_tier_table_is_the_expected_one_and_the_oracles(demo: Demo, unit: str) -> None:
    answers, _ = UNITS[unit]
    printed = run_json(
        "tiers", "--unit", unit, "--warehouse", demo.folder, "--ladder", demo.folder / "ladder.toml", cwd=demo.folder
    )
    assert printed["unit"] == unit
    by_oracle = tier_table(raw_file(demo.dataset), ladder_file(demo.dataset), unit)
    assert [{name: row[name] for name in by_oracle[0]} for row in printed["tiers"]] == by_oracle
    for row in printed["tiers"]:
        wanted = expected_of(demo.dataset)["tiers"][row["name"]][answers]
        assert (row["asked"], row["yes"], row["asked"] - row["yes"], row["reached"], row["implicit"]) == (
            wanted["with_ask"],
            wanted["ask_then_yes"],
            wanted["dropped"],
            wanted["with_yes"],
            wanted["with_yes"] - (row["reached"] - row["implicit"]),
        ), row
        if row["asked"]:
            assert row["drop_off"] == pytest.approx(1 - row["yes"] / row["asked"])
            assert 0 <= row["drop_off_low"] <= row["drop_off"] <= row["drop_off_high"] <= 1
    if unit == "session":
        assert demo.result["tiers"] == printed["tiers"]


@pytest.mark.parametrize("unit", UNITS)
def test_how_high_the_demos_people_got_is_as_expected(demo: Demo, unit: str) -> None:
    expected = expected_of(demo.dataset)[UNITS[unit][1]]
    ladder = load_ladder(ladder_file(demo.dataset))
    climbs = list(_climbs(demo, unit))
    assert len(climbs) == expected["units"]
    highest = [max((tier for tier, _ in climb), default=0) for climb in climbs]
    names = ["none", *ladder.tiers]
    assert {name: highest.count(names.index(name)) for name in expected["highest"]} == expected["highest"]
    climbable = [names.index(name) for name in expected["any"]]
    held = [{tier for tier, _ in climb} for climb in climbs]
    for n, tier in enumerate(climbable, start=1):
        name = names[tier]
        assert sum(set(climbable[:n]) <= tiers for tiers in held) == expected["any"][name], name
        assert sum(_in_order(climb, climbable[:n]) for climb in climbs) == expected["ordered"][name], name
    mart = {"session": "fct_sessions", "visitor": "dim_visitors"}[unit]
    found = run_sql(demo.folder, f"select coalesce(highest_tier, 0) as tier, count(*) as n from {mart} group by 1")
    assert {row["tier"]: row["n"] for row in found.to_pylist()} == {tier: highest.count(tier) for tier in set(highest)}


def _climbs(demo: Demo, unit: str) -> Iterator[list[tuple[int, float]]]:
    """Each unit's yeses in their order, as tier and microseconds since 1970."""
    sessions = Lake(demo.folder / "lake").scan("sessions").sort("visitor_id", "started_at").collect()
    climbs: dict[str, list[tuple[int, float]]] = {}
    for row in sessions.iter_rows(named=True):
        climb = climbs.setdefault(row[f"{unit}_id"], [])
        for one in row["sequence"]:
            if one["role"] == "yes":
                climb.append((one["tier"], row["started_at"].timestamp() * 1_000_000 + one["offset_us"]))
    yield from climbs.values()


def _in_order(climb: list[tuple[int, float]], tiers: list[int]) -> bool:
    """Whether there is a yes of each tier, none before that of the tier below."""
    at = 0.0
    for wanted in tiers:
        at = min((when for tier, when in climb if tier == wanted and when >= at), default=math.inf)
    return at < math.inf


def test_every_session_of_the_demo_is_the_expected_one(demo: Demo) -> None:
    sessions = Lake(demo.folder / "lake").scan("sessions").collect()
    lines = sorted(
        f"{row['visitor_id']}|{_ms(row['started_at'])}|{_ms(row['ended_at'])}|{row['events']}"
        for row in sessions.iter_rows(named=True)
    )
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert digest == expected_of(demo.dataset)["sessions_digest_sha256"]


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


# --- the two roads against each other ---


@pytest.mark.parametrize("table", ["sessions", "events", "rejects"])
def test_both_roads_leave_the_same_lake_column_by_column(
    demo: Demo, backfilled: Mapping[str, Path], table: str
) -> None:
    ours = {"events": ["received_at", "record_offset"], "rejects": ["rejected_at", "record_offset"]}.get(table, [])
    by_stream, by_file = (
        Lake(folder / "lake").scan(table).drop(*WHERE_FROM, *ours).collect()
        for folder in (demo.folder, backfilled[demo.dataset])
    )
    if table != "rejects":
        assert by_stream.height == expected_of(demo.dataset)[table]
    assert_frame_equal(by_stream, by_file, check_row_order=False)


MARTS = [
    "fct_sessions",
    "fct_tier_dropoff",
    "fct_tier_totals",
    "fct_step_dropoff",
    "fct_standing",
    "fct_starts",
    "fct_gives",
    "dim_visitors",
    "fct_asks",
    "fct_leaps",
]


@pytest.mark.parametrize("mart", MARTS)
def test_both_roads_give_the_same_marts(demo: Demo, backfilled: Mapping[str, Path], mart: str) -> None:
    by_stream, by_file = (
        pl.DataFrame(run_sql(folder, f"select * from {mart} order by all")).drop("landed_date", strict=False)
        for folder in (demo.folder, backfilled[demo.dataset])
    )
    assert by_stream.height > 0
    assert_frame_equal(by_stream, by_file, check_row_order=False)


def test_the_tiers_command_says_the_same_of_both_roads(moodle: Demo, backfilled: Mapping[str, Path]) -> None:
    for unit in UNITS:
        by_stream, by_file = (
            run_json(
                "tiers", "--unit", unit, "--warehouse", folder, "--ladder", ladder_file("moodle_edify"), cwd=folder
            )
            for folder in (moodle.folder, backfilled["moodle_edify"])
        )
        assert by_stream == by_file


@pytest.mark.parametrize(
    ("command", "rows", "least"),
    [
        ("leaps", "leaps", 4),
        ("momentum", "momentum", 4),
        ("hesitation", "hesitation", 4),
        ("after-yes", "after_yes", 4),
        ("too-soon", "too_soon", 1),
    ],
)
def test_what_is_counted_of_asks_is_the_same_on_both_roads_and_can_be_read(
    command: str, rows: str, least: int, moodle: Demo, backfilled: Mapping[str, Path]
) -> None:
    ladder = ("--ladder", ladder_file("moodle_edify"))
    by_stream, by_file = (
        run_json(command, "--warehouse", folder, *ladder, cwd=folder)
        for folder in (moodle.folder, backfilled["moodle_edify"])
    )
    assert by_stream == by_file
    assert len(by_stream[rows]) >= least
    days = ("--unit", "session", "--since", "2000-01-01")
    of_sessions = run_json(command, *days, "--warehouse", moodle.folder, *ladder, cwd=moodle.folder)
    assert (of_sessions["unit"], of_sessions["since"], of_sessions["until"]) == ("session", "2000-01-01", None)
    assert of_sessions[rows] != by_stream[rows]
    printed = run(command, "--segment", "device_class", "--warehouse", moodle.folder, *ladder, cwd=moodle.folder)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert "spark" in printed.stdout
    refused = run(command, "--segment", "moon", "--warehouse", moodle.folder, *ladder, cwd=moodle.folder)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("yesladder: there is no segment 'moon'; take page_url, ")


@pytest.mark.parametrize("road", ["stream", "file"])
def test_snowplows_sessions_are_the_trackers_own_one_to_one(
    road: str, snowplow: Demo, backfilled: Mapping[str, Path]
) -> None:
    folder = snowplow.folder if road == "stream" else backfilled["snowplow_web"]
    pairs = run_sql(
        folder,
        "with members as (select session_id, unnest(sequence).event_id as event_id from lake.sessions)"
        " select distinct session_id, properties->>'source_session_id' as tracker"
        " from members join lake.events using (event_id)",
    ).to_pylist()
    oracle = json.loads((ROOT / "datasets" / "snowplow_web" / "oracle.json").read_text(encoding="utf-8"))
    assert len(pairs) == oracle["tracker_sessions"]
    assert len({pair["session_id"] for pair in pairs}) == oracle["gap_sessions"]
    assert len({pair["tracker"] for pair in pairs}) == oracle["tracker_sessions"]
    assert (oracle["gap_sessions_mixing_tracker_ids"], oracle["tracker_ids_split_by_gap"]) == (0, 0)


# --- backfill by itself ---

OTTO = "otto_mini"


@pytest.fixture(scope="module")
def ladder() -> Ladder:
    return load_ladder(ladder_file(OTTO))


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """All messages, and on top what is refused and what comes twice."""
    with gzip.open(raw_file(OTTO)) as file:
        messages = file.read().splitlines()
    return [*messages, messages[3], b'{"type":"track","event":"clicks"}', messages[5], b"no event"]


def written(folder: Path, name: str, lines: list[bytes]) -> Path:
    path = folder / name
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def tables(lake: Lake) -> dict[str, pl.DataFrame]:
    return {name: lake.scan(name).collect() for name in TABLES}


def sessions(lake: Lake) -> pl.DataFrame:
    return lake.scan("sessions").drop(WHERE_FROM).sort("session_id").collect()


@pytest.fixture(scope="module")
def once(lines: list[bytes], ladder: Ladder, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake after one undisturbed backfill."""
    folder = tmp_path_factory.mktemp("once")
    lake = Lake(folder / "lake")
    done = backfill([written(folder, "all.ndjson", lines)], lake, ladder, now=NOW)
    assert done == Backfilled(read=866, landed=862, duplicates=2, rejected=2, visitors=20, sessions=144)
    return lake


def test_the_same_file_again_adds_nothing(lines: list[bytes], ladder: Ladder, tmp_path: Path) -> None:
    file, lake = written(tmp_path, "all.ndjson", lines), Lake(tmp_path / "lake")
    backfill([file], lake, ladder, now=NOW)
    before, versions = tables(lake), lake.versions()
    done = backfill([file], lake, ladder, now=NOW)
    assert done == Backfilled(read=866, landed=0, duplicates=864, rejected=2, visitors=0, sessions=0)
    assert lake.versions() == versions
    for name, rows in tables(lake).items():
        assert_frame_equal(rows, before[name], check_row_order=False)


def test_its_events_in_another_file_are_all_known_already(lines: list[bytes], ladder: Ladder, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    backfill([written(tmp_path, "all.ndjson", lines)], lake, ladder, now=NOW)
    before = tables(lake)
    done = backfill([written(tmp_path, "some.ndjson", lines[100:300])], lake, ladder, now=NOW)
    assert done == Backfilled(read=200, landed=0, duplicates=200, rejected=0, visitors=0, sessions=0)
    for name in ("events", "sessions", "rejects"):
        assert_frame_equal(tables(lake)[name], before[name], check_row_order=False)


class Died(Exception):
    """Stands for the process's death."""


@dataclass
class DyingRows(Mapping[str, pa.Table]):
    """The rows of a commit; whoever asks for those of one table dies."""

    rows: Mapping[str, pa.Table]
    dies_at: str

    def __getitem__(self, table: str) -> pa.Table:
        if table == self.dies_at:
            raise Died
        return self.rows[table]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class DyingClaim(Claim):
    dies_at = ""

    def commit(self, rows: Mapping[str, pa.Table], *others: Any) -> None:
        super().commit(DyingRows(rows, self.dies_at), *others)


class DyingLake(Lake):
    """A lake whose writer dies before it commits one of the tables, the ones before it being committed."""

    def __init__(self, root: Path, dies_at: str) -> None:
        super().__init__(root)
        self._dies_at = dies_at

    def claim(self, source: str, partitions: Any) -> Claim:
        claim = DyingClaim(self, source, partitions)
        claim.dies_at = self._dies_at
        return claim


@pytest.mark.parametrize("dies_at", TABLES)
def test_a_backfill_that_died_between_two_tables_is_completed_by_the_next(
    dies_at: str, lines: list[bytes], ladder: Ladder, once: Lake, tmp_path: Path
) -> None:
    file = written(tmp_path, "all.ndjson", lines)
    with pytest.raises(Died):
        backfill([file], DyingLake(tmp_path / "lake", dies_at), ladder, now=NOW)
    lake = Lake(tmp_path / "lake")
    assert [name for name, rows in tables(lake).items() if rows.height] == list(TABLES)[: list(TABLES).index(dies_at)]
    done = backfill([file], lake, ladder, now=NOW)
    assert (done.read, done.sessions, done.visitors) == (866, 144, 20)
    for name, rows in tables(lake).items():
        assert_frame_equal(rows, tables(once)[name], check_row_order=False)
    again = backfill([file], lake, ladder, now=NOW)
    assert (again.landed, again.sessions) == (0, 0)


def test_the_order_of_the_lines_does_not_matter(lines: list[bytes], ladder: Ladder, once: Lake, tmp_path: Path) -> None:
    shuffled = list(lines)
    random.Random(7).shuffle(shuffled)
    lake = Lake(tmp_path / "lake")
    done = backfill([written(tmp_path, "shuffled.ndjson", shuffled)], lake, ladder, now=NOW)
    assert (done.landed, done.duplicates, done.rejected, done.sessions) == (862, 2, 2, 144)
    assert_frame_equal(_without_order(sessions(lake)), _without_order(sessions(once)))


def _without_order(sessions: pl.DataFrame) -> pl.DataFrame:
    """What happened in one moment stands in the order of its lines."""
    return sessions.with_columns(pl.col("sequence").list.sort())


def test_two_files_at_once_are_one_concatenated(lines: list[bytes], ladder: Ladder, once: Lake, tmp_path: Path) -> None:
    first, second = written(tmp_path, "a.ndjson", lines[:500]), tmp_path / "b.jsonl.gz"
    second.write_bytes(gzip.compress(b"\n".join(lines[500:])))
    lake = Lake(tmp_path / "lake")
    done = backfill([first, second], lake, ladder, now=NOW)
    assert done == Backfilled(read=866, landed=862, duplicates=2, rejected=2, visitors=20, sessions=144)
    assert_frame_equal(sessions(lake), sessions(once))


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "tsv", "parquet"])
def test_csv_and_parquet_give_the_same_sessions_by_a_map_of_their_columns(
    kind: str, lines: list[bytes], once: Lake, tmp_path: Path
) -> None:
    messages = [json.loads(line) for line in lines if b"messageId" in line]
    file = tmp_path / f"events.{kind}"
    _write_rows(
        file, [(m["userId"], m["event"], m["timestamp"], m["messageId"], m["properties"]["aid"]) for m in messages]
    )
    where = ["--warehouse", tmp_path / "warehouse", "--ladder", ladder_file(OTTO)]
    columns = "visitor=who, event=what,time=when it was,user=who,id=number"
    done = run_json("backfill", file, "--map", columns, *where, cwd=tmp_path)
    assert done == {"read": 864, "landed": 862, "duplicates": 2, "rejected": 0, "visitors": 20, "sessions": 144}
    lake = Lake(tmp_path / "warehouse" / "lake")
    assert_frame_equal(sessions(lake), sessions(once))
    aids = lake.scan("events").select("event_id", pl.col("properties").str.json_path_match("$.aid")).collect()
    assert dict(aids.iter_rows()) == {m["messageId"]: str(m["properties"]["aid"]) for m in messages}


def _write_rows(file: Path, rows: list[tuple[Any, ...]]) -> None:
    names = ["who", "what", "when it was", "number", "aid"]
    if file.suffix == ".parquet":
        columns = [list(column) for column in zip(*rows, strict=True)]
        columns[2] = [datetime.fromisoformat(at) for at in columns[2]]
        pq.write_table(pa.table(dict(zip(names, columns, strict=True))), file)
        return
    with gzip.open(file, "wt", newline="") if file.suffix == ".gz" else file.open("w", newline="") as text:
        writer = csv.writer(text, delimiter="\t" if file.suffix == ".tsv" else ",")
        writer.writerows([names, *rows])


def test_the_same_file_replayed_onto_kafka_gives_the_same_sessions(
    lines: list[bytes], once: Lake, broker: Broker, tmp_path: Path
) -> None:
    """But for the two that come again weeks later: so late the stream lets them in, flagged; the SQL drops them."""
    file, topic = written(tmp_path, "all.ndjson", lines), f"events-{uuid4().hex}"
    kafka = ["--brokers", broker.brokers, "--topic", topic, "--partitions", "1"]
    done = run_json("replay", file, *kafka, cwd=tmp_path)
    assert done == {"read": 866, "published": 864, "rejected": 2}
    work = ["worker", *kafka, "--warehouse", tmp_path / "w", "--ladder", ladder_file(OTTO), "--worker-port", 0]
    work += ["--drain", "--idle-after", "0s", "--session-timeout", "2s"]
    lake = Lake(tmp_path / "w" / "lake")
    with Service(*work, cwd=tmp_path, log=tmp_path / "worker.log") as worker:
        ends = end_offsets(broker.connection, topic)
        worker.until(lambda: lake.claim(f"kafka:{topic}", [0]).next_offset(0) >= ends[0])
        assert worker.stop() == 0
    events = lake.scan("events").collect()
    again = [json.loads(lines[n])["messageId"] for n in (3, 5)]
    assert events.filter("late")["event_id"].to_list() == again
    assert (events.height, events["event_id"].n_unique()) == (864, 862)
    assert lake.scan("rejects").collect()["reason"].to_list() == once.scan("rejects").collect()["reason"].to_list()
    assert_frame_equal(sessions(lake), sessions(once))


def test_a_file_read_by_wrong_columns_can_be_read_again_by_the_right_ones(
    lines: list[bytes], ladder: Ladder, once: Lake, tmp_path: Path
) -> None:
    messages = [json.loads(line) for line in lines if b"messageId" in line]
    file, lake = tmp_path / "events.csv", Lake(tmp_path / "lake")
    _write_rows(file, [(m["userId"], m["event"], m["timestamp"], m["messageId"], "") for m in messages])
    wrong = ColumnMap(visitor="who", event="what", time="number", user="who", id="number")
    assert backfill([file], lake, ladder, now=NOW, columns=wrong).rejected == 864
    right = replace(wrong, time="when it was")
    assert backfill([file], lake, ladder, now=NOW, columns=right).landed == 862
    assert backfill([file], lake, ladder, now=NOW, columns=right).landed == 0
    assert_frame_equal(sessions(lake), sessions(once))


@pytest.mark.parametrize("content", [b"", b"\n \n\r\n"])
def test_a_file_without_events_leaves_no_trace(content: bytes, ladder: Ladder, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    versions = lake.versions()
    (tmp_path / "empty.ndjson").write_bytes(content)
    done = backfill([tmp_path / "empty.ndjson"], lake, ladder, now=NOW)
    assert done == Backfilled(read=0, landed=0, duplicates=0, rejected=0, visitors=0, sessions=0)
    assert lake.versions() == versions


def test_a_file_that_breaks_off_is_an_error_and_nothing_of_it_lands(lines: list[bytes], tmp_path: Path) -> None:
    file = tmp_path / "torn.ndjson.gz"
    file.write_bytes(gzip.compress(b"\n".join(lines))[:-2000])
    done = run("backfill", file, "--warehouse", tmp_path / "w", "--ladder", ladder_file(OTTO), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"yesladder: {file}: cannot be read any further than line ")
    assert "Traceback" not in done.stderr
    assert {name: rows.height for name, rows in tables(Lake(tmp_path / "w" / "lake")).items()} == dict.fromkeys(
        TABLES, 0
    )


def test_the_example_report_in_the_docs_is_that_of_the_demo(moodle: Demo) -> None:
    """`make example` writes it, from the file; only its times are other ones."""
    asked = Asked(last_finished("month", date(2018, 5, 3)), "month")
    facts = gather(
        moodle.folder,
        load_ladder(ladder_file("moodle_edify")),
        now=datetime.now(UTC),
        attribution=load("moodle_edify").attribution,
        asked=asked,
    )
    written = markdown(report_document(facts)).splitlines()
    example = (ROOT / "docs" / "examples" / "report-moodle-edify.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in written if "were built" not in line] == [
        line for line in example if "were built" not in line
    ]
    assert len(written) == len(example) > 100
