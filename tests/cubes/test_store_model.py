"""The observation store driven at random through append, revise, kill, other writers and time travel, beside a dict."""

import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import xarray as xr
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tasks.cubes import grow, layout, zones
from tasks.cubes.store import ObservationStore

DAY = np.timedelta64(86_400_000_000_000, "ns")
EPOCH = np.datetime64("2020-01-01", "ns")
Cells = dict[tuple[int, str], float]
Events = dict[tuple[str, int], tuple[int, float]]

days = st.lists(st.integers(0, 40), min_size=1, max_size=6, unique=True)
names = st.lists(st.sampled_from("ABCDEFG"), min_size=1, max_size=3, unique=True)
value = st.one_of(st.floats(-10, 10, width=32), st.just(float("nan")))
version = st.tuples(
    st.sampled_from(["e1", "e22", "e333", "é4"]), st.integers(0, 30), st.integers(0, 30), value
)


def positions(cells: Cells) -> xr.Dataset:
    """Every (day, station) of which either is in `cells`; what no cell says is missing."""
    rows = sorted({day for day, _ in cells})
    columns = sorted({name for _, name in cells})
    shape = (len(rows), len(columns))
    east, known = np.full(shape, np.nan), np.full(shape, np.datetime64("NaT", "ns"))
    flag = np.full(shape, 1, np.uint8)
    for (day, name), found in cells.items():
        at = rows.index(day), columns.index(name)
        east[at], flag[at], known[at] = found, 0, EPOCH + (day + 1) * DAY
    return xr.Dataset(
        {
            "east": (("time", "station"), east, {"units": "m"}),
            "available_time": (("time", "station"), known),
            "quality_flag": (("time", "station"), flag),
        },
        coords={
            "time": EPOCH + np.array(rows) * DAY,
            "station": np.array(columns, dtype=object),
            "latitude": ("station", np.array([ord(name) / 2 for name in columns])),
        },
    )


def catalog(events: Events) -> xr.Dataset:
    rows = sorted((origin, name, known, magnitude) for (name, known), (origin, magnitude) in events.items())
    return xr.Dataset(
        {
            "event_id": ("event", np.array([r[1] for r in rows], dtype=object)),
            "origin_time": ("event", EPOCH + np.array([r[0] for r in rows]) * DAY),
            "available_time": ("event", EPOCH + np.array([r[2] for r in rows]) * DAY),
            "magnitude": ("event", np.array([r[3] for r in rows])),
        },
        attrs={"modality": "catalog"},
    )


class StoreBesideDict(RuleBasedStateMachine):
    """Two groups of a store whose chunks hold a few rows, so that every edge is met, and what a dict says of them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="quakecube-test-"))
        self.patches = [
            patch.object(layout, "COLUMN_ROWS", 4), patch.object(zones, "COLUMN_ROWS", 4),
            patch.object(layout, "OBSERVATION_ROWS", 2), patch.object(layout, "STATIONS", 2),
        ]  # fmt: skip
        for each in self.patches:
            each.start()
        self.store = ObservationStore(self.folder, "tiny")
        self.cells: Cells = {}
        self.events: Events = {}
        self.past: dict[str, tuple[Cells, Events]] = {}

    def teardown(self) -> None:
        for each in self.patches:
            each.stop()
        shutil.rmtree(self.folder)

    def _remember(self, snapshot: str) -> None:
        if snapshot in self.past:
            assert str(self.past[snapshot]) == str((self.cells, self.events)), (
                "the same snapshot has other content"
            )
        self.past[snapshot] = (dict(self.cells), dict(self.events))

    def _put(self, store: ObservationStore, days: list[int], names: list[str], found: float) -> None:
        answer = {(day, name): found + day for day in days for name in names}
        self.cells |= answer
        self._remember(store.write("gnss/a", positions(answer)))

    @rule(days=days, names=names, found=value)
    def positions_arrive(self, days: list[int], names: list[str], found: float) -> None:
        self._put(self.store, days, names, found)

    @rule(versions=st.lists(version, min_size=1, max_size=4))
    def events_arrive(self, versions: list[tuple[str, int, int, float]]) -> None:
        answer = {(name, known): (origin, magnitude) for name, origin, known, magnitude in versions}
        self.events |= answer
        self._remember(self.store.write("catalog/a", catalog(answer)))

    @precondition(lambda self: self.cells)
    @rule(data=st.data(), found=value)
    def a_value_is_revised(self, data: st.DataObject, found: float) -> None:
        day, name = data.draw(st.sampled_from(sorted(self.cells)))
        self._put(self.store, [day], [name], found)

    @precondition(lambda self: self.cells)
    @rule()
    def the_same_answer_comes_again(self) -> None:
        before = self.store.snapshot()
        whole = self.store.read("gnss/a")
        assert whole is not None
        assert self.store.write("gnss/a", whole.load()) == before

    @rule(days=days, names=names)
    def a_writer_is_killed_before_its_commit(self, days: list[int], names: list[str]) -> None:
        session = self.store._repository.open().writable_session("main")
        growing = grow.GrowingGroup.open(session, "gnss/a", "time")
        answer = positions({(day, name): -1.0 for day in days for name in names})
        if growing is None:
            grow.GrowingGroup.create(session, "gnss/a", "time", answer)
        else:
            growing.join(answer, is_damaged=False)

    @rule(days=days, names=names, found=value)
    def another_process_writes(self, days: list[int], names: list[str], found: float) -> None:
        self._put(ObservationStore(self.folder, "tiny"), days, names, found)

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def an_old_snapshot_still_reads(self, data: st.DataObject) -> None:
        snapshot = data.draw(st.sampled_from(sorted(self.past)))
        self._agrees(snapshot, *self.past[snapshot])

    @invariant()
    def the_store_says_what_the_dict_says(self) -> None:
        self._agrees(None, self.cells, self.events)

    def _agrees(self, snapshot: str | None, cells: Cells, events: Events) -> None:
        for group, expected in (("gnss/a", positions(cells)), ("catalog/a", catalog(events))):
            found = self.store.read(group, snapshot)
            if found is None:
                assert not (cells if group == "gnss/a" else events)
            else:
                xr.testing.assert_identical(found.load(), expected)


TestStoreBesideDict = StoreBesideDict.TestCase
TestStoreBesideDict.settings = settings(max_examples=8, stateful_step_count=12, deadline=None)
