"""Spark Structured Streaming as its guide writes session windows: event time, a watermark, session_window, append.

Arguments: BROKERS TOPIC SESSIONS RECORDS FOUND FOLDER JARS.  Two threads, as many shuffle partitions, all of the
topic in a few batches (``availableNow``).
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession, functions as F

_BATCH = 250_000
"""Records in a micro-batch; fewer make more of Spark's fixed cost, more need more memory."""


def main(brokers: str, topic: str, _: str, __: str, found: str, folder: str, jars: str) -> None:
    spark = (
        SparkSession.builder.master("local[2]")
        .appName("sessions")
        .config("spark.jars", ",".join(map(str, sorted(Path(jars).glob("*.jar")))))
        .config("spark.sql.shuffle.partitions", 2)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "3g")
        .config("spark.local.dir", folder)
        .config("spark.sql.warehouse.dir", f"{folder}/warehouse")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    records = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", brokers)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", _BATCH)
        .load()
    )
    event = F.from_json(F.col("value").cast("string"), "visitor_id string, occurred_at timestamp")
    sessions = (
        records.select(event.alias("event"))
        .select("event.visitor_id", "event.occurred_at")
        .withWatermark("occurred_at", "10 minutes")
        .groupBy("visitor_id", F.session_window("occurred_at", "30 minutes"))
        .agg(F.min("occurred_at").alias("first"), F.max("occurred_at").alias("last"), F.count("*").alias("events"))
        .select("visitor_id", F.unix_millis("first"), F.unix_millis("last"), "events")
    )
    with Path(found).open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")

        def write(batch: DataFrame, number: int) -> None:
            writer.writerows(zip(*batch.toArrow().to_pydict().values(), strict=True))

        print("begun", flush=True)
        query = (
            sessions.writeStream.foreachBatch(write)
            .outputMode("append")
            .option("checkpointLocation", f"{folder}/checkpoint")
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
    print("ended\nwritten", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
