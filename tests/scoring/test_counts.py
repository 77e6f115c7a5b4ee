"""Numbers against draws: the scores are their definitions, and they are proper."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.scoring.counts import ensemble_crps, score_count


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(0, 60))
def test_crps_is_its_definition(draws: list[int], observed: int) -> None:
    x = np.array(draws, float)
    exact = np.abs(x - observed).mean() - 0.5 * np.abs(x[:, None] - x[None]).mean()
    assert ensemble_crps(x, observed) == pytest.approx(exact, abs=1e-9)


def test_shares_range_and_surprise_of_a_number() -> None:
    score = score_count(np.arange(100, dtype=np.int32), 97)
    assert (score.at_least, score.at_most) == pytest.approx((0.03, 0.98))
    assert score.inside
    assert not score_count(np.arange(100, dtype=np.int32), 99).inside
    assert score.surprise == pytest.approx(-math.log(0.99))
    # one that no draw foresaw is not infinitely surprising: so many draws know no better
    assert score_count(np.zeros(100, np.int32), 1).surprise == pytest.approx(-math.log(0.005))


def test_the_truth_scores_best_on_average() -> None:
    rng = np.random.default_rng(3)
    truth, wide, low = (rng.poisson(mean, 2000).astype(np.int32) for mean in (20.0, 20.0, 14.0))
    wide = np.maximum(20 + 3 * (wide - 20), 0).astype(np.int32)
    came = rng.poisson(20.0, 300)
    means = [np.mean([score_count(d, int(n)).crps for n in came]) for d in (truth, wide, low)]
    assert means[0] < min(means[1:])


def test_without_draws_there_is_no_score() -> None:
    with pytest.raises(ValueError, match="found none"):
        score_count(np.empty(0, np.int32), 1)
