"""Waveform features on signals whose features are known."""

import numpy as np
import pytest

from tasks.waveforms.features import FEATURES, record_features, sta_lta_max

RATE = 20.0
T = np.arange(1200) / RATE


def feature(velocity: np.ndarray, name: str) -> float:
    return float(record_features(velocity[None], RATE)[0, FEATURES.index(name)])


@pytest.fixture
def sine() -> np.ndarray:
    """Vertical 3 Hz of amplitude 2e-5 m/s; horizontal ten times as large on north only."""
    wave = 2e-5 * np.sin(2 * np.pi * 3.0 * T)
    return np.stack([wave, 10 * wave, 1e-30 * np.sin(T)])


def test_the_rms_of_a_sine_is_in_its_band(sine: np.ndarray) -> None:
    assert feature(sine, "log_rms_vertical_2_4_hz") == pytest.approx(np.log10(2e-5 / np.sqrt(2)), abs=0.005)
    assert feature(sine, "log_rms_vertical_4_8_hz") < -6.5
    assert feature(sine, "log_rms_horizontal_2_4_hz") == pytest.approx(np.log10(2e-4 / np.sqrt(2)), abs=0.005)


def test_peak_ratio_and_centroid_of_a_sine(sine: np.ndarray) -> None:
    assert feature(sine, "log_peak_velocity") == pytest.approx(np.log10(2e-4), abs=0.02)
    assert feature(sine, "log_horizontal_to_vertical") == pytest.approx(1.0, abs=0.01)
    assert feature(sine, "spectral_centroid_hz") == pytest.approx(3.0, abs=0.01)


def test_a_gap_changes_the_rms_little(sine: np.ndarray) -> None:
    whole = feature(sine, "log_rms_vertical_2_4_hz")
    sine[:, 500:800] = np.nan
    assert feature(sine, "log_rms_vertical_2_4_hz") == pytest.approx(whole, abs=0.03)


def test_a_missing_channel_has_no_features_and_the_others_keep_theirs(sine: np.ndarray) -> None:
    sine[1:] = np.nan
    assert np.isnan(feature(sine, "log_rms_horizontal_2_4_hz"))
    assert np.isfinite(feature(sine, "log_rms_vertical_2_4_hz"))
    sine[:] = np.nan
    assert np.isnan(record_features(sine[None], RATE)).all()


def test_an_onset_raises_the_ratio_and_steady_noise_does_not() -> None:
    noise = np.random.default_rng(0).normal(size=(1, 1200))
    onset = noise * np.where(T > 30, 20.0, 1.0)
    assert sta_lta_max(noise, RATE)[0] < 3
    assert 8 < sta_lta_max(onset, RATE)[0] <= 10


def test_a_sampling_rate_too_low_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        record_features(np.zeros((1, 3, 600)), 10.0)
