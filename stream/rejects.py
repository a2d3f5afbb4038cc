"""The dead letters' brakes: a bad deploy should halt the worker rather than quietly divert everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from ladder.errors import YesladderError
from stream.decoding import PlacedReject


class TooManyRejects(YesladderError):
    """More dead letters than the brakes allow.  Nothing of the batch was committed."""


@dataclass
class RejectBrake:
    """Stops at a share or a run of events that the stream itself had to refuse.

    ``share``: of the last ``window`` events or more (0.5 means half).  ``run``: refused events in a row, in one
    partition and in the order of its records.  Dead letters that the collector sent do not count: they were refused for
    their sender, one by one.
    """

    share: float = 0.5
    window: int = 1_000
    run: int = 10_000
    _seen: int = 0
    _refused: int = 0
    _latest: str = ""
    _in_a_row: dict[int, int] = field(default_factory=dict)

    def press(self, accepted: pl.DataFrame, rejects: Sequence[PlacedReject]) -> None:
        """Count a batch: its events (``partition``, ``record_offset``) and dead letters.

        Raises ``TooManyRejects`` with the latest reason when a limit is passed.
        """
        refused = [placed for placed in rejects if placed.reject.stage == "stream"]
        self._seen += len(accepted) + len(refused)
        self._refused += len(refused)
        too_many = self._seen >= self.window and self._refused > self.share * self._seen
        longest = self._longest_run(accepted, refused) if refused or self._in_a_row else 0
        if refused:
            last = refused[-1]
            field_name = last.reject.field or "the whole event"
            self._latest = f"{last.reject.reason}, {field_name}, partition {last.partition}, offset {last.offset}"
        if too_many or longest > self.run:
            what = (
                f"{longest:,} events in a row" if longest > self.run else f"{self._refused:,} of {self._seen:,} events"
            )
            raise TooManyRejects(
                f"{what} were refused (latest: {self._latest}); stopped before committing them. "
                "Mend the producer, or allow more with --max-reject-share and --max-reject-run"
            )
        if self._seen >= self.window:
            self._seen = self._refused = 0

    def _longest_run(self, accepted: pl.DataFrame, refused: Sequence[PlacedReject]) -> int:
        """The longest run that this batch ends or continues; runs that are still going on are remembered."""
        longest = 0
        for partition in {*accepted["partition"].unique(), *(placed.partition for placed in refused)}:
            good = accepted.filter(pl.col("partition") == partition)["record_offset"].unique().sort().to_numpy()
            bad = [placed.offset for placed in refused if placed.partition == partition]
            runs = np.bincount(np.searchsorted(good, np.array(bad, np.int64)), minlength=len(good) + 1)
            runs[0] += self._in_a_row.pop(partition, 0)
            longest = max(longest, int(runs.max()))
            if runs[-1]:
                self._in_a_row[partition] = int(runs[-1])
        return longest
