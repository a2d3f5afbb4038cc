"""SQLAlchemy's DuckDB dialect with results read at once.

Great Expectations closes its connection before it fetches; with the plain dialect the rows are gone by then.
"""

from __future__ import annotations

from duckdb_engine import Dialect
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg2 import PGExecutionContext_psycopg2
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy

DRIVER = "duckdb+buffered"
"""What a connection URL begins with, once ``register`` was called."""


class _BufferedContext(PGExecutionContext_psycopg2):
    def post_exec(self) -> None:
        super().post_exec()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it without types
        if self.cursor.description:
            self.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
                self.cursor, initial_buffer=self.cursor.fetchall()
            )


class BufferedDialect(Dialect):
    """Holds every result in memory: for aggregates and samples only."""

    execution_ctx_cls = _BufferedContext
    supports_statement_cache = False


def register() -> None:
    """Make ``DRIVER`` known to SQLAlchemy."""
    registry.register("duckdb.buffered", __name__, BufferedDialect.__name__)
