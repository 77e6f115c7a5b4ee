"""Which events a network sees near and after large ones, in space and time: what ETAS-I adds to ETAS.

An event of magnitude m is seen with probability Phi((m - mu(t)) / sigma) (Ogata and Katsura 1993), where, t days after
an event of magnitude M and within some rupture lengths of it, mu(t) = f M - g - h log10(t) (Helmstetter, Kagan and
Jackson 2006); of several events the highest counts. ETAS-I (after Mizrahi, Nandan and Wiemer 2021,
doi:10.1785/0220200231) fits the rate of all events to those that were seen:

- the expected number of targets leaves out the offspring that falls where and when it is not seen (`Unseen`);
- a parent that was seen triggers for those of its moment as well that were not.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtr

from tasks.seismicity.incompleteness import SOUTHERN_CALIFORNIA, Incompleteness, hidden_time

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Places = tuple[Floats, Floats, Floats]

# Distance to which a large event hides smaller ones: rupture lengths, at least so many km.
HIDING_LENGTHS, HIDING_KM = 2.0, 50.0
# Beyond so many sigma above mu all is seen.
_SIGMAS: Final = 2.5
# A parent older than so many times the length of an episode of hidden time sees it as one moment: error below 0.1 %.
_FAR: Final = 20.0
# Where less than one in twenty is seen, luck would decide.
_SMALLEST_SHARE: Final = 0.05
# What hides for less than four minutes is left aside: of small events there are too many.
_SHORTEST_DAYS: Final = 3e-3
_NARROWEST, _WIDEST = 0.05, 0.6
# The generic g counts like one observation of this standard deviation.
_G_DEVIATION: Final = 1.0


class Visibility(NamedTuple):
    """What one large event hides: mu(t) = f M - g - h log10(t), t in days, blurred by sigma."""

    f: float = SOUTHERN_CALIFORNIA.f
    g: float = SOUTHERN_CALIFORNIA.g
    h: float = SOUTHERN_CALIFORNIA.h
    sigma: float = 0.2

    def hiding(self, m: Floats, m0: float) -> tuple[Integers, Floats, Floats]:
        """Return which events, m above m0, hide others, for how long (days), and within which squared distance, km2."""
        lasts = self.sharp.duration_days(m + m0, m0 - _SIGMAS * self.sigma)
        large = np.flatnonzero((lasts > _SHORTEST_DAYS) & (m > 0.0))
        return large, lasts[large], hiding_radius(m[large] + m0) ** 2

    @property
    def sharp(self) -> Incompleteness:
        """The law of mu."""
        return Incompleteness(self.f, self.g, self.h)


class Unseen(NamedTuple):
    """Quadrature of the offspring that is not seen, over pairs of a parent and a moment of hidden time.

    Attributes
    ----------
    parent : int array (pair,)
        Row of the event.
    age : array (pair,), days
        Of the parent at that moment.
    weight : array (pair,), days
        Length of the moment times the share of events not seen at the parent's place.
    """

    parent: Integers
    age: Floats
    weight: Floats


def hiding_radius(magnitude: Floats) -> Floats:
    """Return how far an event hides others, km; rupture lengths of Wells and Coppersmith (1994), all kinds."""
    return np.asarray(np.maximum(HIDING_LENGTHS * 10.0 ** (0.59 * magnitude - 2.44), HIDING_KM))


def seen_share(mu: Floats, sigma: float, beta: float) -> Floats:
    """Return the share of events above m0 that is seen, mu (...) above m0, magnitudes of density beta e^(-beta m)."""
    mu = np.maximum(mu, -1e3)
    tail = np.exp(-beta * mu + 0.5 * (beta * sigma) ** 2 + log_ndtr(mu / sigma - beta * sigma))
    return np.asarray(ndtr(-mu / sigma) + tail)


def stands_for(m: Floats, mu: Floats, sigma: float, alpha: float, beta: float) -> Floats:
    """Return how many parents of its productivity each event (event,) stands for: itself and its share of the unseen.

    The productivity of those not seen, e^(alpha m) each, is shared equally by those that were seen at that moment.
    """
    slope = max(beta - alpha, 0.05)
    unseen = beta / slope * (1.0 - seen_share(mu, sigma, slope))
    return np.asarray(
        1.0 + unseen / np.maximum(seen_share(mu, sigma, beta), _SMALLEST_SHARE) * np.exp(-alpha * m)
    )


@njit(cache=True, nogil=True)
def _near(x: Floats, y: Floats, z: Floats, i: int, j: int) -> float:
    """Return the squared distance of two events."""
    dx, dy, dz = x[i] - x[j], y[i] - y[j], z[i] - z[j]
    squared: float = dx * dx + dy * dy + dz * dz
    return squared


@njit(cache=True, nogil=True)
def _mu_at(
    t: Floats, x: Floats, y: Floats, z: Floats, large: Integers, m: Floats, last: Floats, radius2: Floats,
    law: Floats, enter: Integers, leave: Integers, out: Floats,
) -> None:  # fmt: skip
    """Raise mu (event,) above m0; `large` hide for `last` days within `radius2`; law f, g, h, m0."""
    first = 0
    longest = last.max() if last.size else 0.0
    for i in range(t.size):
        while first < large.size and t[large[first]] + longest <= t[i]:
            first += 1
        for k in range(first, large.size):
            j = large[k]
            since = t[i] - t[j]
            if since <= 0.0:
                break
            known = enter[j] <= enter[i] and enter[i] < leave[j]
            if known and since < last[k] and _near(x, y, z, i, j) <= radius2[k]:
                raised = law[0] * (m[j] + law[3]) - law[1] - law[2] * math.log10(since) - law[3]
                out[i] = max(out[i], min(raised, m[j]))


@njit(cache=True, nogil=True)
def _unseen_share(mu: float, sigma: float, beta: float) -> float:
    """Return 1 - `seen_share`."""
    seen = 0.5 * math.erfc(mu / sigma / math.sqrt(2.0))
    inner = 0.5 * math.erfc(-(mu / sigma - beta * sigma) / math.sqrt(2.0))
    if inner > 0.0:
        seen += math.exp(-beta * mu + 0.5 * (beta * sigma) ** 2) * inner
    return max(0.0, 1.0 - seen)


@njit(cache=True, nogil=True)
def _pairs(
    t: Floats, x: Floats, y: Floats, z: Floats, m: Floats, large: Integers, last: Floats, radius2: Floats,
    law: Floats, nodes: Floats, weights: Floats, episode: Integers, sigma: float, beta: float,
) -> tuple[Integers, Floats, Floats]:  # fmt: skip
    """Return parent, age and weight of pairs; nodes of episode e are [episode[e], episode[e + 1])."""
    parent, age, weight = [0], [0.0], [0.0]
    active, near = np.empty(large.size, np.int64), np.empty(large.size, np.int64)
    for e in range(episode.size - 1):
        begin, stop = episode[e], episode[e + 1]
        start, end = nodes[begin], nodes[stop - 1]
        hiding = 0
        for k in range(large.size):
            if t[large[k]] >= end:
                break
            if t[large[k]] + last[k] > start:
                active[hiding] = k
                hiding += 1
        for j in range(t.size):
            if t[j] >= end:
                break
            count = 0
            for n in range(hiding):
                k = active[n]
                if _near(x, y, z, large[k], j) <= radius2[k]:
                    near[count] = k
                    count += 1
            if count == 0:
                continue
            is_far = start - t[j] > _FAR * (end - start)
            mass = moment = 0.0
            for node in range(begin, stop):
                since_parent = nodes[node] - t[j]
                if since_parent <= 0.0:
                    continue
                mu = -1e3
                for n in range(count):
                    k = near[n]
                    since = nodes[node] - t[large[k]]
                    if since > 0.0 and since < last[k]:
                        raised = (
                            law[0] * (m[large[k]] + law[3]) - law[1] - law[2] * math.log10(since) - law[3]
                        )
                        mu = max(mu, min(raised, m[large[k]]))
                if mu < -_SIGMAS * sigma:
                    continue
                missed = weights[node] * _unseen_share(mu, sigma, beta)
                if is_far:
                    mass += missed
                    moment += missed * since_parent
                else:
                    parent.append(j)
                    age.append(since_parent)
                    weight.append(missed)
            if mass > 0.0:
                parent.append(j)
                age.append(moment / mass)
                weight.append(mass)
    return np.array(parent)[1:], np.array(age)[1:], np.array(weight)[1:]


def mu_at(
    t: Floats,
    places: Places,
    m: Floats,
    m0: float,
    law: Visibility,
    seen: tuple[Integers, Integers] | None = None,
) -> Floats:
    """Return mu above m0 (event,) at each event's time and place; far below 0 where nothing is hidden.

    Parameters
    ----------
    t : array (event,), days, ascending
    places : arrays (event,) x, y, z, km
        In the plane, z 0; or on a sphere, whose chords stand for distances.
    m : array (event,)
        Magnitude above m0.
    m0 : float
        Completeness in quiet times.
    law : Visibility
    seen : (array (event,), array (event,)), optional
        When each row enters and leaves a list of versions. A row is then judged by those that were there when it
        entered, so that nothing learnt later changes it.
    """
    large, last, radius2 = law.hiding(m, m0)
    enter, leave = (np.zeros(t.size, np.int64), np.ones(t.size, np.int64)) if seen is None else seen
    out = np.full(t.size, -1e3)
    _mu_at(t, *places, large, m, last, radius2, np.array([law.f, law.g, law.h, m0]), enter, leave, out)
    return out


def unseen(
    t: Floats, places: Places, m: Floats, m0: float, law: Visibility, window: tuple[float, float], beta: float
) -> Unseen:
    """Return the quadrature of what is not seen in a window, days; beta is b ln 10, the rest as for `mu_at`."""
    large, last, radius2 = law.hiding(m, m0)
    nodes, weights, _ = hidden_time(t[large], m[large] + m0, window[1], m0 - _SIGMAS * law.sigma, law.sharp)
    inside = nodes >= window[0]
    nodes, weights = nodes[inside], weights[inside]
    if not nodes.size:
        return Unseen(np.empty(0, np.int64), np.empty(0), np.empty(0))
    # An episode is hidden time without a hole; eight nodes make a panel.
    holes = np.flatnonzero(nodes[1:] - nodes[:-1] > 4.0 * np.maximum(weights[1:], weights[:-1])) + 1
    episode = np.concatenate([[0], holes, [nodes.size]]).astype(np.int64)
    terms = np.array([law.f, law.g, law.h, m0])
    return Unseen(
        *_pairs(t, *places, m, large, last, radius2, terms, nodes, weights, episode, law.sigma, beta)
    )


def fit_visibility(
    t: Floats,
    places: Places,
    m: Floats,
    m0: float,
    beta: float,
    generic: Incompleteness = SOUTHERN_CALIFORNIA,
) -> Visibility:
    """Return g and sigma of the largest likelihood of the magnitudes that were seen after larger events.

    The magnitude of an event that was seen has the density beta e^(-beta m) Phi((m - mu) / sigma) / `seen_share`,
    whatever the rate; f and h are the generic ones, and so is g, with a deviation of one unit, before there are data.
    Networks differ by more than a unit, and a dense one sees in minutes what the generic law hides for hours.

    Parameters
    ----------
    t, places, m, m0
        As for `mu_at`.
    beta : float
        b ln 10.
    """
    widest = Visibility(generic.f, generic.g - 2.0, generic.h, _WIDEST)
    raised = mu_at(t, places, m, m0, widest)
    known = raised > -1e2
    raised, own = raised[known] + widest.g, m[known]

    def cost(point: Floats) -> float:
        g, sigma = float(point[0]), math.exp(float(point[1]))
        mu = raised - g
        likely = log_ndtr((own - mu) / sigma) - np.log(np.maximum(seen_share(mu, sigma, beta), 1e-300))
        return 0.5 * ((g - generic.g) / _G_DEVIATION) ** 2 - float(likely.sum())

    bounds = ((generic.g - 2.0, generic.g + 4.0), (math.log(_NARROWEST), math.log(_WIDEST)))
    starts = [np.array([generic.g + step, math.log(0.2)]) for step in (0.0, 1.0, 2.0)]
    best = min((minimize(cost, s, method="Nelder-Mead", bounds=bounds) for s in starts), key=lambda r: r.fun)
    return Visibility(generic.f, float(best.x[0]), generic.h, math.exp(float(best.x[1])))
