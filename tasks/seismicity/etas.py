"""Space-time ETAS: its parameters, and their fit by maximum likelihood with stochastic declustering."""

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.regions import Region
from tasks.seismicity.catalog import Events, known_at, select_events, training_window
from tasks.seismicity.completeness import b_value, magnitude_step
from tasks.seismicity.detection import Visibility, fit_visibility, mu_at, stands_for, unseen
from tasks.seismicity.etas_law import NAMES, mean_productivity
from tasks.seismicity.etas_likelihood import Problem, log_likelihood
from tasks.seismicity.etas_optimise import at_bound, maximise, standard_errors
from tasks.seismicity.geometry import Plane
from tasks.seismicity.smoothing import smoothed_cells, smoothed_density

Floats = NDArray[np.float64]
log = logging.getLogger(__name__)

NEIGHBOURS = 5
_START = np.array(
    [math.nan, math.log(0.5), 1.2, math.log(0.01), 0.15, math.log(0.5), 1.0, math.log(0.6), math.inf]
)
# Wider than any published fit; they only stop small catalogs from running to a degenerate corner. No taper.
_BOUNDS = (
    (-20.0, 10.0),
    (math.log(1e-3), math.log(0.98)),
    (0.0, 4.0),
    (math.log(1e-4), math.log(1.0)),
    (0.02, 1.0),
    (math.log(1e-2), math.log(400.0)),
    (0.0, 2.5),
    (math.log(0.1), math.log(3.0)),
    (math.inf, math.inf),
)


@dataclass(frozen=True)
class EtasParameters:
    """A fitted space-time ETAS model (formulas in `etas_law`).

    Attributes
    ----------
    mu : float
        Background events per day in the box.
    k, alpha : float
        Direct offspring of magnitude m: k exp(alpha (m - m0)).
    c, p : float
        Omori law, days.
    d, gamma, q : float
        Spatial kernel, d in km2.
    m0, magnitude_max, b : float
        Gutenberg-Richter law of the magnitudes, truncated at magnitude_max.
    branching_ratio : float
        Mean number of direct offspring of an event over infinite time and space; at most 0.98.
    log_likelihood : float
        Of the training targets; times in days, places in km.
    n_targets, n_parents : int
        Events of the box in the training window; all events whose triggering is counted.
    rounds : int
        Rounds of declustering.
    converged : bool
        Whether the last maximisation ended by its tolerance.
    at_bound : tuple of str
        Parameters that stopped at a bound, by the names of `etas_law.NAMES`.
    standard_errors : mapping
        Of the fitted (mostly logarithmic) parameters, from the Hessian; NaN where one is at a bound.
    truncation : str
        Which pairs were left out.
    visibility : tuple of float, or None
        f, g, h, sigma of `detection.Visibility` for ETAS-I; None for ETAS.
    """

    mu: float
    k: float
    alpha: float
    c: float
    p: float
    d: float
    gamma: float
    q: float
    m0: float
    magnitude_max: float
    b: float
    branching_ratio: float
    log_likelihood: float
    n_targets: int
    n_parents: int
    rounds: int
    converged: bool
    at_bound: tuple[str, ...]
    standard_errors: Mapping[str, float]
    truncation: str
    visibility: tuple[float, ...] | None = None

    @property
    def theta(self) -> Floats:
        """The parameters as the likelihood takes them (9,), in the order of `etas_law.NAMES`."""
        log_mean, _ = mean_productivity(self.alpha, self.b * math.log(10.0), self.magnitude_max - self.m0)
        return np.array(
            [
                math.log(self.mu), math.log(self.k) + log_mean, self.alpha, math.log(self.c), self.p - 1.0,
                math.log(self.d), self.gamma, math.log(self.q - 1.0), math.inf,
            ]
        )  # fmt: skip


@dataclass(frozen=True)
class EtasModel:
    """Parameters, and the share of the background in each cell (lat, lon), whose sum is 1."""

    parameters: EtasParameters
    background: Floats

    def to_json(self) -> str:
        """Return JSON; numbers keep all their digits, NaN is written as null."""
        content = asdict(self.parameters)
        content["standard_errors"] = {
            name: None if math.isnan(value) else value
            for name, value in self.parameters.standard_errors.items()
        }
        return json.dumps({"parameters": content, "background": self.background.tolist()}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "EtasModel":
        """Return the model that `to_json` wrote; raises ValueError on anything else."""
        try:
            content = json.loads(text)
            fields = content["parameters"]
            fields["at_bound"] = tuple(fields["at_bound"])
            if fields.get("visibility") is not None:
                fields["visibility"] = tuple(fields["visibility"])
            errors = fields["standard_errors"].items()
            fields["standard_errors"] = {name: math.nan if v is None else float(v) for name, v in errors}
            return cls(EtasParameters(**fields), np.asarray(content["background"], dtype=np.float64))
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"not an ETAS model in JSON: {error}") from error


TRUNCATION = "no pair is left out"


def problem_of(
    events: Events, plane: Plane, region: Region, window: tuple[float, float], beta: float
) -> Problem:
    """Return the likelihood of the events of the box in a window, days, under a uniform background; all trigger."""
    m = events.magnitude - region.magnitude_completeness
    return Problem(
        t=events.days,
        x=events.x,
        y=events.y,
        m=m,
        target=events.inside & (events.days >= window[0]),
        background=np.full(m.size, 1.0 / plane.area),
        reach2=np.full(m.size, math.inf),
        start=window[0],
        end=window[1],
        box=plane.box,
        beta=beta,
        m_range=max(region.magnitude_max - region.magnitude_completeness, float(m.max())),
    )


def as_seen(problem: Problem, m0: float, law: Visibility, alpha: float) -> Problem:
    """Return the likelihood of what was seen: its parents stand for others, and less offspring is expected."""
    mu = mu_at(problem.t, problem.places, problem.m, m0, law)
    missed = problem.unseen
    if missed is None:
        window = (problem.start, problem.end)
        missed = unseen(problem.t, problem.places, problem.m, m0, law, window, problem.beta)
    return problem._replace(
        stands_for=stands_for(problem.m, mu, law.sigma, alpha, problem.beta),
        unseen=missed,
    )


def fit_etas(
    catalog: xr.Dataset,
    region: Region,
    rounds: int = 3,
    sees_less: bool = False,
    start: EtasModel | None = None,
) -> EtasModel:
    """Return ETAS fitted on [etas_start, train_end), with a background from stochastic declustering.

    The likelihood is maximised under a uniform background; then, `rounds` times, each target's probability to be
    background is mu u / lambda (Zhuang et al. 2002), u becomes the smoothed density of the targets with
    these weights (own kernel left out), and the likelihood is maximised again. Earlier events and those in the margin
    trigger, and are no targets. Of ETAS-I what large events hide is fitted to the magnitudes first (`fit_visibility`),
    and parents stand for the unseen with alpha of the round before.

    Parameters
    ----------
    catalog : Dataset (event) of versions
        Read as known at train_end: later knowledge does not enter.
    region : Region
        Box, margin, completeness, dates.
    rounds : int
        Rounds of declustering.
    sees_less : bool
        Fit ETAS-I: after large events the catalog is taken to lack small ones (see `detection`).
    start : EtasModel, optional
        Where the maximisation starts: a similar fit saves time.

    Raises
    ------
    ValueError
        If fewer than 50 targets are there.
    """
    window = training_window(region)
    events = select_events(known_at(catalog, np.datetime64(region.split.train_end, "ns")), region)
    events = events.take(events.days < window[1])
    step = magnitude_step(events.magnitude)
    b = b_value(events.magnitude, region.magnitude_completeness, step).value
    plane = Plane.of(region)
    problem = problem_of(events, plane, region, window, b * math.log(10.0))
    law = None
    if sees_less:
        m0 = region.magnitude_completeness
        law = fit_visibility(problem.t, problem.places, problem.m, m0, problem.beta)
        problem = as_seen(problem, m0, law, float(_START[2]))
    targets = problem.target
    n = int(targets.sum())
    if n < 50:
        raise ValueError(
            f"region {region.name!r}: ETAS expects 50 targets or more with M >= {region.magnitude_completeness:g} "
            f"in [{region.etas_start}, {region.split.train_end}), found {n}"
        )
    theta = _START.copy() if start is None else start.parameters.theta
    if start is None:
        theta[0] = math.log(0.5 * n / (window[1] - window[0]))
    pairs = problem.pairs
    found = maximise(theta, problem, _BOUNDS, 1e-5, pairs)
    chosen = events.take(targets)
    weight = np.ones(n)
    for done in range(1, rounds + 1):
        _, _, rate = log_likelihood(found.theta, problem, pairs)
        weight = math.exp(found.theta[0]) * problem.background[targets] / rate
        background = problem.background.copy()
        background[targets] = smoothed_density(chosen, weight, plane, NEIGHBOURS)
        problem = problem._replace(background=background)
        if law is not None:
            problem = as_seen(problem, region.magnitude_completeness, law, float(found.theta[2]))
            pairs = problem.pairs
        found = maximise(found.theta, problem, _BOUNDS, 1e-10 if done == rounds else 1e-6, pairs)
        log.info(
            "ETAS %s: log-likelihood %.3f, branching ratio %.3f",
            region.name, found.value, math.exp(found.theta[1]),
        )  # fmt: skip
    theta = found.theta
    log_mean, _ = mean_productivity(float(theta[2]), problem.beta, problem.m_range)
    parameters = EtasParameters(
        mu=math.exp(theta[0]),
        k=math.exp(theta[1] - log_mean),
        alpha=float(theta[2]),
        c=math.exp(theta[3]),
        p=1.0 + float(theta[4]),
        d=math.exp(theta[5]),
        gamma=float(theta[6]),
        q=1.0 + math.exp(theta[7]),
        m0=region.magnitude_completeness,
        magnitude_max=region.magnitude_completeness + problem.m_range,
        b=b,
        branching_ratio=math.exp(theta[1]),
        log_likelihood=found.value,
        n_targets=n,
        n_parents=int(events.days.size),
        rounds=rounds,
        converged=found.converged,
        at_bound=tuple(np.array(NAMES)[at_bound(theta, _BOUNDS)].tolist()),
        standard_errors=standard_errors(theta, problem, _BOUNDS, pairs),
        truncation=TRUNCATION,
        visibility=None if law is None else tuple(law),
    )
    return EtasModel(parameters, smoothed_cells(chosen, weight, plane, NEIGHBOURS))
