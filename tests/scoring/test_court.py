"""The court: all models before the same events and the same number of simulations."""

import json

import numpy as np
import pytest
import xarray as xr

from tasks.scoring import ScoringConfig, court, magnitude_bins

CONFIG = ScoringConfig(simulations=400, power_simulations=200, shuffles=100)
SHAPE = (60, 4, 5)


@pytest.fixture(scope="module")
def world() -> tuple[dict[int, xr.DataArray], dict[int, xr.DataArray]]:
    """Clustered truth; `etas` is the truth, `smoothed` knows where, `poisson` nothing."""
    rng = np.random.default_rng(0)
    times = np.datetime64("2019-01-01", "ns") + np.timedelta64(7, "D") * np.arange(SHAPE[0])
    coords = {"issue_time": times, "lat": 35.0 + 0.1 * np.arange(4), "lon": -118.0 + 0.1 * np.arange(5)}
    where, when = rng.gamma(0.5, 1.0, (1, *SHAPE[1:])) + 0.02, rng.gamma(0.3, 1.0, (SHAPE[0], 1, 1)) + 0.02
    truth = 0.3 * where * when
    models = {
        "poisson": np.full(SHAPE, truth.mean()),
        "smoothed": np.broadcast_to(truth.mean(axis=0), SHAPE),
        "etas": truth,
    }
    stacked = np.stack(list(models.values()))
    rates = xr.DataArray(stacked, {"model": list(models), **coords}, ("model", "issue_time", "lat", "lon"))
    return {7: rates}, {7: xr.DataArray(rng.poisson(truth), coords, ("issue_time", "lat", "lon"))}


def test_the_truth_passes_and_a_uniform_forecast_is_rejected_where_the_test_has_power(world) -> None:
    found = court(*world, CONFIG, ["poisson", "smoothed", "etas"])
    rows = {name: by[7] for name, by in found.rows.items()}
    assert {t.simulations for row in rows.values() for t in row.tests.values()} == {400}
    assert min(t.p_value for t in rows["etas"].tests.values()) > 0.05
    assert rows["poisson"].tests["S"].p_value < 0.05
    assert rows["smoothed"].tests["S"].p_value > 0.05
    # A law that only knows where passes these tests too: passing is not skill.
    assert rows["smoothed"].tests["CL"].p_value > 0.05
    assert rows["etas"].power["S"] > 0.9
    assert rows["poisson"].power["S"] == pytest.approx(0.05, abs=0.05)


def test_the_reference_has_no_skill_against_itself_and_time_is_what_a_shuffle_takes_away(world) -> None:
    rows = {n: by[7] for n, by in court(*world, CONFIG, ["smoothed", "etas"]).rows.items()}
    assert rows["etas"].area_skill == 0.5
    assert rows["etas"].shuffle is not None
    assert rows["etas"].shuffle.p_value < 0.02
    assert rows["smoothed"].shuffle is not None
    assert rows["smoothed"].shuffle.p_value == 1.0


def test_a_period_without_events_gives_no_verdict_and_plain_json(world) -> None:
    rates, counts = world
    found = court(rates, {7: counts[7] * 0}, CONFIG, ["etas"]).to_dict()
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text)["rows"]["etas"]["7"]["tests"] == {}
    assert json.loads(text)["rows"]["etas"]["7"]["shuffle"] is None


def test_threads_change_nothing(world) -> None:
    one, two = (court(*world, CONFIG, ["poisson", "etas"], threads=n).to_dict() for n in (1, 2))
    assert one == two


def test_a_model_that_is_not_there_is_named(world) -> None:
    with pytest.raises(ValueError, match="expected the model 'gated'"):
        court(*world, CONFIG, ["gated"])


def test_the_magnitude_test_believes_the_law_that_made_the_magnitudes_and_no_other(world) -> None:
    rng = np.random.default_rng(4)
    magnitudes = np.round(2.95 + rng.exponential(1 / np.log(10), 2000), 1)
    p_values = []
    for b_value in (1.0, 0.8):
        bins = magnitude_bins(magnitudes, b_value, 3.0, 8.0, 0.1)
        assert bins.expected.sum() == pytest.approx(bins.observed.sum())
        found = court(*world, CONFIG, ["etas"], bins).magnitude
        assert found is not None
        p_values.append(found.p_value)
    assert p_values[0] > 0.05
    assert p_values[1] == 0.0


@pytest.mark.parametrize(("smallest", "step"), [(3.0, 0.1), (2.5, 0.0), (3.0, 0.01)])
def test_magnitude_bins_hold_the_closed_form_of_a_truncated_law(smallest: float, step: float) -> None:
    found = magnitude_bins(np.array([smallest, smallest + 0.1, 9.5]), 1.0, smallest, 6.0, step)
    lower = smallest - step / 2
    share = (1 - 10**-found.width) / (1 - 10 ** -(6.0 - lower))
    assert found.smallest == lower
    assert found.expected[0] == pytest.approx(3 * share)
    assert found.expected.sum() == pytest.approx(3.0)
    assert (found.observed[0], found.observed[1], found.observed[-1]) == (1, 1, 1)
    with pytest.raises(ValueError, match="more than"):
        magnitude_bins(np.array([3.0]), 1.0, 3.0, 3.0, 0.1)
