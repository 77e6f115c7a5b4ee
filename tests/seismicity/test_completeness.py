import numpy as np
import pytest

from tasks.seismicity import b_positive, b_value, magnitude_step, maximum_curvature


@pytest.fixture(scope="module")
def magnitudes():
    return 2.0 + np.random.default_rng(1).exponential(1 / (0.9 * np.log(10)), 20000)


def test_b_value_is_recovered_from_continuous_magnitudes(magnitudes):
    b = b_value(magnitudes, 2.0)
    assert abs(b.value - 0.9) < 3 * b.standard_error < 0.05


def test_b_value_is_recovered_from_rounded_magnitudes(magnitudes):
    rounded = np.round(magnitudes, 1)
    assert magnitude_step(rounded) == 0.1
    assert b_value(rounded, 2.5, 0.1).value == pytest.approx(0.9, abs=0.03)


def test_b_positive_is_recovered_from_rounded_and_continuous_magnitudes(magnitudes):
    assert b_positive(np.round(magnitudes, 1), 0.1).value == pytest.approx(0.9, abs=0.04)
    assert b_positive(magnitudes).value == pytest.approx(0.9, abs=0.04)


def test_b_positive_withstands_incompleteness_that_biases_b_value(magnitudes):
    hidden = 2.0 + np.abs(np.sin(np.arange(magnitudes.size) / 2000))
    seen = magnitudes[magnitudes > hidden]
    assert abs(b_positive(seen).value - 0.9) < 0.04
    assert abs(b_value(seen, 2.0).value - 0.9) > 0.15


def test_maximum_curvature_finds_where_detection_ends(magnitudes):
    rng = np.random.default_rng(2)
    seen = magnitudes[rng.random(magnitudes.size) < 1 / (1 + np.exp(-(magnitudes - 2.6) / 0.05))]
    found = maximum_curvature(seen, draws=100)
    assert found.value == pytest.approx(2.8, abs=0.11)
    assert 0 <= found.standard_error < 0.1


def test_too_few_magnitudes_are_refused_with_a_message():
    with pytest.raises(ValueError, match="found 1 events"):
        b_value(np.array([2.5, 1.0]), 2.0)
