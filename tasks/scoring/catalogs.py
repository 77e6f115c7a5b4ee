"""Consistency of simulated catalogs with the observed one: N, S, M and pseudo-likelihood tests (Savran et al. 2020)."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.scoring.consistency import ConsistencyTest, among_simulated

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class SimulatedCatalogs(NamedTuple):
    """A forecast as equally likely catalogs of one window, their events in bins of space and magnitude.

    Attributes
    ----------
    catalog, cell, magnitude : int arrays (event,)
        Which catalog, spatial cell and magnitude bin each event is in.
    catalogs, cells, magnitudes : int
        How many there are of each; a catalog without events counts.
    """

    catalog: Counts
    cell: Counts
    magnitude: Counts
    catalogs: int
    cells: int
    magnitudes: int

    def rates(self) -> Floats:
        """Return the expected counts (cell, magnitude): the mean of the catalogs."""
        bins = np.bincount(
            self.cell * self.magnitudes + self.magnitude, minlength=self.cells * self.magnitudes
        )
        return np.asarray(bins.reshape(self.cells, self.magnitudes) / self.catalogs)

    def numbers(self) -> Counts:
        """Return the number of events (catalog,)."""
        return np.bincount(self.catalog, minlength=self.catalogs)


def catalog_tests(forecast: SimulatedCatalogs, counts: Counts) -> dict[str, ConsistencyTest]:
    """Return the tests by name: N, S, M, PL.

    Parameters
    ----------
    forecast : SimulatedCatalogs
        At least one catalog with an event.
    counts : int array (cell, magnitude)
        Observed.

    Raises
    ------
    ValueError
        If no catalog has an event, a bin is out of range, or the observed bins are others.
    """
    _check(forecast, counts)
    return {
        "N": catalog_number_test(forecast, counts),
        "S": catalog_spatial_test(forecast, counts),
        "M": catalog_magnitude_test(forecast, counts),
        "PL": pseudo_likelihood_test(forecast, counts),
    }


def compare_catalog_tests(
    forecasts: Mapping[str, SimulatedCatalogs], counts: Counts, simulations: int
) -> dict[str, dict[str, ConsistencyTest]]:
    """Return `catalog_tests` of each model, all on the same number of catalogs.

    The empirical rates of a forecast, and so its statistics, depend on how many catalogs it is made of: models with
    different numbers cannot be compared.

    Raises
    ------
    ValueError
        If a model has not `simulations` catalogs; the message names it.
    """
    wrong = {name: f.catalogs for name, f in forecasts.items() if f.catalogs != simulations}
    if wrong:
        raise ValueError(f"expected {simulations} simulated catalogs of every model, found {wrong}")
    return {name: catalog_tests(forecast, counts) for name, forecast in forecasts.items()}


def catalog_number_test(forecast: SimulatedCatalogs, counts: Counts) -> ConsistencyTest:
    """Return the N-test: the observed number among those of the catalogs (Savran et al. 2020, eq. 2-3)."""
    return among_simulated("N", float(counts.sum()), forecast.numbers().astype(np.float64), "both")


def pseudo_likelihood_test(forecast: SimulatedCatalogs, counts: Counts) -> ConsistencyTest:
    """Return the PL-test: sum of ln(mean rate) at the events, less the expected number (Savran et al. 2020, eq. 5-7).

    Mean rates are those of the cells. Observed events in cells where no catalog has any are left out and counted.
    NaN without observed events.
    """
    rates = forecast.rates().sum(axis=1)
    observed = counts.sum(axis=1)
    with np.errstate(divide="ignore"):
        log_rates = np.log(rates)
    total = float(rates.sum())
    simulated = _sum_by_catalog(forecast, log_rates) - total
    reached = rates > 0
    left_out = int(observed[~reached].sum())
    if observed.sum() == left_out:
        return among_simulated("PL", math.nan, simulated, events_left_out=left_out)
    statistic = float(observed[reached] @ log_rates[reached]) - total
    return among_simulated("PL", statistic, simulated, events_left_out=left_out)


def catalog_spatial_test(forecast: SimulatedCatalogs, counts: Counts) -> ConsistencyTest:
    """Return the S-test: mean of ln(share of the mean rate) at the events (Savran et al. 2020, eq. 8-10).

    Catalogs without events have no statistic. Unreached cells as in `pseudo_likelihood_test`.
    """
    rates = forecast.rates().sum(axis=1)
    observed = counts.sum(axis=1)
    with np.errstate(divide="ignore"):
        log_share = np.log(rates / rates.sum())
    numbers = forecast.numbers()
    simulated = _sum_by_catalog(forecast, log_share)[numbers > 0] / numbers[numbers > 0]
    reached = rates > 0
    left_out = int(observed[~reached].sum())
    scored = int(observed.sum()) - left_out
    if scored == 0:
        return among_simulated("S", math.nan, simulated, events_left_out=left_out)
    statistic = float(observed[reached] @ log_share[reached]) / scored
    return among_simulated("S", statistic, simulated, events_left_out=left_out)


def catalog_magnitude_test(forecast: SimulatedCatalogs, counts: Counts) -> ConsistencyTest:
    """Return the M-test: distance of log10 histograms, each scaled to the observed number (Savran et al. 2020, eq. 4).

    A large distance speaks against the model. NaN without observed events.
    """
    union = forecast.rates().sum(axis=0)
    observed = counts.sum(axis=0)
    n = int(observed.sum())
    numbers = forecast.numbers()
    shape = (forecast.catalogs, forecast.magnitudes)
    key = forecast.catalog * forecast.magnitudes + forecast.magnitude
    histograms = np.bincount(key, minlength=shape[0] * shape[1]).reshape(shape)[numbers > 0]
    if n == 0:
        return among_simulated("M", math.nan, np.zeros(histograms.shape[0]), "high")
    reference = np.log10(union * (n / union.sum()) + 1.0)
    scaled = histograms * (n / numbers[numbers > 0])[:, None]
    simulated = ((np.log10(scaled + 1.0) - reference) ** 2).sum(axis=1)
    statistic = float(((np.log10(observed + 1.0) - reference) ** 2).sum())
    return among_simulated("M", statistic, simulated, "high")


def _sum_by_catalog(forecast: SimulatedCatalogs, per_cell: Floats) -> Floats:
    weights = per_cell[forecast.cell]
    return np.asarray(np.bincount(forecast.catalog, weights=weights, minlength=forecast.catalogs))


def _check(forecast: SimulatedCatalogs, counts: Counts) -> None:
    if counts.shape != (forecast.cells, forecast.magnitudes):
        expected = (forecast.cells, forecast.magnitudes)
        raise ValueError(
            f"expected observed counts (cell, magnitude) of shape {expected}, found {counts.shape}"
        )
    if forecast.catalog.size == 0:
        raise ValueError("expected at least one simulated event, found none in any catalog")
    for name, values, size in (
        ("catalog", forecast.catalog, forecast.catalogs),
        ("cell", forecast.cell, forecast.cells),
        ("magnitude", forecast.magnitude, forecast.magnitudes),
    ):
        if values.min() < 0 or values.max() >= size:
            raise ValueError(f"expected {name} from 0 to {size - 1}, found {values.min()} to {values.max()}")
