"""Progress bars for long work; on standard error, so that results stay clean, and silent with ``--json``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column


@contextmanager
def progress_bar(title: str, total: int, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar that the block moves: call with how much has been done since the last call."""
    with bars(quiet=quiet) as progress:
        task = progress.add_task(title, total=total, note="")
        yield lambda done: progress.advance(task, done)


@contextmanager
def bars(*, quiet: bool = False) -> Iterator[Progress]:
    """Several bars in one place."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn(
            "{task.fields[note]}", justify="left", table_column=Column(no_wrap=True, max_width=24, overflow="ellipsis")
        ),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=quiet,
    ) as progress:
        yield progress


@contextmanager
def status(title: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """A line that says what is going on: call with the words for the step now begun."""
    console = Console(stderr=True, quiet=quiet)
    with console.status(title) as line:
        yield lambda words: line.update(f"{title}: {words}")
