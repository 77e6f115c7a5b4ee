"""Does the anisotropic kernel pay? ETAS on southern California, M >= 3, with large events as points and as ruptures.

Needs the recorded archive (QUAKECUBE_ARCHIVE). Fitted on 1985 to 2005 and scored on 2005 to 2014, the validation period
of EarthquakeNPP's SCEDC data sets; its test period stays closed. Uniform background, no edge.
"""

import math

import numpy as np
import pandas as pd

from flows.benchmarks import Measured
from flows.settings import Settings
from tasks.seismicity.etas_likelihood import Problem, log_likelihood
from tasks.seismicity.etas_optimise import maximise
from tasks.seismicity.ruptures import POINTS, along_ruptures

CATALOG = "catalogs/scedc_m3/SCEDC_M3_1981_2020.csv.xz"
SOUTH, NORTH, WEST, EAST = 32.0, 37.0, -122.0, -114.0
M0, KM_PER_DEGREE = 2.95, 111.19
FIRST, TRAINED, VALIDATED = (np.datetime64(day, "ns") for day in ("1985-01-01", "2005-01-01", "2014-01-01"))
THRESHOLDS = (6.5, 6.0, 5.5)
START = np.array(
    [math.log(0.5), math.log(0.5), 1.2, math.log(0.01), 0.15, math.log(0.5), 1.0, math.log(0.6), math.inf]
)
BOUNDS = (
    (-20.0, 10.0), (math.log(1e-3), math.log(0.98)), (0.0, 4.0), (math.log(1e-4), 0.0), (0.02, 1.0),
    (math.log(1e-2), math.log(400.0)), (0.0, 2.5), (math.log(0.1), math.log(3.0)), (math.inf, math.inf),
)  # fmt: skip


def problem_of(table: pd.DataFrame, start: np.datetime64, end: np.datetime64) -> Problem:
    """Return the likelihood of the events in [start, end) given all before."""
    time = pd.to_datetime(table["time"], format="ISO8601").to_numpy("datetime64[ns]")
    latitude, longitude, magnitude = (table[c].to_numpy() for c in ("latitude", "longitude", "magnitude"))
    kept = (latitude > SOUTH) & (latitude < NORTH) & (longitude > WEST) & (longitude < EAST)
    order = np.flatnonzero(kept & (time < end) & (magnitude >= 3.0 - 1e-9))
    order = order[np.argsort(time[order], kind="stable")]
    middle = math.cos(math.radians(0.5 * (SOUTH + NORTH)))
    area = (NORTH - SOUTH) * (EAST - WEST) * middle * KM_PER_DEGREE**2
    day = np.timedelta64(1, "D")
    n = order.size
    return Problem(
        t=(time[order] - FIRST) / day, x=longitude[order] * middle * KM_PER_DEGREE, y=latitude[order] * KM_PER_DEGREE,
        m=magnitude[order] - M0, target=time[order] >= start, background=np.full(n, 1.0 / area),
        reach2=np.full(n, math.inf), start=float((start - FIRST) / day), end=float((end - FIRST) / day), box=None,
        beta=2.3, m_range=5.0,
    )  # fmt: skip


def measure(settings: Settings) -> Measured:
    """Fit and score with points, and with ruptures from each threshold on.

    Raises
    ------
    ValueError
        If no archive is set.
    """
    if settings.archive is None:
        raise ValueError("bench ruptures: expected QUAKECUBE_ARCHIVE, the folder of the recorded archive")
    table = pd.read_csv(settings.archive / CATALOG)
    training, validation = problem_of(table, FIRST, TRAINED), problem_of(table, TRAINED, VALIDATED)
    n = {name: int(p.target.sum()) for name, p in (("training", training), ("validation", validation))}
    point = maximise(START, training, BOUNDS, 1e-9)
    by_point = log_likelihood(point.theta, validation)[0]
    figures: dict[str, float] = {f"n_{name}": count for name, count in n.items()}
    lines = [
        "| events that trigger along their ruptures | how many | training, nats per event | validation |",
        "|---|---:|---:|---:|",
    ]
    for smallest in THRESHOLDS:
        lined = along_ruptures(training, M0, smallest)
        found = maximise(point.theta, lined, BOUNDS, 1e-9)
        value = log_likelihood(found.theta, along_ruptures(validation, M0, smallest))[0]
        key = f"m{smallest:g}"
        figures[f"ruptures_{key}"] = (lined.t.size - training.t.size) / POINTS
        figures[f"training_gain_{key}"] = (found.value - point.value) / n["training"]
        figures[f"validation_gain_{key}"] = (value - by_point) / n["validation"]
        lines.append(
            f"| M >= {smallest:g} | {figures[f'ruptures_{key}']:.0f} | {figures[f'training_gain_{key}']:+.4f} "
            f"| {figures[f'validation_gain_{key}']:+.4f} |"
        )
    return Measured(figures, n["validation"], 0, {"gains": "\n".join(lines)})
