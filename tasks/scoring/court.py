"""What a gain has to stand up to: consistency tests with their power, alarms and the label-shuffle control."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.scoring.alarms import molchan, thinned
from tasks.scoring.config import ScoringConfig
from tasks.scoring.consistency import ConsistencyTest
from tasks.scoring.controls import ShuffleControl, label_shuffle
from tasks.scoring.gridded import (
    conditional_likelihood_test,
    fixed_draws,
    likelihood_test,
    magnitude_test,
    poisson_draws,
    spatial_test,
)
from tasks.scoring.inputs import checked
from tasks.scoring.magnitudes import MagnitudeBins
from tasks.scoring.plain import plain
from tasks.scoring.power import number_power, simulated_power
from tasks.scoring.sequences import sequences

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
CURVE_POINTS = 200


@dataclass(frozen=True)
class CourtRow:
    """One model at one horizon.

    Attributes
    ----------
    tests : mapping of name to ConsistencyTest
        L, CL and S under independent Poisson bins; empty without events. The number test is in the scorecard, with
        the model's own law.
    power : mapping of name to float
        How often N, CL and S, with as many events as were observed, reject the long-term model if this one is right.
    area_skill, area_deviation, area_p_value : float
        Molchan's area skill of alarms in the order of rate / reference, against the reference.
    occupied, missed : array (point,)
        Molchan's curve.
    shuffle : ShuffleControl or None
        Gain over the long-term model with windows exchanged; None without events.
    """

    tests: Mapping[str, ConsistencyTest]
    power: Mapping[str, float]
    area_skill: float
    area_deviation: float
    area_p_value: float
    occupied: Floats
    missed: Floats
    shuffle: ShuffleControl | None


@dataclass(frozen=True)
class Court:
    """Rows by model and horizon (days), and the magnitude test of the law that all models share.

    `magnitude` is None where no magnitudes were given, or there is no event.
    """

    simulations: int
    significance: float
    rows: Mapping[str, Mapping[int, CourtRow]]
    magnitude: ConsistencyTest | None

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON values: horizons as strings, NaN and infinity as None."""
        content = plain(self)
        assert isinstance(content, dict)
        return content


def court(
    rates: Mapping[int, xr.DataArray],
    counts: Mapping[int, xr.DataArray],
    config: ScoringConfig,
    models: Sequence[str],
    magnitudes: MagnitudeBins | None = None,
    threads: int = 1,
) -> Court:
    """Try `models` on the same events and the same number of simulations.

    Parameters
    ----------
    rates, counts, config
        As in `scorecard`.
    models : sequence of str
        Which of the models; tests by simulation are not for every ablation.
    magnitudes : MagnitudeBins, optional
        Of the law that all models share.
    threads : int
        Rows are independent, each with random numbers of its own: the result does not depend on it.

    Raises
    ------
    ValueError
        As `scorecard`; or if a model is absent.
    """
    rows: dict[str, dict[int, CourtRow]] = {name: {} for name in models}
    cases = []
    for horizon, model_rates in rates.items():
        table, observed = checked(model_rates, counts[horizon], horizon)
        for name in (*models, config.reference, config.long_term):
            if name not in table:
                raise ValueError(f"horizon {horizon}: expected the model {name!r}, found {sorted(table)}")
        labels = sequences(counts[horizon], horizon, config)
        shared = (table[config.reference], table[config.long_term], observed, labels, config)
        cases += [(name, horizon, (table[name], *shared)) for name in models]
    with ThreadPoolExecutor(threads) as pool:
        made = pool.map(lambda case: _row(*case[2]), cases)
        for (name, horizon, _), row in zip(cases, made, strict=True):
            rows[name][horizon] = row
    magnitude = None
    if magnitudes is not None and magnitudes.observed.any():
        draws = fixed_draws(int(magnitudes.observed.sum()), config.simulations, config.seed)
        magnitude = magnitude_test(magnitudes.expected, magnitudes.observed, draws)
    return Court(config.simulations, config.significance, rows, magnitude)


def _row(
    rates: Floats,
    reference: Floats,
    long_term: Floats,
    counts: Counts,
    labels: Counts,
    config: ScoringConfig,
) -> CourtRow:
    n, seed = int(counts.sum()), config.seed
    tests: dict[str, ConsistencyTest] = {}
    power: dict[str, float] = {}
    if n:
        draws = config.simulations
        tests["L"] = likelihood_test(rates, counts, poisson_draws(float(rates.sum()), draws, seed))
        tests["CL"] = conditional_likelihood_test(rates, counts, fixed_draws(n, draws, seed + 1))
        places = (rates.sum(axis=0), counts.sum(axis=0))
        tests["S"] = spatial_test(*places, fixed_draws(n, draws, seed + 2))
        level, fewer = config.significance, config.power_simulations
        power["N"] = number_power(float(rates.sum()), float(long_term.sum()), level)
        power["CL"] = simulated_power("CL", rates, long_term, n, fewer, seed, level)
        power["S"] = simulated_power("S", rates.sum(axis=0), long_term.sum(axis=0), n, fewer, seed, level)
    # A bin that the reference thinks impossible has no event (`checked` refuses one): its alarms cost nothing.
    floor = np.maximum(reference, np.finfo(np.float64).tiny)
    curve = molchan(rates / floor, floor, counts, labels)
    occupied, missed = thinned(curve, CURVE_POINTS)
    return CourtRow(
        tests,
        power,
        curve.area_skill,
        curve.deviation,
        curve.p_value,
        occupied,
        missed,
        label_shuffle(rates, long_term, counts, config.shuffles, seed) if n else None,
    )
