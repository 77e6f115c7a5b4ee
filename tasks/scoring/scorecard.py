"""One scorer for all forecasters: what every table and promotion rule reads."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.scoring.config import ScoringConfig
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
from tasks.scoring.reliability import Bin, brier_score, probability_of_event, reliability

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
    igpe_time, igpe_space : float, nats per event
        The two parts of the gain: when, and where.
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
    igpe_time: float
    igpe_space: float
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
    bootstrap_draws: int
    seed: int
    scores: Mapping[str, Mapping[int, ModelScore]]

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON values: horizons as strings, NaN and infinity as None."""
        content = _plain(asdict(self))
        assert isinstance(content, dict)
        return content

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), allow_nan=False, indent=1)


def _plain(value: object) -> object:
    if isinstance(value, Bin | NTest | PairedTest):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _checked(rates: xr.DataArray, counts: xr.DataArray, horizon: int) -> tuple[dict[str, Floats], Counts]:
    """Return the rates by model and the counts as arrays, aligned and free of NaN and of impossible events."""
    observed = counts.transpose("issue_time", "lat", "lon")
    table: dict[str, Floats] = {}
    for dim in ("issue_time", "lat", "lon"):
        if not np.array_equal(rates[dim].to_numpy(), observed[dim].to_numpy()):
            raise ValueError(f"horizon {horizon}: rates and counts differ in their coordinate {dim!r}")
    values = observed.to_numpy()
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"horizon {horizon}: expected counts of 0 or more, found NaN or a negative number")
    for name in map(str, rates["model"].to_numpy()):
        one = rates.sel(model=name).transpose("issue_time", "lat", "lon").to_numpy().astype(np.float64)
        for wrong, what in (
            (~np.isfinite(one), "a finite rate"),
            (one < 0, "a rate of 0 or more"),
            ((one == 0) & (values > 0), "a positive rate where an event was observed"),
        ):
            if wrong.any():
                t, y, x = (int(k[0]) for k in np.nonzero(wrong))
                raise ValueError(
                    f"model {name!r}, horizon {horizon} days: expected {what}, found {one[t, y, x]:g} in cell "
                    f"lat {float(observed['lat'][y]):g}, lon {float(observed['lon'][x]):g} "
                    f"at issue time {observed['issue_time'].to_numpy()[t]}"
                )
        table[name] = one
    return table, values.astype(np.int64)


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
        table, observed = _checked(model_rates, counts[horizon], horizon)
        times = counts[horizon]["issue_time"].to_numpy().astype("datetime64[ns]")
        if (np.diff(times) < np.timedelta64(horizon * 24, "h")).any():
            raise ValueError(f"horizon {horizon}: expected windows that do not overlap, in order of time")
        for needed in (config.reference, config.long_term):
            if needed not in table:
                raise ValueError(f"horizon {horizon}: expected the model {needed!r}, found {sorted(table)}")
        for name, one in table.items():
            spread = (dispersion or {}).get(name, {}).get(horizon)
            score = _score(one, table, observed, horizon, config, spread)
            scores.setdefault(name, {})[horizon] = score
    return Scorecard(
        reference=config.reference,
        long_term=config.long_term,
        block_days=config.block_days,
        bootstrap_draws=config.bootstrap_draws,
        seed=config.seed,
        scores=scores,
    )


def _score(
    rates: Floats,
    table: Mapping[str, Floats],
    counts: Counts,
    horizon: int,
    config: ScoringConfig,
    dispersion: float | None,
) -> ModelScore:
    gain: Gain = information_gain(rates, table[config.reference], counts)
    n = int(gain.events.sum())
    block = max(1, math.ceil(config.block_days / horizon))
    low, high = block_bootstrap(gain, block, config.bootstrap_draws, config.confidence, config.seed)
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
    long_term = brier_score(probability_of_event(table[config.long_term]), occurred)
    return ModelScore(
        igpe_vs_etas=gain.per_earthquake,
        low=low,
        high=high,
        igpe_time=gain.per_earthquake - gain.space / n if n else math.nan,
        igpe_space=gain.space / n if n else math.nan,
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
