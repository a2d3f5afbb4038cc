"""What the marts were built from: the tables ``meta_builds`` and ``meta_files`` in ``marts.duckdb``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import duckdb

from ladder.tables import TABLES
from ladder.tiers import Ladder

MARTS = "marts.duckdb"

BUILDING = "building"
"""The folder of what a build holds only while it runs; what one that died has left there goes with the next."""


@dataclass(frozen=True)
class Built:
    """One build.  ``files``: by table, all that the marts are made of, relative to the lake's folder ``root``."""

    started_at: datetime
    finished_at: datetime
    full: bool
    ladder: str
    ladder_hash: str
    project_hash: str
    root: str
    versions: Mapping[str, int]
    files: Mapping[str, frozenset[str]]

    @property
    def all_files(self) -> frozenset[str]:
        return frozenset().union(*self.files.values())


def ladder_hash(ladder: Ladder) -> str:
    """Changes whenever the ladder does: its name, tiers, rules or how it cuts sessions."""
    return sha256(repr(ladder).encode()).hexdigest()[:16]


def read_built(marts: Path) -> Built | None:
    """The last build of this file; None where there is no file or it holds none that this version can read."""
    if not marts.exists():
        return None
    connection = duckdb.connect(":memory:")
    try:
        connection.execute(f"attach '{_escaped(marts)}' as marts (read_only)")
        row = connection.execute(
            "select started_at, finished_at, is_full, ladder, ladder_hash, project_hash, lake, versions"
            " from marts.main.meta_builds order by build desc limit 1"
        ).fetchall()
        files = connection.execute("select table_name, list(file) from marts.main.meta_files group by all").fetchall()
    except duckdb.Error:
        return None
    finally:
        connection.close()
    if not row:
        return None
    started_at, finished_at, full, ladder, ladder_hash, project_hash, root, versions = row[0]
    return Built(
        started_at,
        finished_at,
        full,
        ladder,
        ladder_hash,
        project_hash,
        root,
        json.loads(versions),
        {table: frozenset(dict(files).get(table, ())) for table in TABLES},
    )


def write_built(connection: duckdb.DuckDBPyConnection, built: Built, earlier: Path) -> None:
    """Add a build to the connection's database; past builds that it lacks are taken over from the file ``earlier``."""
    exists = connection.execute("select 1 from duckdb_tables() where table_name = 'meta_builds'").fetchall()
    if not exists:
        connection.execute(
            "create table main.meta_builds (build integer, started_at timestamptz, finished_at timestamptz,"
            " is_full boolean, ladder varchar, ladder_hash varchar, project_hash varchar, lake varchar, versions json,"
            " sessions bigint, visitors bigint)"
        )
        connection.execute("create table main.meta_files (table_name varchar, file varchar)")
        if read_built(earlier) is not None:
            connection.execute(f"attach '{_escaped(earlier)}' as earlier (read_only)")
            connection.execute("insert into main.meta_builds select * from earlier.main.meta_builds")
            connection.execute("detach earlier")
    connection.execute(
        "insert into main.meta_builds select coalesce(max(build), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ?,"
        " (select count(*) from main.fct_sessions), (select count(*) from main.dim_visitors) from main.meta_builds",
        [
            built.started_at,
            built.finished_at,
            built.full,
            built.ladder,
            built.ladder_hash,
            built.project_hash,
            built.root,
            json.dumps(dict(built.versions)),
        ],
    )
    connection.execute("delete from main.meta_files")
    for table, names in built.files.items():
        connection.execute("insert into main.meta_files select ?, unnest(?)", [table, sorted(names)])


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")
