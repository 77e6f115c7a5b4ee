"""Which version of a value is first, what is a revision, and what is none."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tasks.cubes.clock import known_at
from tasks.cubes.revisions import REVISION, Versions, as_known, sort_versions
from tasks.cubes.store import ObservationStore

DAY = np.timedelta64(86_400_000_000_000, "ns")
START = np.datetime64("2020-01-01", "ns")
RAPID, FINAL, LATER = START + DAY, START + 14 * DAY, START + 20 * DAY
NEVER = np.datetime64("NaT", "ns")


def position(value: float, known: np.datetime64, days: int = 1) -> xr.Dataset:
    """One station, the same value on each day."""
    return xr.Dataset(
        {
            "east": (("time", "station"), np.full((days, 1), value)),
            "available_time": (("time", "station"), np.full((days, 1), known)),
            "quality_flag": (("time", "station"), np.full((days, 1), np.isnan(value), np.uint8)),
        },
        coords={"time": START + np.arange(days) * DAY, "station": np.array(["S0"], dtype=object)},
    )


def scene(value: float, known: np.datetime64) -> xr.Dataset:
    return xr.Dataset(
        {
            "air_temperature": (("time", "lat", "lon"), np.full((1, 2, 2), value)),
            "available_time": ("time", [known]),
        },
        coords={"time": [START], "lat": [35.0, 36.0], "lon": [-118.0, -117.0]},
    )


def record(known: np.datetime64, *, has_north: bool) -> xr.Dataset:
    flags = np.array([[0, 0 if has_north else 1, 0]], np.uint8)
    velocity = np.where(flags[:, :, None] == 1, np.nan, np.ones((1, 3, 4))).astype(np.float32)
    return xr.Dataset(
        {
            "velocity": (("record", "channel", "sample"), velocity),
            "time": ("record", [START]),
            "available_time": ("record", [known]),
            "station": ("record", np.array(["QC.S0"], dtype=object)),
            "quality_flag": (("record", "channel"), flags),
        },
        coords={"channel": np.array(["Z", "N", "E"], dtype=object)},
    )


def versions(stored: xr.Dataset, answer: xr.Dataset, revisions: xr.Dataset | None = None) -> Versions:
    return sort_versions(stored, answer, "time", revisions)


def test_a_final_position_is_kept_beside_the_rapid_one() -> None:
    first, changed, revisions = versions(position(1.0, RAPID), position(2.0, FINAL))

    assert not changed.any()
    assert first["east"].values.tolist() == [[1.0]]
    assert revisions is not None
    assert revisions["east"].values.tolist() == [2.0]
    assert revisions["station"].values.tolist() == ["S0"]
    assert revisions["available_time"].values.tolist() == [FINAL.astype(np.int64)]


def test_a_rapid_position_that_comes_late_is_first_all_the_same() -> None:
    first, changed, revisions = versions(position(2.0, FINAL), position(1.0, RAPID))

    assert changed.all()
    assert first["east"].values.tolist() == [[1.0]]
    assert revisions is not None
    assert revisions["east"].values.tolist() == [2.0]


def test_a_value_mended_at_its_own_time_leaves_no_revision() -> None:
    first, changed, revisions = versions(position(1.0, RAPID), position(2.0, RAPID))

    assert changed.all()
    assert revisions is None
    assert first["east"].values.tolist() == [[2.0]]


def test_a_value_said_again_is_no_version_and_keeps_its_earlier_time() -> None:
    again, earlier = versions(position(1.0, RAPID), position(1.0, FINAL)), versions(
        position(1.0, FINAL), position(1.0, RAPID)
    )  # fmt: skip

    for found in (again, earlier):
        assert found.revisions is None
        assert found.first["available_time"].values.tolist() == [[RAPID.astype(np.int64)]]
    assert not again.changed.any()


def test_the_first_value_said_again_after_another_is_a_version() -> None:
    kept = versions(position(1.0, RAPID), position(2.0, FINAL)).revisions
    back = versions(position(1.0, RAPID), position(1.0, LATER), kept).revisions
    again = versions(position(1.0, RAPID), position(2.0, LATER), kept).revisions

    assert again is None
    assert back is not None
    assert back["east"].values.tolist() == [1.0]


def test_what_says_nothing_replaces_nothing() -> None:
    first, changed, revisions = versions(position(1.0, RAPID), position(np.nan, NEVER))

    assert not changed.any()
    assert revisions is None
    assert first["east"].values.tolist() == [[1.0]]


def test_a_value_taken_back_is_gone_from_then_on() -> None:
    first, _, kept = versions(position(1.0, RAPID), position(np.nan, FINAL))

    assert as_known(first, kept, FINAL - DAY)["east"].values.tolist() == [[1.0]]
    assert np.isnan(as_known(first, kept, FINAL)["east"].values).all()
    assert np.isnan(as_known(first, kept)["east"].values).all()


def test_a_gap_that_is_filled_was_not_known_before() -> None:
    filled = versions(position(np.nan, RAPID), position(2.0, FINAL))
    late = versions(position(2.0, FINAL), position(np.nan, RAPID))

    for found in (filled, late):
        assert found.revisions is None
        assert found.first["east"].values.tolist() == [[2.0]]
        assert found.first["available_time"].values.tolist() == [[FINAL.astype(np.int64)]]


def test_without_revisions_it_is_what_the_stamps_say() -> None:
    group = xr.concat(
        [position(1.0, RAPID), position(2.0, FINAL).assign_coords(time=[START + DAY])], dim="time"
    )

    xr.testing.assert_identical(as_known(group, None, FINAL - DAY), known_at(group, FINAL - DAY))


def test_stations_of_which_nothing_was_known_are_left_out() -> None:
    other = position(2.0, FINAL).assign_coords(station=np.array(["S1"], dtype=object))
    group = xr.concat([position(1.0, RAPID), other], dim="station")

    assert as_known(group, None, RAPID)["station"].values.tolist() == ["S0"]


def test_a_scene_is_kept_whole_and_read_only_when_it_is_asked_for() -> None:
    first, _, kept = versions(scene(290.0, RAPID), scene(291.0, FINAL))
    assert kept is not None
    early, late = (as_known(first.chunk(), kept.chunk(), moment) for moment in (FINAL - DAY, FINAL))

    assert late["air_temperature"].chunks is not None
    assert (early["air_temperature"].values == 290.0).all()
    assert (late["air_temperature"].values == 291.0).all()
    assert as_known(first, kept, RAPID - DAY).sizes["time"] == 0


def test_of_many_versions_the_last_known_by_then_is_told() -> None:
    kept = [versions(position(1.0, RAPID), position(v, FINAL + v * DAY)).revisions for v in (3.0, 2.0)]
    revisions = xr.concat([k for k in kept if k is not None], dim=REVISION)

    moments = [FINAL + k * DAY for k in range(4)]
    found = [as_known(position(1.0, RAPID), revisions, m)["east"].values.item() for m in moments]
    assert found == [1.0, 1.0, 2.0, 3.0]


def test_a_later_version_touches_nothing_that_is_stored(tmp_path: Path) -> None:
    store = ObservationStore(tmp_path, "tiny")
    before = store.write("gnss/a", position(1.0, RAPID, days=40))
    after = store.write("gnss/a", position(2.0, FINAL, days=40))
    diff = store._repository.open().diff(from_snapshot_id=before, to_snapshot_id=after)

    assert before != after
    assert {path.split("/")[1] for path in diff.updated_chunks} == {"revisions"}
    assert store.changes(before, after) == {}
    assert store.groups() == ["gnss/a"]
    assert store.write("gnss/a", position(1.0, RAPID, days=40)) == after


def test_a_damaged_record_replaces_no_version_that_was_whole(tmp_path: Path) -> None:
    store = ObservationStore(tmp_path, "tiny")
    store.write("waveform/a", record(RAPID, has_north=False))
    whole = store.write("waveform/a", record(FINAL, has_north=True))

    assert store.write("waveform/a", record(LATER, has_north=False), is_damaged=True) == whole
    assert store.write("waveform/a", record(LATER, has_north=False)) != whole


@pytest.mark.parametrize("first", [True, False])
def test_other_variables_are_refused_and_no_revision_is_left(tmp_path: Path, first: bool) -> None:
    store = ObservationStore(tmp_path, "tiny")
    before = store.write("gnss/a", position(1.0, RAPID))
    wrong = position(2.0, FINAL).drop_vars("quality_flag")
    with pytest.raises(ValueError, match=r"gnss/a.*expected the variables"):
        store.write("gnss/a", wrong)
    found = store.read("gnss/a", first=first)
    assert found is not None
    assert store.snapshot() == before
    assert found["east"].values.tolist() == [[1.0]]
