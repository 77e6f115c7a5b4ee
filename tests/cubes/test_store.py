"""The observation store: idempotent, versioned, one writer, and unharmed by a kill or a full disk."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import icechunk
import numpy as np
import pytest
import xarray as xr
from filelock import FileLock

from tasks.cubes.repository import Repository
from tasks.cubes.store import ObservationStore, StoreBusy, UnknownSnapshot

Observations = dict[str, xr.Dataset]
DAY = np.timedelta64(1, "D")


@pytest.fixture
def store(tmp_path: Path) -> ObservationStore:
    return ObservationStore(tmp_path, "tiny")


def stations(names: list[str], days: list[str], value: float) -> xr.Dataset:
    time_ = np.array(days, dtype="datetime64[ns]")
    shape = (len(days), len(names))
    return xr.Dataset(
        {
            "east": (("time", "station"), np.full(shape, value)),
            "available_time": (("time", "station"), np.repeat((time_ + DAY)[:, None], len(names), axis=1)),
            "quality_flag": (("time", "station"), np.zeros(shape, np.uint8)),
        },
        coords={
            "time": time_,
            "station": np.array(names, dtype=object),
            "latitude": ("station", np.arange(len(names)) + 35.0),
        },
    )


def test_what_is_written_reads_back_equal(store: ObservationStore, observations: Observations) -> None:
    for group, dataset in observations.items():
        store.write(group, dataset)
    for group, dataset in observations.items():
        found = store.read(group)
        assert found is not None
        assert found.load().equals(dataset)
        assert {n: v.dtype for n, v in found.variables.items()} == {
            n: v.dtype for n, v in dataset.variables.items()
        }
    assert store.groups() == sorted(observations)


def test_reading_is_lazy(store: ObservationStore, observations: Observations) -> None:
    store.write("insar/asc", observations["insar/asc"])
    found = store.read("insar/asc")
    assert found is not None
    assert found["los_displacement"].chunks is not None


def test_the_same_answer_twice_makes_no_new_snapshot(
    store: ObservationStore, observations: Observations
) -> None:
    for group, dataset in observations.items():
        assert store.write(group, dataset) == store.write(group, dataset)
    assert len(store.history()) == len(observations)


def test_later_rows_are_appended_to_the_nanosecond(store: ObservationStore) -> None:
    store.write("gnss/a", stations(["A"], ["2020-01-01", "2020-01-02"], 1.0))
    store.write("gnss/a", stations(["A"], ["2020-01-20T12:00:00.000000007"], 2.0))
    found = store.read("gnss/a")
    assert found is not None
    assert list(found["time"].values.astype(str)) == [
        "2020-01-01T00:00:00.000000000",
        "2020-01-02T00:00:00.000000000",
        "2020-01-20T12:00:00.000000007",
    ]
    assert found["quality_flag"].dtype == np.uint8


def test_rows_that_come_late_are_put_in_order(store: ObservationStore) -> None:
    store.write("gnss/a", stations(["A"], ["2020-01-03"], 3.0))
    store.write("gnss/a", stations(["A"], ["2020-01-01"], 1.0))
    found = store.read("gnss/a")
    assert found is not None
    assert found["east"].values.ravel().tolist() == [1.0, 3.0]


def test_a_revised_value_is_a_new_snapshot_and_the_old_stays_readable(store: ObservationStore) -> None:
    first = store.write("gnss/a", stations(["A"], ["2020-01-01", "2020-01-02"], 1.0))
    second = store.write("gnss/a", stations(["A"], ["2020-01-02"], 9.0))
    old, new = store.read("gnss/a", first), store.read("gnss/a", second)
    assert old is not None
    assert new is not None
    assert old["east"].values.ravel().tolist() == [1.0, 1.0]
    assert new["east"].values.ravel().tolist() == [1.0, 9.0]


def test_a_new_station_keeps_what_the_others_have(store: ObservationStore) -> None:
    store.write("gnss/a", stations(["A", "C"], ["2020-01-01", "2020-01-02"], 1.0))
    store.write("gnss/a", stations(["B"], ["2020-01-02", "2020-01-03"], 5.0))
    found = store.read("gnss/a")
    assert found is not None
    np.testing.assert_array_equal(found["east"].values, [[1, np.nan, 1], [1, 5, 1], [np.nan, 5, np.nan]])
    np.testing.assert_array_equal(found["quality_flag"].values, [[0, 1, 0], [0, 0, 0], [1, 0, 1]])
    assert np.isnat(found["available_time"].values[0, 1])
    assert list(found["station"].values) == ["A", "B", "C"]


def test_a_new_version_of_an_event_is_a_new_row(store: ObservationStore, observations: Observations) -> None:
    catalog = observations["catalog/scedc"]
    revised = catalog.isel(event=[3]).assign(
        available_time=catalog["available_time"].isel(event=[3]) + 10 * DAY,
        magnitude=catalog["magnitude"].isel(event=[3]) + 0.3,
    )
    store.write("catalog/scedc", catalog)
    store.write("catalog/scedc", revised)
    found = store.read("catalog/scedc")
    assert found is not None
    assert found.sizes["event"] == catalog.sizes["event"] + 1


def test_another_grid_in_the_same_group_is_refused(
    store: ObservationStore, observations: Observations
) -> None:
    store.write("weather/era5", observations["weather/era5"])
    moved = observations["weather/era5"].assign_coords(lat=[10.0, 11.0, 12.0])
    with pytest.raises(ValueError, match=r"weather/era5.*axis 'lat' differs"):
        store.write("weather/era5", moved)


def test_an_empty_store_and_an_unknown_group_read_as_nothing(store: ObservationStore) -> None:
    assert store.snapshot() is None
    assert store.groups() == []
    assert store.read("gnss/a") is None
    store.write("gnss/a", stations(["A"], ["2020-01-01"], 1.0))
    assert store.read("gnss/b") is None


def test_an_unknown_snapshot_is_named(store: ObservationStore) -> None:
    store.write("gnss/a", stations(["A"], ["2020-01-01"], 1.0))
    with pytest.raises(UnknownSnapshot, match="1CECHNKREP0F1RSTCMTX"):
        store.read("gnss/a", "1CECHNKREP0F1RSTCMTX")


def test_a_second_writer_gets_one_error_that_names_the_lock(tmp_path: Path) -> None:
    with FileLock(tmp_path / "tiny.lock"), pytest.raises(StoreBusy, match=r"tiny\.lock"):
        ObservationStore(tmp_path, "tiny").write(
            "gnss/a", stations(["A"], ["2020-01-01"], 1.0), timeout_s=0.1
        )


WRITER = """
    import resource, sys, warnings
    import numpy as np, xarray as xr
    from pathlib import Path
    from tasks.cubes import store as stores
    from tasks.cubes.store import ObservationStore, StoreFull
    store = ObservationStore(Path(sys.argv[1]), "tiny")
    rng = np.random.default_rng(0)
    time = np.datetime64("2020-01-01", "ns") + np.arange(40) * np.timedelta64(1, "D")
    big = xr.Dataset(
        {"v": (("time", "lat", "lon"), rng.normal(size=(40, 200, 200))), "available_time": ("time", time)},
        coords={"time": time, "lat": np.arange(200.0), "lon": np.arange(200.0)},
    )
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}


def test_a_full_disk_is_named_and_harms_nothing_stored(tmp_path: Path) -> None:
    store = ObservationStore(tmp_path, "tiny")
    small = stations(["A"], ["2020-01-01"], 1.0)
    before = store.write("gnss/a", small)
    script = textwrap.dedent(WRITER) + textwrap.dedent("""
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            store.write("weather/big", big)
        except StoreFull as full:
            print(full)
    """)
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], env=ENVIRONMENT, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert "disk or quota is full" in result.stdout, result.stderr
    assert str(tmp_path / "tiny") in result.stdout
    assert store.snapshot() == before
    found = store.read("gnss/a")
    assert found is not None
    assert found.load().equals(small)
    assert store.read("weather/big") is None


def test_a_writer_killed_before_its_commit_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    store = ObservationStore(tmp_path, "tiny")
    small = stations(["A"], ["2020-01-01"], 1.0)
    before = store.write("gnss/a", small)
    script = textwrap.dedent(WRITER) + textwrap.dedent("""
        import time as clock
        from tasks.cubes import repository
        with store._repository.writing("never", 1.0) as session:
            repository.put_group(session, "weather/big", big)
            print("written", flush=True)
            clock.sleep(60)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    started = time.monotonic()
    assert store.snapshot() == before
    assert store.read("weather/big") is None
    store.write("gnss/a", stations(["A"], ["2020-01-02"], 2.0), timeout_s=5.0)
    assert time.monotonic() - started < 5.0


def test_a_record_that_lost_a_channel_to_a_damaged_file_does_not_replace_the_whole_one(
    store: ObservationStore, observations: Observations
) -> None:
    whole = observations["waveform/stations"]
    first = store.write("waveform/stations", whole.isel(record=slice(0, 10)))
    answer = whole.isel(record=slice(5, 12)).copy(deep=True)
    answer["velocity"][{"record": 0, "channel": 1}] = np.nan
    answer["quality_flag"][{"record": 0, "channel": 1}] = 1
    store.write("waveform/stations", answer, is_damaged=True)
    found = store.read("waveform/stations")
    assert found is not None
    assert found.load().equals(whole.isel(record=slice(0, 12)))
    store.write("waveform/stations", answer)
    revised, old = store.read("waveform/stations"), store.read("waveform/stations", first)
    assert revised is not None
    assert old is not None
    assert int((revised["quality_flag"] == 1).sum()) == 1
    assert old.load().equals(whole.isel(record=slice(0, 10)))


def test_until_when_the_catalogs_were_asked_is_kept_with_each_snapshot(
    store: ObservationStore, observations: Observations
) -> None:
    assert store.asked_until() is None
    group = next(name for name in observations if name.startswith("catalog/"))
    first = store.write(group, observations[group])
    assert store.asked_until() is None
    second = store.note_asked(group, np.datetime64("2017-06-01T05:00", "ns"))
    assert store.note_asked(group, np.datetime64("2017-05-01", "ns")) == second, (
        "an earlier time changes nothing"
    )
    third = store.write(group, observations[group], asked=np.datetime64("2017-06-02", "ns"))
    store.note_asked("gnss/daily", np.datetime64("2018-01-01", "ns"))
    assert store.asked_until(first) is None
    assert store.asked_until(second) == np.datetime64("2017-06-01T05:00")
    assert store.asked_until() == store.asked_until(third) == np.datetime64("2017-06-02")
    assert store.changes(first) == {}, "the rows are the same"


def test_a_writer_is_given_its_own_snapshot_though_another_follows_at_once(
    tmp_path: Path, observations: Observations, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (ObservationStore(tmp_path, "tiny") for _ in range(2))
    one, other = sorted(observations)[:2]
    writing = Repository.writing

    @contextmanager
    def overtaken(self: Repository, message: str, timeout_s: float) -> Iterator[icechunk.Session]:
        with writing(self, message, timeout_s) as session:
            yield session
        if message == one:
            second.write(other, observations[other])

    monkeypatch.setattr(Repository, "writing", overtaken)
    snapshot = first.write(one, observations[one])
    assert dict(first.history())[snapshot] == one
    assert first.snapshot() != snapshot
