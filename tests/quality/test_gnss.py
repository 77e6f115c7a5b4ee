"""A spike returns and is masked; a step stays and is kept; and nothing is judged by its own future."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.quality.earthquakes import Earthquakes
from tasks.quality.flags import NAT, Flag, Reason, stamps, verdicts
from tasks.quality.gnss import judge_gnss

from .conftest import DAY, make_catalog, make_network, noise

NONE = Earthquakes.none()
NAMES = ("quality_flag", "quality_reason", "available_time", "quality_available_time")


def reasons(observations: xr.Dataset, earthquakes: Earthquakes = NONE) -> np.ndarray:
    return judge_gnss(observations, earthquakes).verdict["quality_reason"].values


def test_a_spike_is_masked_and_its_verdict_comes_with_the_next_day() -> None:
    values = noise(200, 1)
    values[100, 0, 0] += 0.03
    verdict = judge_gnss(make_network(values), NONE).verdict
    assert np.flatnonzero(verdict["quality_flag"].values[:-1, 0] == Flag.MASKED).tolist() == [100]
    assert verdict["quality_reason"].values[100, 0] == Reason.SPIKE
    assert np.isnat(verdict["available_time"].values[100, 0])
    known = make_network(values)["available_time"].values
    assert verdict["quality_available_time"].values[100, 0] == known[101, 0]


def test_a_step_nobody_explains_keeps_every_day_and_costs_one_day_of_delay() -> None:
    values = noise(200, 1)
    values[100:, 0, 1] += 0.5
    observations = make_network(values)
    judged = judge_gnss(observations, NONE)
    assert (judged.verdict["quality_flag"].values[:-1] == Flag.OBSERVED).all()
    assert judged.verdict["quality_reason"].values[100, 0] == Reason.STEP
    known = observations["available_time"].values[:, 0]
    assert judged.verdict["available_time"].values[100, 0] == known[101]
    assert judged.verdict["available_time"].values[101, 0] == known[101]
    (step,) = judged.steps
    assert step.north == pytest.approx(0.5, abs=0.002)
    assert not step.is_explained


def test_a_step_of_a_known_earthquake_is_not_held_back_and_carries_no_remark() -> None:
    values = noise(200, 1)
    values[100:, 0, 1] += 0.5
    observations = make_network(values)
    day = observations["time"].values[100]
    catalog = make_catalog(str(day), str(day + np.timedelta64(5, "m")), 7.0)
    judged = judge_gnss(observations, Earthquakes.of([catalog]))
    assert judged.verdict["available_time"].values[100, 0] == observations["available_time"].values[100, 0]
    assert judged.verdict["quality_reason"].values[100, 0] == Reason.NONE
    assert judged.steps[0].is_explained


@pytest.mark.parametrize(("magnitude", "known"), [(5.0, "2010-04-11T13"), (7.0, "2012-01-01")])
def test_an_earthquake_too_far_or_not_yet_known_explains_nothing(magnitude: float, known: str) -> None:
    values = noise(200, 1)
    values[100:, 0, 1] += 0.5
    catalog = make_catalog("2010-04-11T12:00", known, magnitude, latitude=40.0)
    assert reasons(make_network(values), Earthquakes.of([catalog]))[100, 0] == Reason.STEP


def test_slow_slip_is_kept_whole() -> None:
    values = noise(300, 1)
    values[100:, 0, 0] += np.minimum(np.arange(200) / 40.0, 1.0) * 0.02
    assert (judge_gnss(make_network(values), NONE).verdict["quality_flag"].values[:-1] == 0).all()


def test_a_receiver_that_repeats_itself_is_dead_from_the_fourth_value_on() -> None:
    values = noise(100, 1)
    values[50:60] = values[50]
    found = reasons(make_network(values))[:, 0]
    assert np.flatnonzero(found == Reason.DEAD).tolist() == list(range(53, 60))


def test_a_day_on_which_all_stations_jump_and_return_is_common_mode_and_kept() -> None:
    values = noise(200, 8)
    values[120] += 0.02
    verdict = judge_gnss(make_network(values), NONE).verdict
    assert (verdict["quality_reason"].values[120] == Reason.COMMON_MODE).all()
    assert (verdict["quality_flag"].values[120] == Flag.OBSERVED).all()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("swap", Reason.SWAPPED), ("clock", Reason.CLOCK), ("gain", Reason.RESPONSE)],
)
def test_a_faulty_station_is_masked_in_the_half_year_after_it_showed(fault: str, reason: Reason) -> None:
    values = noise(3 * 182, 9, common=1.5)
    if fault == "swap":
        values[:, 4, :2] = values[:, 4, 1::-1].copy()
    elif fault == "clock":
        values[1:, 4] = values[:-1, 4].copy()
    else:
        values[:, 4] *= 1000
    found = reasons(make_network(values))
    assert (found == reason).any(axis=0).tolist() == [s == 4 for s in range(9)]
    # no verdict before a whole half year has been seen
    assert np.flatnonzero(found[:, 4] == reason)[0] >= 100


def test_flags_of_the_reader_keep_their_reasons_and_unknown_ones_are_refused() -> None:
    observations = make_network(noise(60, 1))
    observations["quality_flag"].values[[20, 30, 40], 0] = [1, 2, 4]
    found = reasons(observations)[:, 0]
    assert found[[20, 30, 40]].tolist() == [Reason.NO_VALUE, Reason.FULL_SCALE, Reason.PROVIDER_MASK]
    observations["quality_flag"].values[5, 0] = 9
    with pytest.raises(ValueError, match="expected 0 to 4, found 9"):
        reasons(observations)


def _eventful(seed: int) -> xr.Dataset:
    """Spikes, steps and gaps at random, two stations in three half years."""
    rng = np.random.default_rng(seed)
    values = noise(220, 2, seed)
    for _ in range(6):
        day, station = int(rng.integers(220)), int(rng.integers(2))
        jump = rng.normal(0, 0.05, 3)
        if rng.uniform() < 0.5:
            values[day, station] += jump
        else:
            values[day:, station] += jump
    values[rng.uniform(size=(220, 2)) < 0.05] = np.nan
    return make_network(values)


def verdicts_known_at(observations: xr.Dataset, verdict: xr.Dataset, moment: np.datetime64) -> xr.Dataset:
    """Return `verdict` as it stood at `moment`, for judges that keep `available_time` per value.

    A value that had come, but whose verdict had not, is AWAITING_VERDICT if it was held back, and observed without a
    remark if it was not. A value that had not come is NOT_PUBLISHED.
    """
    now = moment.astype("datetime64[ns]").astype(np.int64)
    came, _ = xr.broadcast(observations["available_time"], verdict["quality_flag"])
    came = came.transpose(*verdict["quality_flag"].dims)
    arrived = (stamps(came) <= now) & (stamps(came) != NAT)
    usable = stamps(verdict["available_time"])
    known = (stamps(verdict["quality_available_time"]) <= now) & arrived
    released = (usable != NAT) & (usable <= now)
    reason = np.where(
        known, verdict["quality_reason"].values, np.where(released, Reason.NONE, Reason.AWAITING_VERDICT)
    )
    reason = np.where(arrived, reason, Reason.NOT_PUBLISHED).astype(np.uint8)
    came_at = np.where(released, np.maximum(stamps(came), usable), np.where(arrived, stamps(came), NAT))
    time = np.where(known, stamps(verdict["quality_available_time"]), came_at)
    dims = tuple(str(d) for d in verdict["quality_flag"].dims)
    coords = {str(k): v for k, v in verdict.coords.items()}
    return verdicts(dims, coords, reason, usable, time, str(verdict.attrs["judged_by"]))


@given(seed=st.integers(0, 10_000), day=st.integers(1, 219))
@settings(max_examples=25, deadline=None)
def test_a_verdict_at_a_moment_is_that_of_a_judge_who_lived_then(seed: int, day: int) -> None:
    observations = _eventful(seed)
    moment = observations["available_time"].values[day, 0]
    whole = judge_gnss(observations, NONE).verdict
    then = verdicts_known_at(observations, whole, moment).isel(time=slice(0, day + 1))
    lived = judge_gnss(observations.isel(time=slice(0, day + 1)), NONE).verdict
    for name in NAMES:
        np.testing.assert_array_equal(then[name].values, lived[name].values, err_msg=name)


@given(seed=st.integers(0, 10_000), day=st.integers(60, 219))
@settings(max_examples=15, deadline=None)
def test_values_that_come_late_change_nothing_that_was_known_before(seed: int, day: int) -> None:
    observations = _eventful(seed)
    late = np.random.default_rng(seed).uniform(size=(220, 2)) < 0.1
    stamps = observations["available_time"].values
    stamps[late] += np.timedelta64(30 * DAY, "ns")
    moment = stamps[day, 0]
    before = judge_gnss(observations, NONE).verdict
    shown = before["available_time"].values <= moment
    changed = observations.copy(deep=True)
    for name in ("east", "north", "up"):
        changed[name].values[stamps > moment] = 7.0
    after = judge_gnss(changed, NONE).verdict
    np.testing.assert_array_equal(after["available_time"].values <= moment, shown)
