"""Planted earthquakes and slow slip survive quality control, planted spikes do not; on simulated and on real series."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tasks.quality.injection import (
    SLOW_SLIP_M,
    STEP_M,
    catch_spikes,
    false_alarms,
    recover_slow_slip,
    recover_steps,
    simulate_clean,
)
from tasks.regions import load_region
from tasks.sources import open_source

from .conftest import make_network, noise

SEED = 1


@pytest.fixture(scope="module")
def recorded(archive: Path, conf: Path) -> xr.Dataset:
    """All daily series of the archive as the provider gave them, outliers included."""
    region = load_region("ridgecrest", conf)
    source = next(s for s in region.sources if s.group == "gnss/daily")
    source = source.model_copy(update={"options": {"radius_km": 2000.0, "outlier_m": 1e9}})
    window = region.model_copy(update={"start": date(1996, 1, 1)}).window
    return open_source("cwu_csv")(source, archive, region, window).dataset


@pytest.mark.archive
def test_steps_and_slow_slip_in_recorded_series_are_recovered(recorded: xr.Dataset) -> None:
    found = recover_steps(recorded, 60, SEED) + recover_slow_slip(recorded, 60, SEED)
    ours = [r for r in found if r.rule == "quality"]
    assert {r.amplitude_m for r in ours} == {*STEP_M, *SLOW_SLIP_M}
    for r in ours:
        assert r.n == 60
        assert 0.99 < r.low <= r.recovered <= r.high < 1.01, r
        assert r.days_kept > 0.995, r
    # the bar: a filter that is blind to steps loses the days that matter
    assert all(r.days_kept < 0.5 for r in found if r.rule == "hampel" and r.kind == "step")


@pytest.mark.archive
def test_spikes_in_recorded_series_are_caught(recorded: xr.Dataset) -> None:
    for c in catch_spikes(recorded, 100, SEED):
        if c.rule == "quality":
            assert c.share >= (0.9 if c.amplitude_m < 0.015 else 0.99), c


def test_clean_series_give_no_alarm_in_a_thousand_days() -> None:
    ours = next(c for c in false_alarms(simulate_clean(10, 1500, SEED)) if c.rule == "quality")
    assert ours.n > 14_000
    assert ours.high < 1e-3


def test_the_recovery_is_the_same_for_a_seed_and_not_for_another() -> None:
    observations = make_network(noise(500, 2))
    assert recover_steps(observations, 5, 3) == recover_steps(observations, 5, 3)
    assert catch_spikes(observations, 5, 3) == catch_spikes(observations, 5, 3)
    first, other = (recover_slow_slip(observations, 5, seed)[1].recovered for seed in (3, 4))
    assert first != other


def test_too_short_series_are_refused_with_the_length_that_is_needed() -> None:
    with pytest.raises(ValueError, match="more than 120 observed days"):
        recover_steps(make_network(np.zeros((60, 1, 3))), 3, SEED)
