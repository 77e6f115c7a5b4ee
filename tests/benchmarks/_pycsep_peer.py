"""Run in pyCSEP's own environment: its tests on its bundled forecasts, and the gridded inputs that it made them from.

`python _pycsep_peer.py OUT SIMULATIONS CATALOGS` writes OUT/arrays.npz and OUT/results.json.
"""

# ruff: noqa: E402 - the clock of the import starts before it
import contextlib
import io
import json
import sys
import time
import warnings
from pathlib import Path

started = time.perf_counter()
import csep
import numpy as np
from csep.core import catalog_evaluations, poisson_evaluations, regions
from csep.core.catalogs import CSEPCatalog
from csep.utils import datasets, time_utils

import_seconds = time.perf_counter() - started

out, simulations, n_catalogs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
seconds: dict[str, float] = {"import": import_seconds}
results: dict[str, object] = {}
arrays: dict[str, np.ndarray] = {}


def timed(name, call):
    began = time.perf_counter()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # it warns of few events, which the comparison knows
        found = call()
    seconds[name] = time.perf_counter() - began
    return found


def drawn_from(forecast, events, seed):
    """Return a catalog of cell centres drawn from a gridded forecast: enough events for the W-test."""
    rng = np.random.default_rng(seed)
    flat = rng.choice(forecast.data.size, events, p=forecast.data.ravel() / forecast.data.sum())
    cell, magnitude = np.unravel_index(flat, forecast.data.shape)
    middle = forecast.region.midpoints()[cell]
    rows = [
        (str(i), 1_200_000_000_000 + i, middle[i, 1], middle[i, 0], 10.0, forecast.magnitudes[m] + 0.05)
        for i, m in enumerate(magnitude)
    ]
    return CSEPCatalog(data=rows, region=forecast.region, name="drawn")


def gridded():
    window = {
        "start_date": time_utils.strptime_to_utc_datetime("2006-11-12 00:00:00.0"),
        "end_date": time_utils.strptime_to_utc_datetime("2011-11-12 00:00:00.0"),
    }
    forecasts = {
        name: timed(f"load {name}", lambda p=path: csep.load_gridded_forecast(p, **window))
        for name, path in (
            ("mainshock", datasets.helmstetter_mainshock_fname),
            ("aftershock", datasets.helmstetter_aftershock_fname),
        )
    }
    first = forecasts["mainshock"]
    recorded = csep.load_catalog(datasets.comcat_example_catalog_fname)
    recorded = recorded.filter(f"magnitude >= {first.min_magnitude}").filter_spatial(first.region)
    observed = {"recorded": recorded, "drawn": drawn_from(forecasts["aftershock"], 60, seed=4)}
    for name, forecast in forecasts.items():
        arrays[f"rates {name}"] = forecast.data
    for catalog_name, catalog in observed.items():
        catalog.region = first.region
        arrays[f"counts {catalog_name}"] = catalog.spatial_magnitude_counts()
        for name, forecast in forecasts.items():
            key = f"{catalog_name} {name}"
            number = poisson_evaluations.number_test(forecast, catalog)
            results[f"N {key}"] = list(number.quantile)
            for test, function in (
                ("L", "likelihood_test"),
                ("CL", "conditional_likelihood_test"),
                ("S", "spatial_test"),
                ("M", "magnitude_test"),
            ):
                call = getattr(poisson_evaluations, function)
                found = timed(
                    f"{test} {key}",
                    lambda c=call, f=forecast, k=catalog: c(f, k, num_simulations=simulations, seed=7),
                )
                results[f"{test} {key}"] = [found.observed_statistic, found.quantile]
                arrays[f"{test} {key}"] = np.asarray(found.test_distribution)
        pair = (forecasts["mainshock"], forecasts["aftershock"], catalog)
        t = timed(f"T {catalog_name}", lambda p=pair: poisson_evaluations.paired_t_test(*p))
        results[f"T {catalog_name}"] = [t.observed_statistic, t.quantile[0], *t.test_distribution]
        if catalog.event_count >= 10:
            w = timed(f"W {catalog_name}", lambda p=pair: poisson_evaluations.w_test(*p))
            results[f"W {catalog_name}"] = [w.observed_statistic, w.quantile]


def by_catalogs():
    """Score the bundled UCERF3-ETAS catalogs of the Landers earthquake against one of them, as if it were observed."""
    magnitudes = np.arange(4.95, 8.95, 0.1)
    region = regions.create_space_magnitude_region(regions.california_relm_region(), magnitudes)
    lines = Path(datasets.ucerf3_ascii_format_landers_fname).read_text().splitlines(keepends=True)
    short = out / "catalogs.csv"
    short.write_text("".join([lines[0], *(k for k in lines[1:] if int(k.split(",")[5]) < n_catalogs)]))
    forecast = csep.load_catalog_forecast(
        str(short),
        start_time=time_utils.strptime_to_utc_datetime("1992-06-28 11:57:34.14"),
        end_time=time_utils.strptime_to_utc_datetime("1992-07-28 11:57:34.14"),
        region=region,
        filters=["magnitude >= 4.95"],
        filter_spatial=True,
        apply_filters=True,
        n_cat=n_catalogs,
    )
    catalogs = timed("load catalogs", lambda: list(forecast))
    observed = catalogs[0]
    parts = []
    for i, catalog in enumerate(catalogs):
        catalog.region = region
        if catalog.event_count:
            cell = catalog.get_spatial_idx()
            magnitude = catalog.get_mag_idx()
            parts.append(np.stack([np.full(catalog.event_count, i), cell, magnitude]))
    arrays["events"] = np.concatenate(parts, axis=1).astype(np.int64)
    arrays["counts catalogs"] = observed.spatial_magnitude_counts()
    results["catalogs"] = [len(catalogs), region.num_nodes, magnitudes.size]
    timed("expected rates", forecast.get_expected_rates)
    for test, function in (
        ("N", "number_test"),
        ("S", "spatial_test"),
        ("M", "magnitude_test"),
        ("PL", "pseudolikelihood_test"),
    ):
        call = getattr(catalog_evaluations, function)
        found = timed(f"catalog {test}", lambda c=call: c(forecast, observed))
        results[f"catalog {test}"] = [found.observed_statistic, *found.quantile]
        arrays[f"catalog {test}"] = np.asarray(found.test_distribution, dtype=np.float64)


gridded()
by_catalogs()
np.savez(out / "arrays.npz", **arrays)
versions = {"pycsep": csep.__version__, "numpy": np.__version__}
(out / "results.json").write_text(json.dumps({"results": results, "seconds": seconds, "versions": versions}))
