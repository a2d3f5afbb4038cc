"""What a million events a second, or ten billion a day, would take: arithmetic on what was measured.

    python benchmarks/scale_model.py            # prints the tables of docs/scale.md
    python benchmarks/scale_model.py --docs     # writes them into docs/scale.md

Pure functions of ``FIGURES`` (measured; each with the results that it is from) and of a ``Load`` (chosen).  A test
compares docs/scale.md with what is printed, and each figure with its results.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DOC = Path(__file__).parents[1] / "docs" / "scale.md"
BEGIN, END = "<!-- begin: benchmarks/scale_model.py -->", "<!-- end -->"
DAY_S = 86_400
TABLES = 4


@dataclass(frozen=True)
class Figure:
    """A measured figure.  ``source``: below benchmarks/results; ``said``: how it stands there, in one line."""

    name: str
    value: float
    unit: str
    source: str
    said: str


FIGURES = {
    figure.name: figure
    for figure in (
        Figure("collector", 55_851, "events/s a collector", "collector.md", "collector, 10 a body | 55,851"),
        Figure(
            "worker",
            8.8,
            "CPU s of a worker a million events",
            "peers.md",
            "| Yesladder | 100,000 / 300,000 / 1,000,000 events | 1.2 / 2.9 / 8.8",
        ),
        Figure("commit", 5.6, "ms of a commit of one table", "scale_out.md", "| 8 | 970.0 | 26.0 | 0.075 | 5.6"),
        Figure("memory", 683, "bytes of memory an open event", "open_state.md", "| 1,000,000 | 331,968 | 683"),
        Figure(
            "take_over",
            2.49,
            "CPU s to read a million open events",
            "open_state.md",
            "| 1,000,000 | 331,968 | 683 | 1,963 | 2.49",
        ),
        Figure("kafka", 299, "bytes an event in Kafka", "open_state.md", "| 1,000,000 | 367 | 299"),
        Figure("landed", 88, "bytes an event in the lake as landed", "open_state.md", "| 1,000,000 | 367 | 299 | 88"),
        Figure(
            "compacted",
            80,
            "bytes an event in the lake, compacted",
            "open_state.md",
            "| 1,000,000 | 367 | 299 | 88 | 80",
        ),
        Figure(
            "compaction",
            3.2,
            "CPU s of compaction a million events",
            "open_state.md",
            "| 1,000,000 | 367 | 299 | 88 | 80 | 3.2",
        ),
        Figure("marts_events", 3_115_327, "events of a build from scratch", "marts.md", "3,115,327 events"),
        Figure(
            "marts_asks",
            98.89,
            "s of its largest model, on two shared cores",
            "marts.md",
            "| fct_asks | 2,485,488 | 98.89",
        ),
        Figure("funnel", 3_682_506, "events a CPU second of a funnel", "funnel.md", "yesladder funnel | 3,682,506"),
    )
}


@dataclass(frozen=True)
class Load:
    """What comes in, and how it is run.

    ``peak``: the busiest second over the mean one.  ``lateness_s``, ``gap_s``: the ladder's.  ``interval_s``: between
    two checkpoints.  ``busy``: how much of its core a worker may use at the peak; ``state_bytes``: of memory, for
    open sessions.
    """

    name: str
    events_per_s: float
    peak: float
    lateness_s: float = 600.0
    gap_s: float = 1800.0
    interval_s: float = 10.0
    busy: float = 0.7
    state_bytes: float = 8 * 2**30
    replicas: int = 3
    kafka_days: float = 3.0


@dataclass(frozen=True)
class Need:
    """What a load takes.  Bytes, events, cores; per day where it says so."""

    collectors: int
    workers: int
    partitions: int
    kafka_bytes: float
    open_events: float
    memory_bytes_a_worker: float
    take_over_s: float
    commits_per_s: float
    commits_per_s_of_a_log: float
    files_per_day: float
    lake_bytes_per_day: float
    compaction_cores: float
    marts_cores: float
    funnel_day_cpu_s: float


def value(name: str) -> float:
    return FIGURES[name].value


def held_s(load: Load) -> float:
    """How long an event is open: until the watermark, behind by the lateness, has passed its session's end and the gap.

    The least it can be: its session ends with it.
    """
    return load.lateness_s + load.gap_s


def of_a_worker(load: Load) -> dict[str, float]:
    """The events/s that a worker carries at the peak, by what it has so much of."""
    return {
        "CPU": load.busy / (value("worker") / 1e6),
        "memory": load.state_bytes / (value("memory") * held_s(load)),
    }


def need(load: Load) -> Need:
    workers = math.ceil(load.events_per_s * load.peak / min(of_a_worker(load).values()))
    open_events = load.events_per_s * load.peak * held_s(load)
    a_day = load.events_per_s * DAY_S
    of_a_log = workers / load.interval_s
    return Need(
        collectors=math.ceil(load.events_per_s * load.peak / value("collector")),
        workers=workers,
        # Twice as many as workers, so that half as many workers again may come without anybody having twice the work.
        partitions=2 ** math.ceil(math.log2(2 * workers)),
        kafka_bytes=a_day * value("kafka") * load.replicas * load.kafka_days,
        open_events=open_events,
        memory_bytes_a_worker=open_events * value("memory") / workers,
        take_over_s=open_events / workers * value("take_over") / 1e6,
        commits_per_s=of_a_log * (TABLES - 1),
        commits_per_s_of_a_log=of_a_log,
        files_per_day=of_a_log * 2 * DAY_S,
        lake_bytes_per_day=a_day * value("compacted"),
        compaction_cores=load.events_per_s * value("compaction") / 1e6,
        marts_cores=load.events_per_s * 2 * value("marts_asks") / value("marts_events"),
        funnel_day_cpu_s=a_day / value("funnel"),
    )


def cpu_workers(load: Load) -> int:
    """The workers that their CPU alone would ask for."""
    return math.ceil(load.events_per_s * load.peak / of_a_worker(load)["CPU"])


@dataclass(frozen=True)
class Limit:
    """A part of which there is one, and the mean events/s at which it is full."""

    part: str
    events_per_s: float
    why: str
    then: str


def limits(load: Load) -> list[Limit]:
    """What cannot be had twice, the first to break first; ``load`` says how it is run and how uneven it is."""
    commits = 1000 / value("commit")
    a_worker = min(of_a_worker(load).values())
    found = [
        Limit(
            "the marts in DuckDB (32 cores)",
            32 * value("marts_events") / (2 * value("marts_asks")),
            "one machine builds them; its largest model alone",
            "`yesladder build --engine spark`",
        ),
        Limit(
            "compaction (`yesladder maintain`)",
            1e6 / value("compaction"),
            "one process, one core",
            "run it all day; beyond that, lakes by region or site",
        ),
        Limit(
            f"the log of a table, a commit every {load.interval_s:g} s a worker",
            commits * load.interval_s * a_worker / load.peak,
            f"{commits:.0f} commits/s one after the other",
            "a longer `--checkpoint-interval`",
        ),
        Limit(
            "the log of a table, a commit every second a worker",
            commits * a_worker / load.peak,
            "the same at the default interval",
            "`--checkpoint-interval 10s`",
        ),
    ]
    return sorted(found, key=lambda limit: limit.events_per_s)


LOADS = (
    Load("10 billion events a day", 10e9 / DAY_S, peak=3.0),
    Load("1 million events a second", 1e6, peak=1.0),
)


def tables() -> str:
    """The tables of docs/scale.md."""
    needs = [need(load) for load in LOADS]
    rows: list[tuple[str, list[str]]] = [
        ("mean events/s", [f"{load.events_per_s:,.0f}" for load in LOADS]),
        ("at the peak", [f"{load.events_per_s * load.peak:,.0f}" for load in LOADS]),
        ("collectors", [f"{one.collectors:,}" for one in needs]),
        ("workers, a core and 8 GiB for open sessions each", [f"{one.workers:,}" for one in needs]),
        ("of them for CPU alone", [f"{cpu_workers(load):,}" for load in LOADS]),
        ("partitions", [f"{one.partitions:,}" for one in needs]),
        ("Kafka, three copies, three days", [f"{one.kafka_bytes / 1e12:,.0f} TB" for one in needs]),
        ("open events at the peak", [f"{one.open_events / 1e6:,.0f} million" for one in needs]),
        ("memory a worker for them", [f"{one.memory_bytes_a_worker / 2**30:,.1f} GiB" for one in needs]),
        ("a worker started anew reads them in", [f"{one.take_over_s:,.0f} CPU s" for one in needs]),
        ("commits/s, of all tables", [f"{one.commits_per_s:,.1f}" for one in needs]),
        ("commits/s of one log", [f"{one.commits_per_s_of_a_log:,.1f}" for one in needs]),
        ("files a day before compaction", [f"{one.files_per_day:,.0f}" for one in needs]),
        ("lake a day, compacted", [f"{one.lake_bytes_per_day / 1e9:,.0f} GB" for one in needs]),
        ("compaction, cores", [f"{one.compaction_cores:,.1f}" for one in needs]),
        ("the largest mart alone, cores", [f"{one.marts_cores:,.1f}" for one in needs]),
        ("a funnel over one day, read cold", [f"{one.funnel_day_cpu_s / 60:,.0f} CPU minutes" for one in needs]),
    ]
    lines = _table(["", *(load.name for load in LOADS)], [[name, *cells] for name, cells in rows])
    broken = [[limit.part, f"{limit.events_per_s:,.0f}", limit.why, limit.then] for limit in limits(LOADS[0])]
    lines += ["", *_table(["what breaks first, first", "full at a mean of, events/s", "why", "then"], broken)]
    sources = [[figure.unit, f"{figure.value:,}", f"[{figure.source}](../benchmarks/results/{figure.source})"]
               for figure in FIGURES.values()]  # fmt: skip
    return "\n".join([*lines, "", *_table(["measured", "figure", "from"], sources)])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"| --- |{' ---: |' * (len(head) - 1)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def with_tables(text: str) -> str:
    """A page with the tables between its marks.  Raises ``ValueError`` where it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no {BEGIN} with an {END}")
    return f"{before}{begin}\n{tables()}\n{end}{after}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--docs"]:
        DOC.write_text(with_tables(DOC.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(tables())
