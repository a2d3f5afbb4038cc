"""The lake's table ``alerts``: one row per notice, each once, by one agent at a time for each ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ladder.tables import ALERTS, LANDED
from warehouse.views import duckdb_type, read_parquet

if TYPE_CHECKING:  # it takes half a second to load, and most questions are not about alerts
    import duckdb
    import polars as pl

    from warehouse.lake import Lake

Row = Mapping[str, Any]

_NAME = "alerts"


class AlertsTable:
    """One agent's hold on the table, from the moment it took over.  Not for use by two threads at once.

    ``told``: the ids of notices that the table holds.
    """

    def __init__(self, lake: Lake, ladder: str) -> None:
        lake.make(_NAME)
        self._lake = lake
        self._ladder = ladder
        self._app = f"alerts/{ladder}"
        self._handle = lake.table(_NAME)
        self._left = self._handle.transaction_version(self._app)
        self.told: set[str] = set(
            lake.scan(_NAME).filter(ladder=ladder).select("notice_id").collect()["notice_id"].to_list()
        )

    def add(self, rows: Sequence[Row], *, now: datetime) -> None:
        """Add rows whose ``notice_id`` is not among ``told``, in one commit.

        Raises ``Fenced`` where another agent has added any for this ladder since we took over.
        """
        new = [row for row in rows if row["notice_id"] not in self.told]
        if not new:
            return
        table = pa.Table.from_pylist(
            [{**row, "written_at": now} for row in new], schema=ALERTS.remove(ALERTS.get_field_index(LANDED.name))
        )
        version = (self._left or 0) + len(new)
        self._lake.append_once(self._handle, _NAME, table, self._app, self._left, version, now=now)
        self._left = version
        self.told.update(row["notice_id"] for row in new)

    def left_open(self, *, since: datetime) -> list[Row]:
        """Of each alert that people were told of and whose end they were not, the row that told of it first.

        Also of those that were ``ended`` after ``since``: who wrote that may not have come to send it.
        """
        rows = self._lake.scan(_NAME).filter(ladder=self._ladder, told=True).collect()
        begun: dict[str, Row] = {}
        over: set[str] = set()
        for row in rows.sort("minute", "written_at", "notice_id").iter_rows(named=True):
            begun.setdefault(row["alert_id"], row)
            if row["what"] in ("resolved", "lasting") or (row["what"] == "ended" and row["written_at"] < since):
                over.add(row["alert_id"])
        return [row for alert_id, row in begun.items() if alert_id not in over]


def read_alerts(lake: Lake) -> pl.DataFrame:
    """All rows, oldest first; none where no agent ever ran.  Columns that an older table lacks are null."""
    import polars as pl

    empty = pl.from_arrow(ALERTS.empty_table())
    if not isinstance(empty, pl.DataFrame):
        raise TypeError("the table alerts has no columns")
    if _NAME not in lake.tables():
        return empty
    rows = lake.scan(_NAME).sort("minute", "written_at", "notice_id").collect()
    return pl.concat([empty.drop(LANDED.name), rows], how="diagonal_relaxed")


def show_alerts(connection: duckdb.DuckDBPyConnection, warehouse: Path) -> None:
    """Create the view ``alerts`` over the lake of a warehouse, as it is now; without rows where no agent ever ran."""
    files: list[str] = []
    held: set[str] = set()
    from warehouse.located import has_lake, lake_of

    root = warehouse
    if has_lake(warehouse) and _NAME in (lake := lake_of(warehouse)).tables():
        root = lake.root
        lake.fetch(lake.files(_NAME))
        files = [str(Path(file).relative_to(root)) for file in lake.files(_NAME)]
        held = {column.name for column in lake.table(_NAME).schema().fields} if files else set()
    columns = ", ".join(
        f'"{c.name}"' if c.name in held else f'null::{duckdb_type(c.type)} as "{c.name}"' for c in ALERTS
    )
    rows = f"from {read_parquet(root, files)}" if files else "where false"
    connection.execute(f"create or replace temp view alerts as select {columns} {rows}")
