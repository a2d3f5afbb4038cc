"""A walk in the terminal: a table for each session, one line for each mark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from answers.numbers import count, listing, seconds, utc
from answers.plain_text import plain
from answers.walk_words import WHAT, away, came_from, came_of, ending, headline
from ladder.tiers import Ladder
from warehouse.walks import Walk, WalkEvent, WalkSession

_STYLES = {"yes": "green", "no": "red", "regret": "red", "ask": ""}


class WalkText:
    """The way of one person, session by session."""

    def __init__(self, walk: Walk, ladder: Ladder) -> None:
        self._walk, self._ladder = walk, ladder

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        walk = self._walk
        title = plain(f"The walk of {walk.person}")
        title.stylize("bold")
        yield title
        if walk.visitor_ids != (walk.person,):
            yield plain(f"A user: {listing([f'visitor {one}' for one in walk.visitor_ids])}.")
        elif walk.user_ids:
            yield plain(f"Known as {listing([f'user {one}' for one in walk.user_ids])}.")
        yield plain(headline(walk, self._ladder))
        for number, session in enumerate(walk.sessions, start=1):
            yield ""
            yield self._heading(number, session)
            yield self._table(session.events)
        if walk.outside:
            yield ""
            yield Text("Late, and in no session until `yesladder resessionise`: counted nowhere", style="bold")
            yield self._table(walk.outside)
        yield ""
        yield plain(ending(walk, self._ladder))

    def _heading(self, number: int, session: WalkSession) -> Text:
        parts = [utc(session.started_at), away(session), came_from(session)]
        if len(self._walk.visitor_ids) > 1:
            parts.append(f"visitor {session.visitor_id}")
        if session.is_capped:
            parts.append("cut short by a cap")
        heading = plain(f"Session {number} of {len(self._walk.sessions)}: {', '.join(part for part in parts if part)}")
        heading.stylize("bold")
        return heading

    def _table(self, events: Iterable[WalkEvent]) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        table.add_column("since", justify="right", no_wrap=True, min_width=7)
        table.add_column("tier", overflow="fold", min_width=6)
        table.add_column("what", no_wrap=True)
        table.add_column("step", overflow="fold", min_width=8)
        table.add_column("note", overflow="fold", min_width=12)
        for row in self._rows(events):
            table.add_row(*row)
        return table

    def _rows(self, events: Iterable[WalkEvent]) -> Iterator[tuple[Text, ...]]:
        for has_marks, run in groupby(events, key=lambda event: bool(event.marks)):
            if not has_marks:
                yield _unmarked(list(run))
                continue
            for event in run:
                for place, mark in enumerate(event.marks):
                    notes = [came_of(mark, self._ladder)]
                    if mark.role == "yes" and event.climbs and mark.tier == event.held:
                        notes.append(f"now holds {self._ladder.tiers[mark.tier - 1]}")
                    if event.is_late:
                        notes.append("came late")
                    tier = f"{mark.tier} {self._ladder.tiers[mark.tier - 1]}"
                    words = (_since(event) if place == 0 else "", tier, WHAT[mark.role], mark.step)
                    cells = [plain(word) for word in (*words, "; ".join(note for note in notes if note))]
                    cells[2].stylize(_STYLES.get(mark.role, "dim"))
                    yield tuple(cells)


def _unmarked(events: list[WalkEvent]) -> tuple[Text, ...]:
    """Several events without a meaning on the ladder are one line."""
    names = listing(list(dict.fromkeys(event.name for event in events)))
    late = sum(event.is_late for event in events)
    words = names if len(events) == 1 else f"{count(len(events))} events: {names}"
    note = "" if late == 0 else "came late" if late == len(events) else f"{late} came late"
    cells = [plain(word) for word in (_since(events[0]), "", "", words, note)]
    cells[3].stylize("dim")
    return tuple(cells)


def _since(event: WalkEvent) -> str:
    return "" if event.since_last_seconds is None else f"+{seconds(event.since_last_seconds)}"
