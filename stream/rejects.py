"""The dead letters' brakes: a bad deploy should halt the worker rather than quietly divert everything."""

from __future__ import annotations

from dataclasses import dataclass

from ladder.errors import YesladderError


class TooManyRejects(YesladderError):
    """More dead letters than the brakes allow.  Nothing of the batch was committed."""


@dataclass
class RejectBrake:
    """Stops at a share or a run of events that the stream itself had to refuse.

    ``share``: of the last ``window`` events or more (0.5 means half).  ``run``: refused events in a row.  Dead letters
    that the collector sent do not count: they were refused for their sender, one by one.
    """

    share: float = 0.5
    window: int = 1_000
    run: int = 10_000
    _seen: int = 0
    _refused: int = 0
    _in_a_row: int = 0

    def press(self, accepted: int, refused: int, example: str) -> None:
        """Count a batch; raises ``TooManyRejects`` with ``example`` (the latest reason) when a limit is passed."""
        self._in_a_row = self._in_a_row + refused if accepted == 0 else 0
        self._seen += accepted + refused
        self._refused += refused
        too_many = self._seen >= self.window and self._refused > self.share * self._seen
        if too_many or self._in_a_row > self.run:
            raise TooManyRejects(
                f"{self._refused:,} of the last {self._seen:,} events were refused (latest: {example}); stopped before "
                "committing them. Mend the producer, or allow more with --max-reject-share and --max-reject-run"
            )
        if self._seen >= self.window:
            self._seen = self._refused = 0
