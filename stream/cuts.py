"""Where one visitor's events fall apart into sessions: silences, and the caps on what no person does in one sitting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ladder.durations import in_microseconds
from ladder.tiers import Ladder

Int64s = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cuts:
    """The ladder's rules for cutting; times in microseconds.

    Caps cut between two instants, never within one: sessions of a visitor differ in their start, whatever their size.
    So a session that passes ``most`` ends before the instant that would pass it; only an instant that holds more than
    ``most`` events by itself makes a larger one.
    """

    gap: int
    longest: int
    most: int

    @classmethod
    def of(cls, ladder: Ladder) -> Self:
        return cls(
            gap=in_microseconds(ladder.session_gap),
            longest=in_microseconds(ladder.max_session_length),
            most=ladder.max_session_events,
        )

    def sessions(self, at: Int64s, new_visitor: Flags) -> tuple[Int64s, Flags]:
        """Where sessions start in sorted times, and which of them a cap cut off (their visitor went on).

        ``new_visitor`` flags the first row of each visitor.
        """
        begins = new_visitor.copy()
        begins[1:] |= np.diff(at) > self.gap
        starts = np.flatnonzero(begins)
        if not len(starts):
            return starts, np.zeros(0, bool)
        ends = np.append(starts[1:], len(at)) - 1
        over = (at[ends] - at[starts] > self.longest) | (ends - starts + 1 > self.most)
        if not over.any():
            return starts, np.zeros(len(starts), bool)
        cuts = [
            cut
            for start, end in zip(starts[over].tolist(), (ends[over] + 1).tolist(), strict=True)
            for cut in self._caps(at, start, end)
        ]
        pieces = np.sort(np.concatenate((starts, np.array(cuts, np.int64))))
        return pieces, np.isin(np.append(pieces[1:], -1), cuts)

    def _caps(self, at: Int64s, begin: int, end: int) -> list[int]:
        """The rows of [begin, end) at which a cap starts a session anew."""
        cuts: list[int] = []
        while True:
            rest = at[begin:end]
            too_far = int(np.searchsorted(rest, rest[0] + self.longest, side="right"))
            cut = min(too_far, self.most)
            if cut < len(rest):
                cut = int(np.searchsorted(rest, rest[cut], side="left")) or int(np.searchsorted(rest, rest[0], "right"))
            if cut >= len(rest):
                return cuts
            begin += cut
            cuts.append(begin)
