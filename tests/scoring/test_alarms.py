"""Molchan's curve: closed forms, and no credit for what the reference knows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tasks.scoring import molchan
from tasks.scoring.alarms import thinned

RATES = hnp.arrays(np.float64, (5, 3, 2), elements=st.floats(1e-3, 5.0))
COUNTS = hnp.arrays(np.int64, (5, 3, 2), elements=st.integers(0, 3))


@settings(deadline=None)
@given(reference=RATES, counts=COUNTS)
def test_a_model_that_equals_the_reference_has_an_area_skill_of_one_half(reference, counts):
    counts[0, 0, 0] = 1
    found = molchan(reference / reference, reference, counts)
    assert found.area_skill == 0.5
    assert found.p_value == 1.0


@settings(deadline=None)
@given(alarm=RATES, reference=RATES, counts=COUNTS)
def test_the_area_skill_is_the_area_above_the_curve(alarm, reference, counts):
    counts[0, 0, 0] = 1
    found = molchan(alarm, reference, counts)
    assert found.area_skill == pytest.approx(1.0 - np.trapezoid(found.missed, found.occupied))
    assert (np.diff(found.occupied) > 0).all()
    assert (np.diff(found.missed) <= 1e-12).all()
    assert (found.occupied[0], found.missed[0]) == (0.0, 1.0)
    assert (found.occupied[-1], found.missed[-1]) == pytest.approx((1.0, 0.0))


def test_perfect_alarms_miss_nothing_at_the_cost_of_the_bins_with_events():
    reference = np.full(10, 1.0)
    counts = np.zeros(10, int)
    counts[3] = 5
    found = molchan(counts.astype(float), reference, counts)
    assert found.area_skill == pytest.approx(0.95)
    assert np.interp(0.1, found.occupied, found.missed) == pytest.approx(0.0)
    assert np.interp(0.05, found.occupied, found.missed) == pytest.approx(0.5)


def test_a_clustered_reference_gives_no_credit_for_warning_after_a_mainshock():
    rng = np.random.default_rng(0)
    omori = 5.0 / (1.0 + np.arange(400)) + 0.01
    reference = np.repeat(omori[:, None], 4, axis=1)
    counts = rng.poisson(reference)
    against_uniform = molchan(reference, np.full(reference.shape, reference.mean()), counts)
    against_itself = molchan(reference + 1e-9 * rng.random(reference.shape), reference, counts)
    assert against_uniform.area_skill > 0.75
    assert against_uniform.p_value < 1e-6
    assert abs(against_itself.area_skill - 0.5) < 3 * against_itself.deviation


def test_the_p_value_is_uniform_when_the_reference_is_right():
    rng = np.random.default_rng(1)
    reference = rng.gamma(0.5, 1.0, 300)
    alarm = rng.random(300)
    p = np.array([molchan(alarm, reference, rng.poisson(reference)).p_value for _ in range(500)])
    assert np.mean(p < 0.1) == pytest.approx(0.1, abs=0.05)
    assert np.mean(p) == pytest.approx(0.5, abs=0.05)


def test_with_sequences_the_p_value_is_uniform_though_their_events_come_together():
    rng = np.random.default_rng(3)
    reference = rng.gamma(0.5, 1.0, 400)
    alarm = rng.random(400)
    labels = 1 + np.arange(400)
    alone, together = [], []
    for _ in range(400):
        counts = rng.poisson(reference / 8.0) * rng.geometric(0.125, 400)  # the right mean, in bursts
        alone.append(molchan(alarm, reference, counts).p_value)
        together.append(molchan(alarm, reference, counts, labels).p_value)
    assert np.mean(np.array(alone) < 0.05) > 0.15
    assert np.mean(np.array(together) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_one_sequence_proves_no_skill():
    counts = np.zeros(50, int)
    counts[7] = 900
    labels = np.where(counts > 0, 1, 0)
    found = molchan(counts.astype(float), np.ones(50), counts, labels)
    assert found.area_skill > 0.98
    assert math.isnan(found.p_value)


def test_without_events_there_is_no_skill_and_wrong_input_is_refused():
    found = molchan(np.ones(3), np.ones(3), np.zeros(3, int))
    assert math.isnan(found.area_skill)
    assert math.isnan(found.p_value)
    with pytest.raises(ValueError, match="positive reference"):
        molchan(np.ones(2), np.array([1.0, 0.0]), np.array([1, 0]))
    with pytest.raises(ValueError, match="without NaN"):
        molchan(np.array([math.nan, 1.0]), np.ones(2), np.array([1, 0]))


def test_a_thinned_curve_keeps_its_ends_and_its_shape():
    rng = np.random.default_rng(2)
    reference = rng.gamma(1.0, 1.0, 5000)
    truth = reference * rng.gamma(1.0, 1.0, 5000)
    full = molchan(truth / reference, reference, rng.poisson(truth))
    occupied, missed = thinned(full, 200)
    assert occupied.size <= 201
    assert (occupied[0], missed[-1]) == (0.0, pytest.approx(0.0))
    np.testing.assert_allclose(missed, np.interp(occupied, full.occupied, full.missed), atol=1e-9)
    assert 1 - np.trapezoid(missed, occupied) == pytest.approx(full.area_skill, abs=0.01)
