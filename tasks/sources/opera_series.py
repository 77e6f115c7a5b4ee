"""The products of OPERA frames as a series: which are added and subtracted to make a displacement."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Self

import numpy as np


class Pair(NamedTuple):
    """What a product is about: its frame, and two acquisitions, datetime64[ns]."""

    frame: str
    reference: np.datetime64
    secondary: np.datetime64

    @property
    def key(self) -> str:
        """As the names of its products say it."""
        return " ".join([self.frame, *(_compact(time) for time in (self.reference, self.secondary))])

    @classmethod
    def of(cls, key: str) -> Self | None:
        """Return the pair that a key is about; None if its times are none."""
        frame, *times = key.split()
        texts = [f"{t[:4]}-{t[4:6]}-{t[6:8]}T{t[9:11]}:{t[11:13]}:{t[13:15]}" for t in times]
        try:
            reference, secondary = (np.datetime64(text, "ns") for text in texts)
        except ValueError:
            return None
        return cls(frame, reference, secondary)


class Terms(NamedTuple):
    """Where a displacement starts, and the pairs that are added and subtracted to make it."""

    start: np.datetime64
    plus: Sequence[Pair]
    minus: Sequence[Pair]


class Series:
    """The pairs of some frames in their order."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._pairs = sorted(pairs, key=lambda p: (p.frame, p.secondary, p.reference))
        # of several that end on one day the one with the latest reference
        self._on_day = {(p.frame, _day(p.secondary)): p for p in self._pairs}
        self._before: dict[tuple[str, np.datetime64], Pair | None] = {}
        for last, pair in zip([None, *self._on_day.values()], self._on_day.values(), strict=False):
            own = last is not None and last.frame == pair.frame
            self._before[pair.frame, _day(pair.secondary)] = last if own else None

    def chain(self, pair: Pair) -> list[Pair]:
        """Return the pair, the one that leads to its reference, and so on back to the first reference that is known."""
        chain = [pair]
        while True:
            before = self._on_day.get((pair.frame, _day(chain[-1].reference)))
            if before is None or before in chain:  # a pair of one day would lead to itself
                return chain
            chain.append(before)

    def before(self, pair: Pair) -> Pair | None:
        """Return the pair that ends at the frame's acquisition before."""
        return self._before[pair.frame, _day(pair.secondary)]

    def terms(self, pair: Pair, *, is_consecutive: bool) -> Terms:
        """Return how the displacement since the first reference, or since the acquisition before, is made."""
        chain = self.chain(pair)
        if not is_consecutive:
            return Terms(chain[-1].reference, chain, [])
        earlier = self.before(pair)
        if earlier is None or earlier.secondary <= pair.reference:
            return Terms(pair.reference, [pair], [])
        past = self.chain(earlier)
        if _day(past[-1].reference) != _day(chain[-1].reference):
            return Terms(pair.reference, [pair], [])
        return Terms(
            earlier.secondary, [p for p in chain if p not in past], [p for p in past if p not in chain]
        )

    def made_of(self, pair: Pair) -> set[Pair]:
        """Return all pairs that a displacement can depend on, however it is made."""
        earlier = self.before(pair)
        return {*self.chain(pair), *(self.chain(earlier) if earlier is not None else ())}


def touched_by(changed: Collection[str], known: Collection[str]) -> tuple[set[str], set[str]]:
    """Return the keys of the pairs whose displacements change with those of `changed`, and of all they are made of.

    Scenes that other frames have of the same day belong to them: they are joined.
    """
    pairs = [pair for key in known if (pair := Pair.of(key)) is not None]
    series = Series(pairs)
    made_of = {pair: {p.key for p in series.made_of(pair)} for pair in pairs}
    days = {_day(pair.secondary) for pair in pairs if made_of[pair] & set(changed)}
    touched = [pair for pair in pairs if _day(pair.secondary) in days]
    return {pair.key for pair in touched}, {key for pair in touched for key in made_of[pair]}


def _day(time: np.datetime64) -> np.datetime64:
    day: np.datetime64 = time.astype("datetime64[D]")
    return day


def _compact(time: np.datetime64) -> str:
    return str(time.astype("datetime64[s]")).replace("-", "").replace(":", "")
