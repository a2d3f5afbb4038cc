"""Make the example reports anew: the students of datasets/moodle_edify in April 2018, told once all data was in."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from answers.gather import Asked, gather
from answers.page import write_page
from answers.report_formats import FORMATS, rendered
from warehouse.build import build
from warehouse.lake import Lake
from warehouse.periods import last_finished
from warehouse.quality import Gate
from yesladder.backfill import backfill
from yesladder.datasets import load

HERE = Path(__file__).parent
NOW = datetime(2021, 11, 1, 8, 0, tzinfo=UTC)


def main() -> None:
    """Write ``report-moodle-edify.html``, ``.md`` and ``.pdf`` beside this file."""
    dataset = load("moodle_edify")
    folder = Path(tempfile.mkdtemp())
    try:
        events = folder / "events.ndjson"
        events.write_bytes(b"\n".join(dataset.messages()))
        lake = Lake(folder / "warehouse" / "lake")
        backfill([events], lake, dataset.ladder, now=NOW)
        with Gate() as gate:
            build(lake, dataset.ladder, gate=gate, now=NOW)
        asked = Asked(last_finished("month", date(2018, 5, 3)), "month")
        for how in FORMATS:
            path = HERE / f"report-moodle-edify.{how}"
            # Its link to the pages of the quality check would lead nowhere.
            facts = gather(
                folder / "warehouse", dataset.ladder, now=NOW, out=path, attribution=dataset.attribution, asked=asked
            )
            quality = facts.health.quality
            if quality is not None:
                facts = replace(facts, health=replace(facts.health, quality=replace(quality, page=None)))
            write_page(rendered(facts, how), path)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
