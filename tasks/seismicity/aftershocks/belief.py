"""How productive a sequence is and how fast it decays: what ETAS expects of it, against what came so far."""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from tasks.regions import Region
from tasks.seismicity.aftershocks.sequence import Sequence, Zone, zone_of
from tasks.seismicity.catalog import Events, training_window
from tasks.seismicity.etas import EtasModel, EtasParameters
from tasks.seismicity.geometry import Plane
from tasks.seismicity.incompleteness import completeness_at
from tasks.seismicity.kernels import cell_masses

Floats = NDArray[np.float64]

FIRST_DAYS: Final = 100.0
FEWEST: Final = 5
_YEAR: Final = 365.0
_LOG_FACTOR: Final = np.linspace(-4.0, 4.0, 161)
# No node lies at p = 1 for any p of a fit with less than 5 digits.
_STEEPER: Final = np.linspace(-0.5, 0.5, 21) + 1e-6
_STEPS_PER_LARGE_EVENT = 40


class Spread(NamedTuple):
    """How sequences differ from the fitted model: normal laws of ln(factor) and of p less the model's p.

    The defaults stand where a catalog has too few sequences to tell.
    """

    factor_mean: float = 0.0
    factor_sd: float = 0.7
    steeper_mean: float = 0.0
    steeper_sd: float = 0.1

    def log_prior(self) -> Floats:
        """Return ln(probability) of the nodes (steeper, factor)."""
        steeper = -0.5 * ((_STEEPER - self.steeper_mean) / self.steeper_sd) ** 2
        factor = -0.5 * ((_LOG_FACTOR - self.factor_mean) / self.factor_sd) ** 2
        return np.asarray(
            steeper[:, None] - np.logaddexp.reduce(steeper) + factor - np.logaddexp.reduce(factor)
        )


class Evidence(NamedTuple):
    """What a window says of a sequence: a Poisson process with rate other + factor * own, `own` by p.

    Attributes
    ----------
    own : array (steeper, target), 1/day
        Rates at the observed events of the sequence's direct offspring.
    other : array (target,), 1/day
        Rates of everything else.
    own_integral : array (steeper,)
    other_integral : float
        Expected numbers in the window.
    """

    own: Floats
    other: Floats
    own_integral: Floats
    other_integral: float

    def log_likelihood(self) -> Floats:
        """Return the log-likelihood at the nodes (steeper, factor)."""
        factor = np.exp(_LOG_FACTOR)
        value = -factor * self.own_integral[:, None] - self.other_integral
        for own, other in zip(self.own.T, self.other, strict=True):
            value += np.log(other + factor * own[:, None])
        return np.asarray(value)


class Posterior(NamedTuple):
    """What is believed of a sequence.

    Attributes
    ----------
    log_factor, steeper, weight : array (node,)
        ln(factor) one day after each event, p less the model's p, and the probability of both.
    n_events : int
        Events that it was learnt from.
    """

    log_factor: Floats
    steeper: Floats
    weight: Floats
    n_events: int

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return n factors and n steepnesses, stratified along the cumulative probability of the nodes."""
        strata = (np.arange(n) + rng.random(n)) / n
        node = np.searchsorted(np.cumsum(self.weight), strata * self.weight.sum())
        node = np.minimum(node, self.weight.size - 1)
        order = rng.permutation(n)
        return np.exp(self.log_factor[node])[order], self.steeper[node][order]

    def moments(self) -> tuple[float, float, float, float]:
        """Return mean and standard deviation of the factor, and of p less the model's."""
        factor = np.exp(self.log_factor)
        means = [float(self.weight @ v) for v in (factor, factor**2, self.steeper, self.steeper**2)]
        sds = [math.sqrt(max(means[k + 1] - means[k] ** 2, 0.0)) for k in (0, 2)]
        return means[0], sds[0], means[2], sds[1]


def generic() -> Posterior:
    """Return the certainty that a sequence behaves as the fitted model says."""
    return Posterior(np.zeros(1), np.zeros(1), np.ones(1), 0)


def tilted_omori(parameters: EtasParameters, steeper: float) -> tuple[float, float]:
    """Return (scale, p) of the decay scale * (t + c)^-p, 1/day: the model's, `steeper`, and equal after a day.

    A factor then compares numbers about a day after an event, and says little of how fast they decay; p may be below 1.
    """
    p = parameters.p + steeper
    scale = (parameters.p - 1.0) * parameters.c ** (parameters.p - 1.0) * (1.0 + parameters.c) ** steeper
    return scale, p


def _shares_in(zone: Zone, events: Events, plane: Plane, p: EtasParameters) -> Floats:
    """Return which share of each event's direct offspring falls into the zone, by cells whose centre lies there."""
    margin = math.ceil(
        max(zone.box[1] - plane.east, zone.box[3] - plane.north, 0.0) / min(plane.dx, plane.dy)
    )
    edges_x, edges_y = plane.edges(margin)
    x, y = np.meshgrid(0.5 * (edges_x[1:] + edges_x[:-1]), 0.5 * (edges_y[1:] + edges_y[:-1]))
    inside = zone.holds(x.ravel(), y.ravel())
    scale = p.d * np.exp(p.gamma * (events.magnitude - p.m0))
    masses = cell_masses(events.x, events.y, scale, p.q - 1.0, edges_x, edges_y)
    return np.asarray(masses[:, inside].sum(axis=1))


def _background_in(zone: Zone, model: EtasModel, plane: Plane) -> float:
    edges_x, edges_y = plane.edges()
    x, y = np.meshgrid(0.5 * (edges_x[1:] + edges_x[:-1]), 0.5 * (edges_y[1:] + edges_y[:-1]))
    share = model.background[zone.holds(x, y)].sum() / model.background.sum()
    return float(model.parameters.mu * share)


def evidence(
    model: EtasModel,
    plane: Plane,
    events: Events,
    members: NDArray[np.bool_],
    zone: Zone,
    window: tuple[float, float],
) -> Evidence:
    """Return what the events of (window] in the zone say of the members' productivity.

    Rates are those of the zone as a whole. Events below the magnitude from which the catalog is complete at their time
    are left out, and the expected number counts only the share of magnitudes above it, so that the silence
    after a large event is not taken for a lack of aftershocks. What smaller, missed events would have triggered is put
    down to those that were seen.

    Parameters
    ----------
    model : EtasModel
    plane : Plane
    events : Events
        History and window.
    members : bool array (event,)
        Parents whose offspring carries the factor.
    zone : Zone
    window : (float, float), days
        Open at its start, so that a trigger at the start is no target.
    """
    p = model.parameters
    start, end = window
    past = events.days < end
    events, members = events.take(past), members[past]
    weight = p.k * np.exp(p.alpha * (events.magnitude - p.m0)) * _shares_in(zone, events, plane, p)
    background = _background_in(zone, model, plane)
    complete = completeness_at(events.days, events.days, events.magnitude, p.m0)
    target = (events.days > start) & zone.holds(events.x, events.y) & (events.magnitude >= complete - 1e-9)
    times = events.days[target]
    age = times[:, None] - events.days[None]
    edges = _edges(events, start, end, p)
    middle = 0.5 * (edges[1:] + edges[:-1])
    seen = 10.0 ** (-p.b * (completeness_at(middle, events.days, events.magnitude, p.m0) - p.m0))
    ages = np.maximum(edges[:, None] - events.days[None], 0.0) + p.c

    def rates(steeper: float, parents: NDArray[np.bool_]) -> tuple[Floats, float]:
        scale, power = tilted_omori(p, steeper)
        at = np.where(age[:, parents] > 0.0, scale * (np.maximum(age[:, parents], 0.0) + p.c) ** -power, 0.0)
        born = scale * np.diff(ages[:, parents] ** (1.0 - power), axis=0) / (1.0 - power)
        return at @ weight[parents], float(seen @ (born @ weight[parents]))

    by_steeper = [rates(float(steeper), members) for steeper in _STEEPER]
    other, other_integral = rates(0.0, ~members)
    # The share of magnitudes that are seen is left out at the targets: it does not depend on what is sought.
    return Evidence(
        own=np.array([at for at, _ in by_steeper]),
        other=other + background,
        own_integral=np.array([integral for _, integral in by_steeper]),
        other_integral=other_integral + float(background * (seen @ np.diff(edges))),
    )


def _edges(events: Events, start: float, end: float, p: EtasParameters) -> Floats:
    """Return times from start to end, dense after each event that can hide others."""
    large = events.days[(events.magnitude >= p.m0 + 1.0) & (events.days < end)]
    ages = np.concatenate([[0.0], np.geomspace(1e-4, max(end - start, 2e-4), _STEPS_PER_LARGE_EVENT)])
    recent = large[large > start - 1.0]
    edges = np.concatenate([[start, end], start + ages, (recent[:, None] + ages).ravel()])
    return np.unique(edges[(edges >= start) & (edges <= end)])


def posterior(found: Evidence, spread: Spread) -> Posterior:
    """Return what is believed of a sequence, given how others differed from the model."""
    weight = spread.log_prior() + found.log_likelihood()
    weight = np.exp(weight - np.logaddexp.reduce(weight, axis=None)).ravel()
    steeper, log_factor = np.meshgrid(_STEEPER, _LOG_FACTOR, indexing="ij")
    return Posterior(log_factor.ravel(), steeper.ravel(), weight, int(found.other.size))


def fit_spread(sequences: list[Evidence]) -> Spread:
    """Return the laws under which past sequences are most likely together (empirical Bayes).

    With fewer than 5 sequences: the defaults.
    """
    if len(sequences) < FEWEST:
        return Spread()
    likelihoods = np.array([s.log_likelihood() for s in sequences])

    def loss(theta: Floats) -> float:
        prior = Spread(theta[0], math.exp(theta[1]), theta[2], math.exp(theta[3])).log_prior()
        return -float(np.logaddexp.reduce(likelihoods + prior, axis=(1, 2)).sum())

    bounds = [(-1.5, 1.5), (math.log(0.1), math.log(1.5)), (-0.3, 0.3), (math.log(0.03), math.log(0.3))]
    found = minimize(
        loss, np.array([0.0, math.log(0.5), 0.0, math.log(0.1)]), method="L-BFGS-B", bounds=bounds
    )
    return Spread(float(found.x[0]), math.exp(found.x[1]), float(found.x[2]), math.exp(found.x[3]))


def sequence_evidence(model: EtasModel, plane: Plane, sequence: Sequence) -> Evidence:
    """Return what a sequence so far says of its productivity."""
    window = (sequence.origin, sequence.issue)
    return evidence(model, plane, sequence.events, sequence.members, sequence.zone, window)


def past_sequences(model: EtasModel, events: Events, region: Region) -> list[Evidence]:
    """Return what the first 100 days of each training sequence say of its productivity.

    A sequence starts with an event of the box, 1.5 magnitudes or more above completeness, that is no aftershock (none
    larger within a year before, in whose zone it lies) and no foreshock (none larger in its zone in these 100 days).

    Parameters
    ----------
    model : EtasModel
        Fitted on the training window.
    events : Events
        As known at the end of training.
    region : Region
    """
    start, end = training_window(region)
    plane = Plane.of(region)
    zones = {
        i: zone_of(events, int(i), region)
        for i in np.flatnonzero(events.magnitude >= model.parameters.m0 + 1.5)
    }
    found = []
    for i, zone in zones.items():
        day = events.days[i]
        if not (events.inside[i] and start <= day and day + FIRST_DAYS <= end):
            continue
        larger = [j for j in zones if events.magnitude[j] > events.magnitude[i]]
        is_aftershock = any(
            day - _YEAR <= events.days[j] <= day and zones[j].holds(events.x[i], events.y[i]) for j in larger
        )
        is_foreshock = any(
            day <= events.days[j] <= day + FIRST_DAYS and zone.holds(events.x[j], events.y[j]) for j in larger
        )
        if is_aftershock or is_foreshock:
            continue
        members = (events.days >= day) & zone.holds(events.x, events.y)
        found.append(evidence(model, plane, events, members, zone, (day, day + FIRST_DAYS)))
    return found
