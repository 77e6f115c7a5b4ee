"""One scorer for all forecasters: what every table and promotion rule reads."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.scoring.bootstrap import (
    Equivalence,
    block_draws,
    bootstrap_p_value,
    equivalence,
    holm,
    interval,
    sequence_draws,
)
from tasks.scoring.config import ScoringConfig
from tasks.scoring.consistency import NTest, n_test
from tasks.scoring.inputs import checked
from tasks.scoring.likelihood import (
    Gain,
    PairedTest,
    information_gain,
    negative_binomial_log_likelihood,
    poisson_log_likelihood,
    t_test,
    w_test,
)
from tasks.scoring.plain import plain
from tasks.scoring.reliability import Bin, brier_score, probability_of_event, reliability
from tasks.scoring.sequences import sequences

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class ModelScore:
    """The scores of one model at one horizon.

    Attributes
    ----------
    igpe_vs_etas, low, high : float, nats per event
        Information gain per earthquake over the reference (ETAS unless configured otherwise), block-bootstrap
        interval. NaN where there is no event.
    p_value, p_holm : float
        Two-sided, that the gain is zero, from the same bootstrap; and adjusted for all models and horizons of the
        scorecard (Holm), the reference left out.
    equivalence : Equivalence
        Test that the gain lies within the configured margin of zero.
    low_sequences, high_sequences : float, nats per event
        Interval from resampled earthquake sequences instead of blocks of windows; NaN where they are too few.
    n_sequences : int
        Sequences that the events form.
    effective_sequences : float
        How many of equal size would tell as much.
    largest_sequence : float
        Share of the events that the largest of them holds.
    igpe_time, igpe_space : float, nats per event
        The two parts of the gain: when, and where. Rates are of all target magnitudes: none is of how large.
    share_of_edge : float
        The model's gain over the long-term rate as a share of the reference's: 1 for the reference, 0 for no skill;
        NaN where the reference has no edge.
    n_events, n_windows : int
        Target events and non-overlapping windows.
    n_forecast : float
        Expected number of events over all windows.
    log_likelihood : float
        Of the gridded counts under the law that `n_test` names (negative binomial with a dispersion).
    n_test : NTest
    t_test, w_test : PairedTest
    brier, brier_long_term : float
        Of P(N >= 1) per cell and window, for this model and for the long-term rate.
    brier_skill : float
        1 - brier / brier_long_term.
    reliability : tuple of Bin
    """

    igpe_vs_etas: float
    low: float
    high: float
    p_value: float
    p_holm: float
    equivalence: Equivalence
    low_sequences: float
    high_sequences: float
    n_sequences: int
    effective_sequences: float
    largest_sequence: float
    igpe_time: float
    igpe_space: float
    share_of_edge: float
    n_events: int
    n_windows: int
    n_forecast: float
    log_likelihood: float
    n_test: NTest
    t_test: PairedTest
    w_test: PairedTest
    brier: float
    brier_long_term: float
    brier_skill: float
    reliability: tuple[Bin, ...]


@dataclass(frozen=True)
class Scorecard:
    """Scores by model and horizon (days), with the rules under which they were made."""

    reference: str
    long_term: str
    block_days: int
    sequence_days: int
    sequence_km: float
    bootstrap_draws: int
    seed: int
    scores: Mapping[str, Mapping[int, ModelScore]]

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON values: horizons as strings, NaN and infinity as None."""
        content = plain(self)
        assert isinstance(content, dict)
        return content

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), allow_nan=False, indent=1)


def scorecard(
    rates: Mapping[int, xr.DataArray],
    counts: Mapping[int, xr.DataArray],
    config: ScoringConfig,
    dispersion: Mapping[str, Mapping[int, float]] | None = None,
) -> Scorecard:
    """Score every model on the identical target events.

    Parameters
    ----------
    rates : mapping of horizon in days to DataArray (model, issue_time, lat, lon)
        Expected counts; must hold the configured reference and long-term model.
    counts : mapping of horizon in days to DataArray (issue_time, lat, lon)
        Observed counts in the same windows, which must not overlap.
    config : ScoringConfig
        Reference, bootstrap, bins. Block length: block_days, at least one window.
    dispersion : mapping of model to (mapping of horizon to float), optional
        Of models that state a negative binomial law, fixed before the test: the variance of a cell's count is
        rate + dispersion rate^2. The gain per event compares rates and does not see it.

    Raises
    ------
    ValueError
        If coordinates differ, a rate is NaN or negative, or an event falls where a model's rate is 0 (the message
        names model, horizon, cell and issue time); if windows overlap; if the reference is absent.
    """
    scores: dict[str, dict[int, ModelScore]] = {}
    for horizon, model_rates in rates.items():
        if horizon not in counts:
            raise ValueError(
                f"horizon {horizon}: expected observed counts, found them for {sorted(counts)} only"
            )
        table, observed = checked(model_rates, counts[horizon], horizon)
        times = counts[horizon]["issue_time"].to_numpy().astype("datetime64[ns]")
        if (np.diff(times) < np.timedelta64(horizon * 24, "h")).any():
            raise ValueError(f"horizon {horizon}: expected windows that do not overlap, in order of time")
        for needed in (config.reference, config.long_term):
            if needed not in table:
                raise ValueError(f"horizon {horizon}: expected the model {needed!r}, found {sorted(table)}")
        labels = sequences(counts[horizon], horizon, config)
        for name, one in table.items():
            spread = (dispersion or {}).get(name, {}).get(horizon)
            score = _score(one, table, observed, labels, horizon, config, spread)
            scores.setdefault(name, {})[horizon] = score
    compared = {(name, h): score.p_value for name, by in scores.items() for h, score in by.items()}
    adjusted = holm({key: p for key, p in compared.items() if key[0] != config.reference})
    for (name, horizon), p in adjusted.items():
        scores[name][horizon] = replace(scores[name][horizon], p_holm=p)
    return Scorecard(
        reference=config.reference,
        long_term=config.long_term,
        block_days=config.block_days,
        sequence_days=config.sequence_days,
        sequence_km=config.sequence_km,
        bootstrap_draws=config.bootstrap_draws,
        seed=config.seed,
        scores=scores,
    )


def _score(
    rates: Floats,
    table: Mapping[str, Floats],
    counts: Counts,
    labels: Counts,
    horizon: int,
    config: ScoringConfig,
    dispersion: float | None,
) -> ModelScore:
    reference, long_rates = table[config.reference], table[config.long_term]
    gain: Gain = information_gain(rates, reference, counts)
    n = int(gain.events.sum())
    block = max(1, math.ceil(config.block_days / horizon))
    blocks = block_draws(gain, block, config.bootstrap_draws, config.seed)
    low, high = interval(blocks, config.confidence)
    found = sequence_draws(rates, reference, counts, labels, config.bootstrap_draws, config.seed)
    enough = found.effective >= config.min_sequences
    low_sequences, high_sequences = interval(found.draws if enough else np.empty(0), config.confidence)
    edge = information_gain(reference, long_rates, counts).per_earthquake
    forecast = float(rates.sum())
    if dispersion is None:
        variance = None
        log_likelihood = poisson_log_likelihood(_positive(rates), counts)
    else:
        variance = forecast + dispersion * float((rates**2).sum())
        log_likelihood = negative_binomial_log_likelihood(_positive(rates), counts, dispersion)
    occurred = counts > 0
    probability = probability_of_event(rates, dispersion)
    brier = brier_score(probability, occurred)
    long_term = brier_score(probability_of_event(long_rates), occurred)
    return ModelScore(
        igpe_vs_etas=gain.per_earthquake,
        low=low,
        high=high,
        p_value=bootstrap_p_value(blocks),
        p_holm=math.nan,
        equivalence=equivalence(blocks, config.equivalence_margin),
        low_sequences=low_sequences,
        high_sequences=high_sequences,
        n_sequences=found.number,
        effective_sequences=found.effective,
        largest_sequence=found.largest,
        igpe_time=gain.per_earthquake - gain.space / n if n else math.nan,
        igpe_space=gain.space / n if n else math.nan,
        share_of_edge=1.0 + gain.per_earthquake / edge if edge > 0 else math.nan,
        n_events=n,
        n_windows=int(gain.events.size),
        n_forecast=forecast,
        log_likelihood=float(log_likelihood.sum()),
        n_test=n_test(forecast, n, variance),
        t_test=t_test(gain),
        w_test=w_test(gain),
        brier=brier,
        brier_long_term=long_term,
        brier_skill=1.0 - brier / long_term if long_term > 0 else math.nan,
        reliability=tuple(reliability(probability, occurred, config.reliability_edges, config.confidence)),
    )


def _positive(rates: Floats) -> Floats:
    """Return the rates with empty zero-rate cells at the smallest normal number, whose count term is zero."""
    return np.maximum(rates, np.finfo(np.float64).tiny)
