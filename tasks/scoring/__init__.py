"""Scoring: windows, likelihoods, information gain, consistency and reliability, the same for every forecaster."""

from tasks.scoring.config import ScoringConfig, load_scoring
from tasks.scoring.consistency import NTest, n_test
from tasks.scoring.likelihood import (
    Gain,
    PairedTest,
    block_bootstrap,
    information_gain,
    negative_binomial_log_likelihood,
    poisson_log_likelihood,
    t_test,
    w_test,
)
from tasks.scoring.reliability import Bin, brier_score, probability_of_event, reliability, wilson_interval
from tasks.scoring.scorecard import ModelScore, Scorecard, scorecard
from tasks.scoring.windows import issue_times, observed_counts

__all__ = [
    "Bin",
    "Gain",
    "ModelScore",
    "NTest",
    "PairedTest",
    "Scorecard",
    "ScoringConfig",
    "block_bootstrap",
    "brier_score",
    "information_gain",
    "issue_times",
    "load_scoring",
    "n_test",
    "negative_binomial_log_likelihood",
    "observed_counts",
    "poisson_log_likelihood",
    "probability_of_event",
    "reliability",
    "scorecard",
    "t_test",
    "w_test",
    "wilson_interval",
]
