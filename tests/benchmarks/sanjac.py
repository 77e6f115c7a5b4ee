"""EarthquakeNPP's SanJac_10: the published scores of ETAS and Poisson to their digits, and ours of the same model.

Needs the recorded archive (QUAKECUBE_ARCHIVE). The reference implementation needs about one hour and 1.75 GB for the
same fit on two cores; ours aims at 120 s and 175 MiB above the memory of the loaded program.
"""

import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from flows.benchmarks import Measured
from flows.settings import Settings
from tasks.seismicity.detection import Visibility, fit_visibility
from tasks.seismicity.etas import as_seen
from tasks.seismicity.etas_law import NAMES
from tasks.seismicity.etas_likelihood import Problem
from tasks.seismicity.etas_optimise import Maximum, maximise, maximise_by_em
from tasks.seismicity.etas_published import fit_as_published, theta_from_rates
from tasks.seismicity.etas_score import NextEventScore, score_next_events
from tasks.seismicity.pair_plan import curvature_of, sphere_points

CATALOG = "catalogs/earthquakenpp/SanJac_catalog.csv.xz"
HISTORY, FIT, TEST, END = (
    np.datetime64(day, "ns") for day in ("2008-01-01", "2009-01-01", "2016-01-01", "2018-01-01")
)
SOUTH, NORTH, WEST, EAST = 33.0, 34.0, -117.0, -116.0
AREA_KM2 = 10306.063185775638
RADIUS_KM = 6378.1
COMPLETENESS, FITTED_M0 = 1.0, 0.95
# Only set what theta's second entry means; the likelihood does not depend on them.
BETA, M_RANGE = 2.3, 6.0
PUBLISHED = {
    "log10_mu": -4.126678,
    "log10_k0": -3.478639,
    "a": 1.256129,
    "log10_c": -4.388617,
    "omega": -0.181337,
    "log10_tau": 3.009631,
    "log10_d": -2.493909,
    "gamma": 0.833522,
    "rho": 0.470072,
}
TEMPORAL, SPATIAL = 1.132527, -5.398118
POISSON_TEMPORAL, POISSON_SPATIAL = 0.793917, -9.240488
LN10 = math.log(10.0)
BOUNDS = (
    (-20.0, 10.0), (-5.0, 1.0), (0.0, 4.0), (-14.0, 0.0), (-0.9, 2.0),
    (-10.0, 5.0), (0.0, 2.5), (-3.0, 1.5), (LN10, 5.0 * LN10),
)  # fmt: skip
START = np.array(
    [math.log(2.0), math.log(0.5), 1.2, math.log(0.01), 0.1, math.log(0.1), 0.8, math.log(0.6), 3.0 * LN10]
)


class SanJac(NamedTuple):
    """The catalog as the benchmark cuts it: days since the start of the test, km on the sphere, binned magnitudes."""

    days: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    magnitude: np.ndarray

    def problem(self, m0: float, start: np.datetime64, end: np.datetime64, reach2: np.ndarray) -> Problem:
        """Return the likelihood of the events in [start, end) given those since 2008."""
        first, last = days_since_test(start), days_since_test(end)
        known = self.days < last
        return Problem(
            t=self.days[known],
            x=self.x[known],
            y=self.y[known],
            m=self.magnitude[known] - m0,
            target=self.days[known] >= first,
            background=np.full(int(known.sum()), 1.0 / AREA_KM2),
            reach2=reach2[known],
            start=first,
            end=last,
            box=None,
            beta=BETA,
            m_range=M_RANGE,
            z=self.z[known],
            curvature=curvature_of(RADIUS_KM),
        )

    def fit_problem(self) -> Problem:
        """Return the likelihood that the reference fits, with the pairs that it keeps."""
        return self.problem(FITTED_M0, FIT, TEST, (100.0 * 10.0 ** (0.59 * self.magnitude - 2.44)) ** 2)

    def test_problem(self, m0: float) -> Problem:
        """Return the likelihood of the test events; no pair is left out."""
        return self.problem(m0, TEST, END, np.full(self.days.size, np.inf))


def days_since_test(time: np.datetime64) -> float:
    """Return days since the start of the test."""
    return float((time - TEST) / np.timedelta64(1, "D"))


def read(path: Path) -> SanJac:
    """Read the catalog; magnitudes binned to 0.1 and kept from 1.0, the box with its boundary."""
    table = pd.read_csv(path)
    days = (
        pd.to_datetime(table["time"], format="ISO8601").to_numpy("datetime64[ns]") - TEST
    ) / np.timedelta64(1, "D")
    magnitude = np.floor(table["magnitude"].to_numpy() / 0.1 + 0.5) * 0.1
    latitude, longitude = (table[name].to_numpy() for name in ("latitude", "longitude"))
    keep = (
        (magnitude >= COMPLETENESS - 1e-9)
        & (days >= days_since_test(HISTORY))
        & (days < days_since_test(END))
    )
    keep &= (latitude >= SOUTH) & (latitude <= NORTH) & (longitude >= WEST) & (longitude <= EAST)
    order = np.flatnonzero(keep)
    order = order[np.argsort(days[order], kind="stable")]
    x, y, z = sphere_points(latitude[order], longitude[order], RADIUS_KM)
    return SanJac(days[order], x, y, z, magnitude[order])


def scores(theta: np.ndarray, catalog: SanJac, m0: float) -> NextEventScore:
    """Return the scores of the test events."""
    return score_next_events(theta, catalog.test_problem(m0))


def fit_etas_i(problem: Problem) -> tuple[Maximum, Visibility]:
    """Return the maximum of ETAS-I's likelihood, and what large events hide by the magnitudes of the same events."""
    law = fit_visibility(problem.t, problem.places, problem.m, FITTED_M0, problem.beta)
    found = maximise(START, problem, BOUNDS)
    for _ in range(2):
        problem = as_seen(problem, FITTED_M0, law, float(found.theta[2]))
        found = maximise(found.theta, problem, BOUNDS)
    return found, law


def complete_scores(theta: np.ndarray, law: Visibility, catalog: SanJac, m0: float) -> NextEventScore:
    """Return the scores of ETAS-I's rate of all events, seen or not, at the same test events as the others."""
    problem = as_seen(catalog.test_problem(m0), m0, law, float(theta[2]))
    return score_next_events(theta, problem._replace(unseen=None))


def poisson(catalog: SanJac) -> tuple[float, float]:
    """Return temporal and spatial scores of the Poisson process with the rate of the history, 2008 to 2016."""
    before, test = int((catalog.days < 0).sum()), int((catalog.days >= 0).sum())
    rate = before / -days_since_test(HISTORY)
    return math.log(rate) - rate * days_since_test(END) / test, -math.log(AREA_KM2)


def fit_alone(path: str) -> dict[str, object]:
    """Fit as the reference does; return the fit, seconds from the catalog in memory, and the MiB that it added."""
    problem = read(Path(path)).fit_problem()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    found = fit_as_published(START, problem, BOUNDS)
    seconds = time.perf_counter() - started
    peak_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024.0
    return found._asdict() | {"theta": found.theta.tolist(), "seconds": seconds, "peak_mib": peak_mib}


def fit_in_own_process(path: Path) -> dict[str, float | list[float]]:
    """Return what `fit_alone` says in a new process, so that the peak of its memory is that of the fit."""
    command = [sys.executable, "-m", "tests.benchmarks.sanjac", str(path)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, float | list[float]] = json.loads(done.stdout)
    return answer


def measure(settings: Settings) -> Measured:
    """Score the published parameters, fit our own, and score them.

    Raises
    ------
    ValueError
        If no archive is set.
    """
    if settings.archive is None:
        raise ValueError("bench sanjac: expected QUAKECUBE_ARCHIVE, the folder of the recorded archive")
    path = settings.archive / CATALOG
    own = fit_in_own_process(path)
    own_theta = np.array(own["theta"])
    catalog = read(path)
    problem = catalog.fit_problem()
    started = time.perf_counter()
    likeliest = maximise(START, problem, BOUNDS)
    maximise_seconds = time.perf_counter() - started
    started = time.perf_counter()
    incomplete, law = fit_etas_i(problem)
    etas_i_seconds = time.perf_counter() - started
    started = time.perf_counter()
    by_em = maximise_by_em(START, problem, BOUNDS)
    em_seconds = time.perf_counter() - started
    published = theta_from_rates(PUBLISHED, AREA_KM2, BETA, M_RANGE)
    figures: dict[str, float] = {}
    lines = [
        "| SanJac_10, nats per event | temporal, published definition | temporal, mended | spatial, published "
        "| spatial, mended |",
        "|---|---:|---:|---:|---:|",
    ]
    rows = {
        "published_parameters": ("ETAS, published parameters", published),
        "etas": ("ETAS, our fit by the published estimator", own_theta),
        "maximum_likelihood": ("ETAS, our maximum of the likelihood", likeliest.theta),
        "etas_i": ("ETAS-I, our maximum of the likelihood", incomplete.theta),
    }
    for key, (label, theta) in rows.items():
        as_published, mended = (
            complete_scores(theta, law, catalog, m0) if key == "etas_i" else scores(theta, catalog, m0)
            for m0 in (COMPLETENESS, FITTED_M0)
        )
        # Two quirks, on or off: the reference magnitude of the evaluation, and the window of the integral.
        figures[f"{key}_temporal_ll"] = as_published.temporal(published=True)
        figures[f"{key}_spatial_ll"] = float(as_published.spatial.mean())
        figures[f"{key}_temporal_ll_full_window"] = as_published.temporal(published=False)
        figures[f"{key}_temporal_ll_m0"] = mended.temporal(published=True)
        figures[f"{key}_temporal_ll_mended"] = mended.temporal(published=False)
        figures[f"{key}_spatial_ll_mended"] = float(mended.spatial.mean())
        columns = ("temporal_ll", "temporal_ll_mended", "spatial_ll", "spatial_ll_mended")
        lines.append(f"| {label} | " + " | ".join(f"{figures[f'{key}_{c}']:.6f}" for c in columns) + " |")
    figures["poisson_temporal_ll"], figures["poisson_spatial_ll"] = poisson(catalog)
    temporal, spatial = (f"{figures[f'poisson_{c}_ll']:.6f}" for c in ("temporal", "spatial"))
    lines.append(f"| Poisson, rate of 2008 to 2016 | {temporal} | {temporal} | {spatial} | {spatial} |")
    n = int((catalog.days >= 0).sum())
    figures |= {
        "published_temporal_error": abs(figures["published_parameters_temporal_ll"] - TEMPORAL),
        "published_spatial_error": abs(figures["published_parameters_spatial_ll"] - SPATIAL),
        "poisson_temporal_error": abs(figures["poisson_temporal_ll"] - POISSON_TEMPORAL),
        "poisson_spatial_error": abs(figures["poisson_spatial_ll"] - POISSON_SPATIAL),
        "n_events": n,
        "fit_events": problem.t.size,
        "fit_targets": int(problem.target.sum()),
        "fit_seconds": own["seconds"],
        "fit_evaluations": own["evaluations"],
        "peak_mib": own["peak_mib"],
        "maximise_seconds": maximise_seconds,
        "maximise_ll": likeliest.value,
        "etas_i_seconds": etas_i_seconds,
        "etas_i_g": law.g,
        "etas_i_sigma": law.sigma,
        "em_seconds": em_seconds,
        "em_ll_below_maximum": likeliest.value - by_em.value,
        "published_ll_below_maximum": likeliest.value - own["value"],
    }
    figures |= {f"theta_{name}": float(v) for name, v in zip(NAMES, own_theta, strict=True)}
    return Measured(figures, n, 0, {"scores": "\n".join(lines)})


if __name__ == "__main__":
    sys.stdout.write(json.dumps(fit_alone(sys.argv[1])))
