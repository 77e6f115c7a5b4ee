"""What the ETAS engine costs: an evaluation of the likelihood against the number of events, a fit, many futures.

A catalog is drawn from a model of its own on a plane as large as California, and its first n events are taken. Distant
parents are summed in bundles; the difference to the sum over all pairs is measured in the same run. Targets: 70,000
events fit in at most 10 minutes and 2 GiB, with a likelihood within 1e-6 per event of that of all pairs; cost grows
clearly slower than n squared; 10,000 catalogs of 30 days in at most 60 s.
"""

import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.benchmarks import Measured
from flows.settings import Settings
from tasks.seismicity.catalog import Events
from tasks.seismicity.etas import EtasModel, EtasParameters
from tasks.seismicity.etas_law import mean_productivity
from tasks.seismicity.etas_likelihood import Problem, log_likelihood
from tasks.seismicity.etas_optimise import maximise_in_bundles
from tasks.seismicity.etas_simulation import simulate
from tasks.seismicity.geometry import Plane

Floats = NDArray[np.float64]

SIZES: Final = (2500, 5000, 10_000, 20_000, 40_000, 80_000)
FITTED: Final = 70_000
ALL_PAIRS_UP_TO: Final = 40_000
SEED: Final = 11
DAYS: Final = 20_000.0
M0, TOP, B = 2.5, 8.0, 1.0
BETA: Final = B * math.log(10.0)
# log mu, log n, alpha, log c, omega, log d, gamma, log rho, log tau: ordinary values of California.
TRUTH: Final = np.array(
    [math.log(2.2), math.log(0.6), 1.5, math.log(0.01), 0.15, math.log(0.3), 1.0, math.log(0.6), math.inf]
)
START: Final = TRUTH + np.array([0.3, -0.3, -0.3, 0.7, 0.1, -0.7, -0.3, 0.2, 0.0])
BOUNDS: Final = (
    (-20.0, 10.0), (math.log(1e-3), math.log(0.98)), (0.0, 4.0), (math.log(1e-4), 0.0), (0.02, 1.0),
    (math.log(1e-2), math.log(400.0)), (0.0, 2.5), (math.log(0.1), math.log(3.0)), (math.inf, math.inf),
)  # fmt: skip
FUTURES: Final = 10_000
HORIZON_DAYS: Final = 30.0


def plane() -> Plane:
    """Return a box of 1,000 km by 1,000 km in cells of 20 km."""
    return Plane(
        latitude=37.0, longitude=-120.0, south=-500.0, north=500.0, west=-500.0, east=500.0,
        dx=20.0, dy=20.0, rows=50, columns=50,
    )  # fmt: skip


def model() -> EtasModel:
    """Return the law that the catalog is drawn from: background on a few bands, as faults are."""
    mu, n, alpha, c, omega, d, gamma, rho = (float(v) for v in TRUTH[:8])
    k = math.exp(n - mean_productivity(alpha, BETA, TOP - M0)[0])
    parameters = EtasParameters(
        mu=math.exp(mu), k=k, alpha=alpha, c=math.exp(c), p=1.0 + omega, d=math.exp(d), gamma=gamma,
        q=1.0 + math.exp(rho), m0=M0, magnitude_max=TOP, b=B, branching_ratio=math.exp(n), log_likelihood=0.0,
        n_targets=0, n_parents=0, rounds=0, converged=True, at_bound=(), standard_errors={}, truncation="",
    )  # fmt: skip
    rows, columns = np.mgrid[0:50, 0:50]
    bands = 0.02 + sum(np.exp(-(((rows + columns - place) / 3.0) ** 2)) for place in (35, 55, 70))
    return EtasModel(parameters, np.asarray(bands / bands.sum()))


def drawn() -> Events:
    """Return a catalog of the box that has at least 80,000 events."""
    none = Events(*(np.empty(0) for _ in range(4)), np.empty(0, bool), np.empty(0, np.int64))
    law = model()
    found = simulate(law, plane(), none, 0.0, DAYS, 1, SEED)
    inside = (np.abs(found.x) < 500.0) & (np.abs(found.y) < 500.0)
    events = found.take(inside)
    n = events.days.size
    if n < SIZES[-1]:
        raise RuntimeError(f"the drawn catalog has {n} events, fewer than {SIZES[-1]}")
    return Events(events.days, events.x, events.y, events.magnitude, np.ones(n, bool), np.arange(n))


def problem(events: Events, n: int) -> Problem:
    """Return the likelihood of the first n events under the true background."""
    t = events.days[:n]
    law = model()
    row = np.minimum(((events.y[:n] + 500.0) / 20.0).astype(int), 49)
    column = np.minimum(((events.x[:n] + 500.0) / 20.0).astype(int), 49)
    return Problem(
        t=t, x=events.x[:n], y=events.y[:n], m=events.magnitude[:n] - M0, target=np.ones(n, bool),
        background=law.background[row, column] / 400.0, reach2=np.full(n, math.inf), start=0.0,
        end=float(t[-1]) + 1e-6, box=plane().box, beta=BETA, m_range=TOP - M0,
    )  # fmt: skip


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """Return the median time of some calls; one before is not counted."""
    work()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return median(taken)


def fit_alone() -> dict[str, object]:
    """Fit the 70,000; return parameters, value, seconds with the plan's, and the peak memory of this process."""
    whole = problem(drawn(), FITTED)
    log_likelihood(START, problem(drawn(), 100))  # compiled before
    started = time.perf_counter()
    found = maximise_in_bundles(START, whole, BOUNDS)
    taken = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    exact, slopes, _ = log_likelihood(found.theta, whole)
    free = np.isfinite(found.theta)
    return {
        "theta": found.theta[free].tolist(),
        "seconds": taken,
        "peak_mib": peak,
        "evaluations": found.evaluations,
        "difference_per_event": abs(exact - found.value) / FITTED,
        "slope_per_event": float(np.abs(slopes[free]).max()) / FITTED,
        "above_truth": exact - log_likelihood(TRUTH, whole)[0],
    }


def measure(settings: Settings) -> Measured:
    """Time evaluations of growing catalogs, a fit in a process of its own, and drawing of futures."""
    del settings
    events = drawn()
    figures: dict[str, float] = {}
    lines = [
        "| events | an evaluation with gradient | all pairs | difference per event |",
        "|---:|---:|---:|---:|",
    ]
    for n in SIZES:
        part = problem(events, n)
        plan = part.pairs_in_bundles(TRUTH)
        taken = seconds(lambda part=part, plan=plan: log_likelihood(TRUTH, part, plan))
        figures[f"evaluation_seconds_{n}"] = taken
        row = f"| {n:,} | {taken:.2f} s |"
        if n <= ALL_PAIRS_UP_TO:
            every = part.pairs
            exact = log_likelihood(TRUTH, part, every)[0]
            figures[f"all_pairs_seconds_{n}"] = seconds(
                lambda part=part, every=every: log_likelihood(TRUTH, part, every), 1
            )
            figures[f"difference_per_event_{n}"] = abs(log_likelihood(TRUTH, part, plan)[0] - exact) / n
            row += (
                f" {figures[f'all_pairs_seconds_{n}']:.2f} s | {figures[f'difference_per_event_{n}']:.1e} |"
            )
        else:
            row += " | |"
        lines.append(row)
    sizes = np.log(SIZES)
    figures["growth_exponent"] = float(
        np.polyfit(sizes, np.log([figures[f"evaluation_seconds_{n}"] for n in SIZES]), 1)[0]
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.etas"],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    own = json.loads(done.stdout)
    figures |= {
        "fit_seconds_70k": own["seconds"],
        "peak_mib_70k": own["peak_mib"],
        "fit_evaluations_70k": own["evaluations"],
        "fit_difference_per_event_70k": own["difference_per_event"],
        "fit_slope_per_event_70k": own["slope_per_event"],
        "fit_above_truth_70k": own["above_truth"],
    }
    history = events.days < events.days[60_000]
    past, start = events.take(history), float(events.days[60_000])
    law = model()
    busy = EtasModel(replace(law.parameters, mu=2.0 * law.parameters.mu), law.background)
    started = time.perf_counter()
    futures = simulate(busy, plane(), past, start, start + HORIZON_DAYS, FUTURES, SEED)
    figures["simulate_seconds_10k_catalogs"] = time.perf_counter() - started
    figures["simulated_events"] = float(futures.days.size)
    cost = (
        f"Cost grows with n^{figures['growth_exponent']:.2f}. 70,000 events: fitted in {own['seconds']:.0f} s "
        f"({own['evaluations']} evaluations), {own['peak_mib']:.0f} MiB at most, likelihood within "
        f"{own['difference_per_event']:.0e} per event of that of all pairs. {FUTURES:,} catalogs of {HORIZON_DAYS:g} "
        f"days after {past.days.size:,} events: {figures['simulate_seconds_10k_catalogs']:.1f} s "
        f"({futures.days.size / FUTURES:.0f} events each)."
    )
    return Measured(figures, SIZES[-1], SEED, {"evaluations": "\n".join(lines), "cost": cost})


if __name__ == "__main__":
    sys.stdout.write(json.dumps(fit_alone()))
