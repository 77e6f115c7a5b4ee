import numpy as np
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.cubes.clock import DAY, arrivals, known_at

START = np.datetime64("2020-01-01", "ns")


def positions(delays: list[list[int]]) -> xr.Dataset:
    """Days x stations, each value known `delay` half days after its day."""
    shape = np.shape(delays)
    time = START + np.arange(shape[0]) * DAY
    available = time[:, None] + DAY + np.asarray(delays) * (DAY // 2)
    return xr.Dataset(
        {
            "east": (("time", "station"), np.arange(np.prod(shape), dtype=float).reshape(shape)),
            "available_time": (("time", "station"), available),
            "quality_flag": (("time", "station"), np.zeros(shape, np.uint8)),
        },
        coords={"time": time, "station": np.array([f"S{k}" for k in range(shape[1])], dtype=object)},
    )


@settings(deadline=None)
@given(
    delays=st.lists(st.lists(st.integers(0, 20), min_size=3, max_size=3), min_size=1, max_size=8),
    midnights=st.lists(st.integers(0, 25), min_size=1, max_size=6, unique=True).map(sorted),
)
def test_days_of_arrivals_add_up_to_what_is_known(delays: list[list[int]], midnights: list[int]) -> None:
    dataset = positions(delays)
    moments = [START + day * DAY for day in midnights]
    stored: xr.Dataset | None = None
    before = None
    for now in moments:
        new = arrivals(dataset, before, now)
        if new is not None:
            # a row that comes again replaces the row, as in the store
            kept = [] if stored is None else [stored.drop_sel(time=new["time"].values, errors="ignore")]
            stored = xr.concat([*kept, new], dim="time", join="override").sortby("time")
        before = now
        known = known_at(dataset, now)
        if known.sizes["time"] == 0:
            assert stored is None
        else:
            assert stored is not None
            xr.testing.assert_equal(stored.drop_vars("quality_flag"), known.drop_vars("quality_flag"))
            np.testing.assert_array_equal(stored["quality_flag"], known["quality_flag"])


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=30),
    st.lists(st.integers(0, 110), max_size=8).map(sorted),
)
def test_every_version_of_an_event_arrives_once(hours: list[int], asked: list[int]) -> None:
    moments = START + np.asarray(hours) * np.timedelta64(1, "h").astype("timedelta64[ns]")
    versions = xr.Dataset(
        {"available_time": ("event", moments), "event_id": ("event", np.arange(len(hours)))}
    )
    ends = [START + np.timedelta64(h, "h") for h in [*asked, 200]]
    parts = [arrivals(versions, before, now) for before, now in zip([None, *ends[:-1]], ends, strict=True)]
    seen = np.concatenate([p["event_id"].values for p in parts if p is not None])

    assert sorted(seen) == list(range(len(hours)))
