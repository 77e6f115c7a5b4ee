"""Scoring: windows, likelihoods, information gain, CSEP tests, alarms and controls, the same for every forecaster."""

from tasks.scoring.alarms import Molchan, molchan
from tasks.scoring.bootstrap import (
    Equivalence,
    block_bootstrap,
    block_draws,
    bootstrap_p_value,
    equivalence,
    holm,
    interval,
    sequence_draws,
)
from tasks.scoring.catalogs import SimulatedCatalogs, catalog_tests, compare_catalog_tests
from tasks.scoring.config import ScoringConfig, load_scoring
from tasks.scoring.consistency import ConsistencyTest, NTest, n_test
from tasks.scoring.controls import (
    Forecast,
    LeakControl,
    ShuffleControl,
    busiest_times,
    label_shuffle,
    leaking,
    refuse_future,
    refuse_leaks,
    without_future,
)
from tasks.scoring.court import Court, CourtRow, court
from tasks.scoring.gridded import (
    Draws,
    conditional_likelihood_test,
    fixed_draws,
    likelihood_test,
    magnitude_test,
    poisson_draws,
    spatial_test,
)
from tasks.scoring.issued import LogScore, StoreScore, score_log, score_store
from tasks.scoring.likelihood import (
    Gain,
    PairedTest,
    information_gain,
    negative_binomial_log_likelihood,
    poisson_log_likelihood,
    t_test,
    w_test,
)
from tasks.scoring.magnitudes import MagnitudeBins, magnitude_bins, tested_magnitudes
from tasks.scoring.plain import plain
from tasks.scoring.power import number_power, simulated_power
from tasks.scoring.promotion import best_network, promotion
from tasks.scoring.prospective import (
    LOG_NAME,
    ModelWindow,
    ScoredWindow,
    apart,
    append_log,
    read_log,
    score_window,
)
from tasks.scoring.reliability import Bin, brier_score, probability_of_event, reliability, wilson_interval
from tasks.scoring.scorecard import ModelScore, Scorecard, scorecard
from tasks.scoring.sequences import sequence_labels, sequences
from tasks.scoring.windows import issue_times, observed_counts

__all__ = [
    "LOG_NAME",
    "Bin",
    "ConsistencyTest",
    "Court",
    "CourtRow",
    "Draws",
    "Equivalence",
    "Forecast",
    "Gain",
    "LeakControl",
    "LogScore",
    "MagnitudeBins",
    "ModelScore",
    "ModelWindow",
    "Molchan",
    "NTest",
    "PairedTest",
    "Scorecard",
    "ScoredWindow",
    "ScoringConfig",
    "ShuffleControl",
    "SimulatedCatalogs",
    "StoreScore",
    "apart",
    "append_log",
    "best_network",
    "block_bootstrap",
    "block_draws",
    "bootstrap_p_value",
    "brier_score",
    "busiest_times",
    "catalog_tests",
    "compare_catalog_tests",
    "conditional_likelihood_test",
    "court",
    "equivalence",
    "fixed_draws",
    "holm",
    "information_gain",
    "interval",
    "issue_times",
    "label_shuffle",
    "leaking",
    "likelihood_test",
    "load_scoring",
    "magnitude_bins",
    "magnitude_test",
    "molchan",
    "n_test",
    "negative_binomial_log_likelihood",
    "number_power",
    "observed_counts",
    "plain",
    "poisson_draws",
    "poisson_log_likelihood",
    "probability_of_event",
    "promotion",
    "read_log",
    "refuse_future",
    "refuse_leaks",
    "reliability",
    "score_log",
    "score_store",
    "score_window",
    "scorecard",
    "sequence_draws",
    "sequence_labels",
    "sequences",
    "simulated_power",
    "spatial_test",
    "t_test",
    "tested_magnitudes",
    "w_test",
    "wilson_interval",
    "without_future",
]
