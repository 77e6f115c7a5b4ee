"""Noise has the slope that is promised, and the files say what the network measured."""

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import periodogram

from tasks.simulation import World
from tasks.simulation.gnss import flicker_noise, simulate_gnss


def spectral_slope(series: np.ndarray, rate: float, low: float, high: float) -> float:
    frequency, power = periodogram(series, fs=rate, axis=0)
    mean = power.reshape(len(frequency), -1).mean(axis=1)
    part = (frequency > low) & (frequency < high)
    return float(np.polyfit(np.log(frequency[part]), np.log(mean[part]), 1)[0])


def test_flicker_noise_has_slope_minus_one() -> None:
    noise = flicker_noise(4096, 60, np.random.default_rng(0))
    assert spectral_slope(noise, 1.0, 0.003, 0.1) == pytest.approx(-1, abs=0.1)


def test_files_hold_the_positions_of_the_network(small_world: World, small_archive: Path) -> None:
    network = simulate_gnss(small_world)
    header, *rows = (small_archive / "gnss" / "S007.tenv3").read_text().splitlines()
    columns = header.split()
    assert len(columns) == 23
    table = {name: [row.split()[i] for row in rows] for i, name in enumerate(columns)}
    day = np.array(table["__MJD"], dtype=int) - 55927
    seen = np.flatnonzero(np.isfinite(network.position[:, 7, 0]))
    np.testing.assert_array_equal(day, seen)
    for k, (whole, part) in enumerate(
        [("_e0(m)", "__east(m)"), ("____n0(m)", "_north(m)"), ("u0(m)", "____up(m)")]
    ):
        position = np.array(table[whole], dtype=float) + np.array(table[part], dtype=float)
        moved = network.position[seen, 7, k]
        np.testing.assert_allclose(position - position[0], moved - moved[0], atol=2e-6)
    assert table["YYMMMDD"][0].startswith("12JAN")


def test_steps_file_names_equipment_and_earthquakes(small_world: World, small_archive: Path) -> None:
    rows = [line.split() for line in (small_archive / "gnss" / "steps.txt").read_text().splitlines()]
    equipment = [row for row in rows if row[2] == "1"]
    assert len(equipment) == len(simulate_gnss(small_world).steps)
    for _, _, _, threshold, distance, magnitude, _ in (row for row in rows if row[2] == "2"):
        assert float(threshold) == pytest.approx(10 ** (float(magnitude) / 2 - 0.8), rel=0.02)
        assert float(distance) <= float(threshold)


def test_some_days_are_missing_and_most_are_not(small_world: World) -> None:
    missing = np.isnan(simulate_gnss(small_world).position[..., 0]).mean()
    assert 0.01 < missing < 0.3
