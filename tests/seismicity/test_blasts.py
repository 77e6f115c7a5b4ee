"""Unmarked quarry blasts: found where they are, not where earthquakes merely cluster."""

from pathlib import Path

import numpy as np
import pytest

from tasks.regions import load_region
from tasks.seismicity.blasts import daytime_ratio, solar_hour, suspected_blasts
from tasks.seismicity.catalog import to_days
from tasks.seismicity.geometry import Plane
from tasks.sources import open_source

LONGITUDE = -117.5
NOON = -LONGITUDE / 360.0  # solar noon less half a day, as a fraction of the UTC day


def earthquakes(n: int, rng: np.random.Generator) -> np.ndarray:
    """Events (x, y, day) anywhere, at any hour."""
    return np.column_stack([rng.random((n, 2)) * 100, rng.random(n) * 3000])


def blasts(n: int, rng: np.random.Generator) -> np.ndarray:
    """Events (x, y, day) of one quarry between 10 and 16 h, one a working day."""
    days = rng.permutation(3000)[:n] + NOON + rng.uniform(10, 16, n) / 24
    return np.column_stack([30 + rng.normal(0, 0.5, (n, 2)), days])


def suspected(rows: np.ndarray) -> np.ndarray:
    return suspected_blasts(*rows.T, np.full(len(rows), LONGITUDE))


def test_a_quarry_is_found_and_its_surroundings_are_left_alone():
    rng = np.random.default_rng(1)
    rows = np.concatenate([earthquakes(2000, rng), blasts(150, rng)])
    found = suspected(rows)
    assert found[2000:].mean() > 0.95
    assert found[:2000].mean() < 0.01


def test_earthquakes_alone_are_no_quarries():
    rng = np.random.default_rng(2)
    assert sum(suspected(earthquakes(1000, rng)).sum() for _ in range(10)) <= 30


def test_a_swarm_of_one_afternoon_is_no_quarry():
    rng = np.random.default_rng(3)
    swarm = np.column_stack([30 + rng.normal(0, 0.5, (200, 2)), 1500 + NOON + rng.uniform(10, 16, 200) / 24])
    assert not suspected(np.concatenate([earthquakes(500, rng), swarm])).any()


def test_solar_hours_are_those_of_the_sun():
    np.testing.assert_allclose(
        solar_hour(np.array([0.5, 0.0, 0.75]), np.array([0.0, -117.5, 150.0])),
        [12.0, 24 - 117.5 / 15, (18 + 10) % 24],
    )


def test_the_ratio_is_one_where_day_and_night_are_alike():
    np.testing.assert_allclose(
        daytime_ratio(np.array([1000, 2000]), np.array([2400, 2400])), [1.0, 7.0], rtol=2e-3
    )


def test_too_few_events_are_not_judged():
    assert not suspected(earthquakes(5, np.random.default_rng(4))).any()


@pytest.mark.archive
def test_recorded_blasts_are_found_without_their_marks(archive: Path, conf: Path):
    region = load_region("ridgecrest", conf)
    config = next(s for s in region.sources if s.name == "scedc")
    events = open_source(config.provider)(config, archive, region, region.catalog_window)[0]
    kind = events.event_type.values.astype(str)
    years = events.origin_time.dt.year.values
    chosen = (events.magnitude.values >= 1.5) & (years >= 1990) & (years < 1999) & (kind != "other")
    events, is_blast = events.isel(event=np.flatnonzero(chosen)), kind[chosen] == "quarry_blast"
    x, y = Plane.of(region).project(events.latitude.values, events.longitude.values)
    days = to_days(events.origin_time.values)
    found = suspected_blasts(x, y, days, events.longitude.values)
    assert is_blast.sum() > 3000
    assert (found & is_blast).sum() / is_blast.sum() > 0.75
    assert (found & is_blast).sum() / found.sum() > 0.95
    quiet = ~is_blast
    assert suspected_blasts(x[quiet], y[quiet], days[quiet], events.longitude.values[quiet]).mean() < 0.001
