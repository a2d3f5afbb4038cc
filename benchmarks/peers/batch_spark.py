"""Sessions and the tier table in PySpark: window functions over events read from lines of JSON, local[2]."""

from __future__ import annotations

import sys
from pathlib import Path

from peers.running import BEGUN, ENDED, WRITTEN
from peers.tiers import ASKS, YESES, write_table
from peers.workload import GAP_MS
from pyspark.sql import Column, SparkSession, Window, functions as F


def main(what: str, history: str, found: str, tiers: str, folder: str) -> None:
    spark = (
        SparkSession.builder.master("local[2]")
        .appName("sessions")
        .config("spark.sql.shuffle.partitions", 2)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "3g")
        .config("spark.local.dir", folder)
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    print(BEGUN, flush=True)
    events = spark.read.schema("visitor_id string, occurred_at timestamp, name string").json(history)
    visits = Window.partitionBy("visitor_id").orderBy("at")
    at = F.col("at")
    of_tiers = [
        column
        for tier, (ask, yes) in enumerate(zip(ASKS, YESES, strict=True))
        for column in (
            F.min(F.when(F.col("name") == ask, at)).alias(f"ask{tier}"),
            F.max(F.when(F.col("name") == yes, at)).alias(f"yes{tier}"),
        )
    ]
    (
        events.select("visitor_id", F.unix_millis("occurred_at").alias("at"), "name")
        .withColumn("begins", F.coalesce(at - F.lag("at").over(visits) > GAP_MS, F.lit(True)).cast("int"))
        .withColumn("session", F.sum("begins").over(visits.rowsBetween(Window.unboundedPreceding, Window.currentRow)))
        .groupBy("visitor_id", "session")
        .agg(F.min("at").alias("first"), F.max("at").alias("last"), F.count("*").alias("events"), *of_tiers)
        .write.parquet(f"{folder}/sessions")
    )
    sessions = spark.read.parquet(f"{folder}/sessions")
    if what == "tiers":
        counted = [F.count(F.when(condition, 1)) for tier in range(len(ASKS)) for condition in _conditions(tier)]
        row = list(sessions.agg(*counted).collect()[0])
        width = len(row) // len(ASKS)
        write_table(Path(tiers), [row[tier * width : (tier + 1) * width] for tier in range(len(ASKS))])
    print(ENDED, flush=True)
    rows = sessions.select("visitor_id", "first", "last", "events").toArrow().to_pylist()
    Path(found).write_text("".join(",".join(map(str, row.values())) + "\n" for row in rows), encoding="utf-8")


def _conditions(tier: int) -> list[Column]:
    asked, reached = F.col(f"ask{tier}").isNotNull(), F.col(f"yes{tier}").isNotNull()
    yes = asked & reached & (F.col(f"yes{tier}") >= F.col(f"ask{tier}"))
    also_next = F.col(f"yes{tier + 1}").isNotNull() if tier + 1 < len(ASKS) else F.lit(False)
    return [asked, yes, asked & ~F.coalesce(yes, F.lit(False)), reached & ~asked, reached, reached & also_next]


if __name__ == "__main__":
    main(*sys.argv[1:])
    print(WRITTEN, flush=True)
