"""b-values and magnitudes of completeness: recovered from drawn magnitudes, and equal to a peer's on recorded ones."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from tasks.regions import Region, load_region
from tasks.seismicity import b_positive, b_value, magnitude_of_completeness, magnitude_step
from tasks.seismicity.completeness_maps import completeness_in_time, completeness_on_cells
from tasks.seismicity.etas import EtasModel
from tasks.seismicity.geometry import Plane
from tasks.seismicity.incompleteness import completeness_at
from tasks.sources import open_source

METHODS = ("maximum_curvature", "b_stability", "kolmogorov_smirnov")


@pytest.fixture(scope="module")
def magnitudes():
    return 2.0 + np.random.default_rng(1).exponential(1 / (0.9 * np.log(10)), 20000)


def detected(magnitude: np.ndarray, half: float, width: float, rng: np.random.Generator) -> np.ndarray:
    """The events that a network sees which detects half of those of magnitude `half` (Ogata and Katsura 1993)."""
    return magnitude[rng.random(magnitude.size) < norm.cdf((magnitude - half) / width)]


def test_b_value_is_recovered_from_continuous_magnitudes(magnitudes):
    b = b_value(magnitudes, 2.0)
    assert abs(b.value - 0.9) < 3 * b.standard_error < 0.05


@pytest.mark.parametrize("step", [0.1, 0.5])
def test_b_value_is_recovered_from_rounded_magnitudes(magnitudes, step):
    rounded = np.round(magnitudes / step) * step
    b = b_value(rounded, 2.5, step)
    assert abs(b.value - 0.9) < 3 * b.standard_error < 0.06
    assert magnitude_step(np.round(magnitudes, 1)) == 0.1


@given(st.floats(0.5, 2.0), st.floats(0.05, 0.5))
def test_the_mean_of_a_geometric_law_gives_its_b_value_back(b, step):
    # Expected counts of a binned law, as a sample of 10^7 would have them.
    bins = np.arange(0, int(6 / (b * step)) + 2)
    counts = np.round(1e7 * 10 ** (-b * step * bins)).astype(int)
    sample = np.repeat(bins * step, np.minimum(counts, counts // 1000 + 1))
    weights = np.repeat(
        counts / np.minimum(counts, counts // 1000 + 1).clip(1), np.minimum(counts, counts // 1000 + 1)
    )
    mean = float(np.average(sample, weights=weights))
    found = b_value(np.array([mean - step / 4, mean + step / 4]), 0.0, step).value
    assert found == pytest.approx(b, rel=1e-4)


def test_b_positive_is_recovered_from_rounded_and_continuous_magnitudes(magnitudes):
    assert b_positive(np.round(magnitudes, 1), 0.1).value == pytest.approx(0.9, abs=0.04)
    assert b_positive(magnitudes).value == pytest.approx(0.9, abs=0.04)


def test_b_positive_withstands_incompleteness_that_biases_b_value(magnitudes):
    hidden = 2.0 + np.abs(np.sin(np.arange(magnitudes.size) / 2000))
    seen = magnitudes[magnitudes > hidden]
    assert abs(b_positive(seen).value - 0.9) < 0.04
    assert abs(b_value(seen, 2.0).value - 0.9) > 0.15


@pytest.mark.parametrize("method", METHODS)
def test_completeness_lies_where_detection_ends(magnitudes, method):
    seen = detected(magnitudes, 2.6, 0.1, np.random.default_rng(2))
    found = magnitude_of_completeness(seen, method)
    # Half of the events are seen at 2.6, 95 % at 2.76, 99.9 % at 2.9.
    assert 2.65 < found.value < 3.05
    assert found.standard_error < 0.4


def test_the_methods_see_a_shift_of_the_detection_limit(magnitudes):
    rng = np.random.default_rng(3)
    for method in METHODS[:2]:
        low, high = (
            magnitude_of_completeness(detected(magnitudes, half, 0.05, rng), method, draws=2).value
            for half in (2.4, 2.9)
        )
        assert high - low == pytest.approx(0.5, abs=0.11)


@pytest.mark.parametrize("method", METHODS)
def test_rounding_is_that_of_the_catalog_and_seeds_repeat(magnitudes, method):
    rounded = np.round(magnitudes, 1)
    found = magnitude_of_completeness(rounded, method, seed=4)
    assert found == magnitude_of_completeness(rounded, method, seed=4)
    assert round(found.value * 10) == pytest.approx(found.value * 10)
    shifted = magnitude_of_completeness(rounded + 1.0, method, seed=4)
    assert shifted.value == pytest.approx(found.value + 1.0)


def test_the_bootstrap_error_is_that_of_repeated_catalogs():
    rng = np.random.default_rng(8)
    found = []
    for _ in range(60):
        sample = detected(2.0 + rng.exponential(1 / (0.9 * np.log(10)), 4000), 2.6, 0.2, rng)
        found.append(magnitude_of_completeness(sample, "maximum_curvature", draws=100))
    scatter = np.std([f.value for f in found], ddof=1)
    assert 0.5 * scatter < np.mean([f.standard_error for f in found]) < 2 * scatter


def test_a_method_that_finds_nothing_says_nan():
    few = np.linspace(2.0, 4.0, 30)
    assert np.isnan(magnitude_of_completeness(few, "b_stability").value)
    assert np.isnan(magnitude_of_completeness(few, "kolmogorov_smirnov").value)


def test_too_few_magnitudes_are_refused_with_a_message():
    with pytest.raises(ValueError, match="found 1 events"):
        b_value(np.array([2.5, 1.0]), 2.0)
    with pytest.raises(ValueError, match="expected finite magnitudes"):
        magnitude_of_completeness(np.array([2.5, np.nan]), "b_stability")


def test_completeness_in_time_follows_a_network_that_grows(magnitudes):
    rng = np.random.default_rng(5)
    half = np.where(np.arange(magnitudes.size) < 10000, 2.8, 2.3)
    kept = rng.random(magnitudes.size) < norm.cdf((magnitudes - half) / 0.05)
    times = np.datetime64("2000-01-01", "s") + np.arange(magnitudes.size)[kept] * np.timedelta64(3600, "s")
    found = completeness_in_time(times, magnitudes[kept], "maximum_curvature", events=400, draws=20)
    change = np.datetime64("2000-01-01", "s") + 10000 * np.timedelta64(3600, "s")
    before, after = (
        found.completeness.values[found.end < change],
        found.completeness.values[found.start > change],
    )
    assert 2.9 < before.mean() < 3.2
    assert before.mean() - after.mean() == pytest.approx(0.5, abs=0.1)
    assert found.end.values[-1] == times[-1]
    with pytest.raises(ValueError, match="expected 400 events"):
        completeness_in_time(times[:10], magnitudes[:10], "maximum_curvature", events=400)


def test_completeness_on_cells_follows_where_stations_are(magnitudes, region: Region):
    rng = np.random.default_rng(6)
    latitude, longitude = 35 + rng.random(magnitudes.size), -118 + 0.5 * rng.random(magnitudes.size)
    half = np.where(latitude > 35.5, 2.9, 2.3)
    kept = rng.random(magnitudes.size) < norm.cdf((magnitudes - half) / 0.05)
    found = completeness_on_cells(
        latitude[kept],
        longitude[kept],
        magnitudes[kept],
        region,
        "maximum_curvature",
        radius_km=15.0,
        draws=20,
    )
    west = found.completeness.sel(lon=slice(-118, -117.5))
    south, north = (float(west.sel(lat=part).mean()) for part in (slice(35.0, 35.3), slice(35.7, 36.0)))
    assert 2.4 < south < 2.7
    assert north - south == pytest.approx(0.6, abs=0.1)
    assert bool(np.isnan(found.completeness.sel(lon=slice(-117.2, -117.0))).all())


def test_large_events_hide_what_b_positive_still_sees(
    model: EtasModel, branching: SimpleNamespace, region: Region
):
    """Simulated ETAS whose aftershocks are concealed by Mc(t): the truth is known."""
    rng = np.random.default_rng(9)
    roots = branching.draw_background(model, Plane.of(region), 0.0, 4000.0, rng)
    rows = np.concatenate([roots, branching.cascade(roots, model.parameters, 0.0, 4000.0, rng)])
    rows = rows[np.argsort(rows[:, 0])]
    complete = completeness_at(rows[:, 0], rows[:, 0], rows[:, 3], 3.0)
    seen = rows[rows[:, 3] >= complete - 1e-9, 3]
    assert seen.size < 0.98 * len(rows)
    true = b_value(rows[:, 3], 3.0).value
    found = b_positive(seen)
    assert abs(found.value - true) < 3 * found.standard_error
    assert b_value(seen, 3.0).value < true


@pytest.fixture(scope="module")
def recorded(archive: Path, conf: Path) -> Callable[[str], xr.Dataset]:
    region = load_region("ridgecrest", conf)

    def read(name: str) -> xr.Dataset:
        config = next(s for s in region.sources if s.name == name)
        return open_source(config.provider)(config, archive, region, region.catalog_window)[0]

    return read


def tenths(magnitude: np.ndarray) -> np.ndarray:
    return np.round(np.floor(magnitude / 0.1 + 0.5 + 1e-9) * 0.1, 1)


@pytest.mark.archive
def test_recorded_ridgecrest_gives_the_figures_of_seismostats(recorded):
    """Figures of SeismoStats 1.0.1 on the recorded ComCat listing, run beside this code."""
    magnitude = tenths(recorded("comcat").sortby("origin_time").magnitude.values)
    above = magnitude[magnitude >= 3.49]
    b = b_value(magnitude, 3.5, 0.1)
    assert (b.value, b.standard_error) == pytest.approx((1.1573723813429817, 0.06248199613632112), rel=1e-9)
    assert b_positive(above, 0.1).value == pytest.approx(1.1336698263776332, rel=1e-9)
    assert magnitude_of_completeness(magnitude, "maximum_curvature").value == pytest.approx(2.8)
    assert magnitude_of_completeness(magnitude, "b_stability").value == pytest.approx(3.4)


@pytest.mark.archive
def test_recorded_san_jacinto_gives_the_figures_of_seismostats(archive):
    table = pd.read_csv(archive / "catalogs" / "earthquakenpp" / "SanJac_catalog.csv.xz")
    magnitude = tenths(table["magnitude"].to_numpy())
    b = b_value(magnitude, 1.5, 0.1)
    assert (b.value, b.standard_error) == pytest.approx((1.046395061532332, 0.012728261492712022), rel=1e-9)
    assert b_positive(magnitude[magnitude >= 1.49], 0.1).value == pytest.approx(1.0658610415324665, rel=1e-9)
    assert magnitude_of_completeness(magnitude, "maximum_curvature").value == pytest.approx(1.3)
    assert magnitude_of_completeness(magnitude, "b_stability").value == pytest.approx(1.2)
