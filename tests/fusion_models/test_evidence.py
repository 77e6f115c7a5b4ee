import numpy as np

from fusion_models.evidence import block_gains, fit_dispersion, judge, supported

DAYS = np.arange(0, 300, 3)
SHAPE = (len(DAYS), 1, 8, 8)


def counts(rate, seed):
    return np.random.default_rng(seed).poisson(rate).astype(float)


def test_blocks_hold_the_whole_gain_with_each_event_counted_once():
    gain = np.random.default_rng(0).normal(size=(len(DAYS), 8, 8))

    assert len(block_gains(gain, DAYS, 1)) == 10 * 4
    np.testing.assert_allclose(block_gains(gain, DAYS, 1).sum(), gain.sum())
    np.testing.assert_allclose(block_gains(gain, DAYS, 30).sum(), gain.sum() / 10)


def test_a_correction_that_is_right_is_believed():
    rate = np.full(SHAPE, 0.02)
    truth = np.random.default_rng(1).normal(0, 1, SHAPE)

    (found,) = judge(truth, rate, counts(rate * np.exp(truth), 2), DAYS, (1,), looks=8)

    assert found.shrinkage >= 0.75
    assert found.gain == found.best_gain > 0


def test_corrections_that_say_nothing_are_rarely_believed():
    rate = np.full(SHAPE, 0.02)
    rng = np.random.default_rng(3)
    believed = [
        judge(rng.normal(0, 0.3, SHAPE), rate, counts(rate, seed), DAYS, (1,), looks=1)[0].shrinkage > 0
        for seed in range(100)
    ]

    assert np.mean(believed) <= 0.05


def test_a_gain_earned_in_one_block_alone_is_not_supported():
    one = np.zeros(40)
    one[7] = 50.0

    assert not supported(one, horizons=3, looks=1)
    assert supported(np.full(40, 1.25) + 0.1 * np.sin(np.arange(40)), horizons=3, looks=1)


def test_the_more_was_tried_the_more_is_asked():
    blocks = np.full(40, 0.15) + 0.01 * np.sin(np.arange(40))

    assert supported(blocks, horizons=1, looks=1)
    assert not supported(blocks, horizons=3, looks=100)


def test_the_spread_of_counts_is_recovered_and_poisson_counts_have_next_to_none():
    rng = np.random.default_rng(5)
    rate = rng.gamma(0.5, 0.4, (200, 20, 20))
    wide = rng.negative_binomial(1 / 3.0, 1 / (1 + 3.0 * rate)).astype(float)

    assert 2.8 < fit_dispersion(rate, wide) < 3.2
    assert fit_dispersion(rate, rng.poisson(rate).astype(float)) < 0.05
