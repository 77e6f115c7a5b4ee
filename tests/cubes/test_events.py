"""The versions of an event are found wherever they lie, and the archive is not read for it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.cubes import events, layout, zones
from tasks.cubes.closure import first_row, merge_start
from tasks.cubes.events import stored_start
from tasks.cubes.store import ObservationStore

EPOCH = np.datetime64("2020-01-01", "ns")
SECOND = np.timedelta64(1_000_000_000, "ns")
Row = tuple[int, int, int]
# number of the event, origin and moment of publication in seconds
rows = st.tuples(st.integers(0, 40), st.integers(0, 400), st.integers(0, 60))
arrivals = st.lists(
    st.tuples(st.sampled_from("ab"), st.lists(rows, min_size=1, max_size=12, unique_by=lambda r: (r[0], r[2]))),
    min_size=1, max_size=4,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _short_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as short:
        for module in (layout, zones, events):
            short.setattr(module, "COLUMN_ROWS", 4)
        short.setattr(events, "MARK_ROWS", 8)
        yield


def catalog(group: str, answer: list[Row]) -> xr.Dataset:
    """One network writes its numbers with its name, the other without."""
    name = {"a": "ci{}", "b": "{}"}[group]
    return xr.Dataset(
        {
            "event_id": ("event", np.array([name.format(n) for n, _, _ in answer], dtype=object)),
            "origin_time": ("event", EPOCH + np.array([origin for _, origin, _ in answer]) * 5 * SECOND),
            "available_time": ("event", EPOCH + np.array([known for _, _, known in answer]) * 60 * SECOND),
            "magnitude": ("event", np.ones(len(answer))),
        }
    )


def start_and_expected(arrived: list[tuple[str, list[Row]]], since: np.datetime64) -> None:
    with tempfile.TemporaryDirectory(prefix="quakecube-test-") as folder:
        store = ObservationStore(Path(folder), "tiny")
        for group, answer in arrived:
            store.write(f"catalog/{group}", catalog(group, answer))
        groups = store.groups()
        catalogs = {g: c.load() for g in groups if (c := store.read(g)) is not None}
        expected = merge_start(catalogs, since)
        assert stored_start(store._repository.reader(), groups, since) == expected
        for group in groups:
            found = store.read_since(group, since)
            assert found is not None
            whole = catalogs[group]
            late = whole.isel(event=np.flatnonzero(whole["origin_time"].values >= expected))
            key = ["event_id", "origin_time", "available_time"]
            assert sorted(zip(*(found[k].values for k in key), strict=True)) == sorted(
                zip(*(late[k].values for k in key), strict=True)
            )


@settings(deadline=None, max_examples=20)
@given(arrived=arrivals, since=st.integers(0, 400))
def test_catalogs_are_cut_where_they_would_be_if_all_were_read(
    arrived: list[tuple[str, list[Row]]], since: int
) -> None:
    start_and_expected(arrived, EPOCH + since * 5 * SECOND)


@pytest.mark.heavy
@settings(deadline=None, max_examples=400)
@given(arrived=arrivals, since=st.integers(0, 400))
def test_catalogs_are_cut_right_in_many_trials(arrived: list[tuple[str, list[Row]]], since: int) -> None:
    start_and_expected(arrived, EPOCH + since * 5 * SECOND)


def quiet(first: int, count: int) -> list[Row]:
    """Events five seconds apart, each with one version."""
    return [(n, n, n) for n in range(first, first + count)]


def test_of_a_long_catalog_the_late_events_are_read_and_no_other_ids(tmp_path: Path) -> None:
    store = ObservationStore(tmp_path, "tiny")
    store.write("catalog/a", catalog("a", quiet(0, 200)))
    # A version of an event of long ago arrives.
    store.write("catalog/a", catalog("a", [(33, 34, 210)]))
    reader = store._repository.reader()
    read: list[tuple[str, int]] = []
    selected = zarr.Array.__getitem__

    def counted(array: "zarr.Array", rows: object) -> object:  # type: ignore[type-arg]
        found = selected(array, rows)  # type: ignore[arg-type]
        read.append((array.path.rpartition("/")[2], int(np.size(found))))
        return found

    with patch.object(zarr.Array, "__getitem__", counted):
        assert stored_start(reader, ["catalog/a"], EPOCH + 195 * 5 * SECOND) == EPOCH + 195 * 5 * SECOND
    assert sum(n for name, n in read if name == "event_id") <= 20
    assert stored_start(reader, ["catalog/a"], EPOCH + 34 * 5 * SECOND) == EPOCH + 33 * 5 * SECOND


def test_a_mended_origin_is_found_where_it_is_now(tmp_path: Path) -> None:
    store = ObservationStore(tmp_path, "tiny")
    store.write("catalog/a", catalog("a", quiet(0, 30)))
    store.write("catalog/a", catalog("a", [(2, 390, 2)]))
    found = store.read_since("catalog/a", EPOCH + 380 * 5 * SECOND)
    assert found is not None
    assert found["event_id"].values.astype(object).tolist() == ["ci2"]


@given(st.lists(st.integers(0, 50), max_size=30).map(sorted), st.integers(-1, 51), st.integers(1, 9))
def test_the_first_row_of_a_time_is_found_from_the_end(times: list[int], start: int, block: int) -> None:
    moments = EPOCH + np.array(times, dtype="timedelta64[s]")
    with patch("tasks.cubes.closure._BLOCK", block):
        found = first_row(xr.DataArray(moments), EPOCH + start * SECOND)
    assert found == np.searchsorted(moments, EPOCH + start * SECOND, "left")
