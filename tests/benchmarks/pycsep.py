"""Consistency and comparison tests beside pyCSEP's own, on its bundled forecasts: largest absolute differences.

pyCSEP runs in an environment of its own, QUAKECUBE_PEERS. Both sides use the same random numbers, so that simulated
statistics are compared one by one, besides the observed one and the quantiles. pyCSEP loses ties between equal sums
that were added in another order, so a quantile is compared with that of its own simulated statistics, ties counted;
`ties_*` is what it lost. Target: every `difference_*` below 1e-6. `seconds_*` and `ours_seconds_*` are of the
same call on both sides, the files already read.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flows.benchmarks import Measured
from flows.settings import Settings
from tasks.scoring import (
    ConsistencyTest,
    Draws,
    SimulatedCatalogs,
    catalog_tests,
    conditional_likelihood_test,
    information_gain,
    likelihood_test,
    magnitude_test,
    n_test,
    spatial_test,
    t_test,
    w_test,
)
from tasks.scoring.consistency import among_simulated
from tasks.scoring.gridded import simulate

SIMULATIONS: Final = 10_000
CATALOGS: Final = 10_000
SEED: Final = 7
_PEER: Final = Path(__file__).with_name("_pycsep_peer.py")
Arrays = dict[str, NDArray[Any]]


def measure(settings: Settings) -> Measured:
    """Run both sides on 10,000 simulations and on all 10,000 bundled catalogs."""
    return compare(SIMULATIONS, CATALOGS)


def peer_python() -> Path | None:
    """Return the Python of the environment that has pyCSEP, None where there is none."""
    peers = Path(os.environ.get("QUAKECUBE_PEERS", "/nonexistent"))
    return peers / "bin" / "python" if any(peers.glob("lib/python3*/site-packages/csep")) else None


def compare(simulations: int, catalogs: int) -> Measured:
    """Return the largest absolute difference of each test's statistic, quantiles and simulated statistics.

    Raises
    ------
    RuntimeError
        If QUAKECUBE_PEERS names no environment with pyCSEP, or pyCSEP fails there.
    """
    python = peer_python()
    if python is None:
        raise RuntimeError(
            "QUAKECUBE_PEERS names no environment with pycsep; see .ci/run for how to make one"
        )
    with tempfile.TemporaryDirectory(prefix="quakecube-bench-") as folder:
        command = [str(python), str(_PEER), folder, str(simulations), str(catalogs)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-1500:]}")
        said = json.loads((Path(folder) / "results.json").read_text())
        with np.load(Path(folder) / "arrays.npz") as opened:
            arrays = {name: opened[name] for name in opened.files}
    figures = {f"seconds_{name.replace(' ', '_')}": s for name, s in said["seconds"].items()}
    differences: dict[str, float] = {}
    _gridded(arrays, said["results"], simulations, differences, figures)
    _by_catalogs(arrays, said["results"], differences, figures)
    figures |= {f"difference_{test}": value for test, value in differences.items()}
    figures["largest_difference"] = max(differences.values())
    return Measured(figures, simulations, SEED, {"differences": _table(differences, said, simulations)})


def _keep(differences: dict[str, float], test: str, ours: object, theirs: object) -> None:
    gap = np.abs(np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64))
    # NaN compares as false in max(): a missing number on one side must not pass as equal.
    worst = float(gap.max(initial=0.0)) if np.isfinite(gap).all() else np.inf
    differences[test] = max(differences.get(test, 0.0), worst)


def _their_draws(expected: float | None, n: int, simulations: int) -> Iterator[Draws]:
    """Yield the random numbers that pyCSEP draws with this seed, in its order: number, then places."""
    source = np.random.RandomState(SEED)  # the generator that pyCSEP seeds
    for _ in range(simulations):
        events = n if expected is None else int(source.poisson(expected))
        yield Draws(np.array([events]), source.rand(events))


def _gathered(draws: Iterator[Draws]) -> list[Draws]:
    parts = list(draws)
    return [Draws(np.concatenate([p.events for p in parts]), np.concatenate([p.uniforms for p in parts]))]


def _gridded(
    arrays: Arrays,
    theirs: dict[str, list[Any]],
    simulations: int,
    differences: dict[str, float],
    figures: dict[str, float],
) -> None:
    gains = {}
    one = np.ones(1)
    simulate(one, one, 1.0, [Draws(np.ones(1, np.int64), 0.5 * one)])  # compiled before the clock runs
    for catalog in ("recorded", "drawn"):
        counts = arrays[f"counts {catalog}"].astype(np.int64)
        n = int(counts.sum())
        for model in ("mainshock", "aftershock"):
            rates = arrays[f"rates {model}"]
            key = f"{catalog} {model}"
            number = n_test(float(rates.sum()), n)
            _keep(differences, "N", [number.delta1, number.delta2], theirs[f"N {key}"])
            tests: dict[str, tuple[Callable[..., ConsistencyTest], tuple[int, ...], float | None]] = {
                "L": (likelihood_test, (), float(rates.sum())),
                "CL": (conditional_likelihood_test, (), None),
                "S": (spatial_test, (1,), None),
                "M": (magnitude_test, (0,), None),
            }
            for test, (function, axes, expected) in tests.items():
                summed, observed = rates.sum(axis=axes), counts.sum(axis=axes)
                draws = _gathered(_their_draws(expected, n, simulations))
                began = time.perf_counter()
                found = function(summed, observed, draws)
                seconds = time.perf_counter() - began
                figures[f"ours_seconds_{test}_{catalog}_{model}"] = seconds
                statistic, quantile = theirs[f"{test} {key}"]
                judged = among_simulated(test, statistic, arrays[f"{test} {key}"])
                _keep(differences, test, [found.observed, found.at_most], [statistic, judged.at_most])
                figures[f"ties_{test}"] = max(figures.get(f"ties_{test}", 0.0), judged.at_most - quantile)
                scale = n / summed.sum() if test in "SM" else 1.0
                source, total = summed.ravel(), n if test in "SM" else float(summed.sum())
                every = simulate(source, source * scale, total, draws)
                _keep(differences, test, every, arrays[f"{test} {key}"])
        gains[catalog] = information_gain(
            arrays["rates mainshock"][None, :, None],
            arrays["rates aftershock"][None, :, None],
            counts[None, :, None],
        )
        t = t_test(gains[catalog])
        _keep(differences, "T", [gains[catalog].per_earthquake, t.statistic], theirs[f"T {catalog}"][:2])
    # Their Wilcoxon statistic is the normal approximation z, ours the rank sum: the p-value is the same thing in both.
    _keep(differences, "W", w_test(gains["drawn"]).p_value, theirs["W drawn"][1])


def _by_catalogs(
    arrays: Arrays, theirs: dict[str, list[Any]], differences: dict[str, float], figures: dict[str, float]
) -> None:
    number, cells, magnitudes = theirs["catalogs"]
    catalog, cell, magnitude = arrays["events"]
    forecast = SimulatedCatalogs(catalog, cell, magnitude, number, cells, magnitudes)
    began = time.perf_counter()
    found = catalog_tests(forecast, arrays["counts catalogs"].astype(np.int64))
    figures["ours_seconds_catalog_tests"] = time.perf_counter() - began
    for test, ours in found.items():
        statistic, at_least, at_most = theirs[f"catalog {test}"]
        judged = among_simulated(test, statistic, arrays[f"catalog {test}"])
        for name in ("observed", "at_most", "at_least", "low", "median", "high", "simulations"):
            _keep(differences, f"catalog_{test}", getattr(ours, name), getattr(judged, name))
        figures[f"ties_catalog_{test}"] = max(judged.at_most - at_most, judged.at_least - at_least)


def _table(differences: dict[str, float], said: dict[str, Any], simulations: int) -> str:
    versions = said["versions"]
    lines = [
        f"Beside pyCSEP {versions['pycsep']}, {simulations:,} simulations, the same random numbers.",
        "",
        "| test | largest absolute difference |",
        "|---|---|",
    ]
    lines += [f"| {test.replace('_', ' ')} | {value:.1e} |" for test, value in differences.items()]
    return "\n".join(lines)
