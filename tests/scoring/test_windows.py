from datetime import date

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from tasks.scoring import issue_times, observed_counts

DAYS = np.arange("2019-01-01", "2020-01-01", dtype="datetime64[D]").astype("datetime64[ns]")


@pytest.fixture
def labels():
    values = np.random.default_rng(0).poisson(0.3, (DAYS.size, 2, 3)).astype(np.int32)
    coords = {"time": DAYS, "lat": [1.0, 2.0], "lon": [3.0, 4.0, 5.0]}
    return xr.DataArray(values, dims=("time", "lat", "lon"), coords=coords)


@given(length=st.integers(1, 800), horizon=st.sampled_from([1, 7, 30]))
def test_windows_tile_the_period_and_never_reach_past_its_end(length, horizon):
    start = date(2019, 1, 1)
    end = date.fromordinal(start.toordinal() + length)
    if length < horizon:
        with pytest.raises(ValueError, match="no window"):
            issue_times(start, end, horizon)
        return
    times = issue_times(start, end, horizon)
    step = np.timedelta64(horizon, "D")
    assert times.dtype == np.dtype("datetime64[ns]")
    assert times[0] == np.datetime64(start)
    assert (np.diff(times) == step).all()
    assert times[-1] + step <= np.datetime64(end) < times[-1] + 2 * step


@pytest.mark.parametrize("horizon", [1, 7, 30])
def test_counts_are_the_sum_of_their_days(labels, horizon):
    times = issue_times(date(2019, 2, 3), date(2019, 12, 30), horizon)
    found = observed_counts(labels, times, horizon)
    for time in times:
        inside = np.isin(DAYS, time + np.timedelta64(1, "D") * np.arange(horizon))
        np.testing.assert_array_equal(found.sel(issue_time=time), labels[inside].sum("time"))


def test_a_missing_day_is_refused_by_date(labels):
    gap = labels.drop_sel(time=np.datetime64("2019-03-05", "ns"))
    with pytest.raises(ValueError, match="2019-03-05"):
        observed_counts(gap, issue_times(date(2019, 3, 1), date(2019, 3, 20), 7), 7)
    with pytest.raises(ValueError, match="2020-01-01"):
        observed_counts(labels, np.array(["2019-12-30"], dtype="datetime64[ns]"), 7)


def test_nan_labels_are_refused(labels):
    with pytest.raises(ValueError, match="found NaN"):
        observed_counts(
            labels.where(labels["lat"] < 2), issue_times(date(2019, 3, 1), date(2019, 4, 1), 7), 7
        )
