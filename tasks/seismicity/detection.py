"""Which events a network sees near and after large ones, in space and time: what ETAS-I adds to ETAS.

After an event of magnitude M a catalog is complete, within some rupture lengths, only from
Mc(t) = f M - g - h log10(t) on (Helmstetter, Kagan and Jackson 2006). ETAS-I (after Mizrahi, Nandan and Wiemer 2021,
doi:10.1785/0220200231) fits the rate of all events to those that were seen:

- an event below Mc(t) at its time and place is no target and triggers nothing by itself;
- the expected number of targets leaves out the offspring that falls where and when it is not seen (`Unseen`);
- one that was seen stands for those of its moment that were not, and triggers for them as well (`stands_for`).
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.seismicity.incompleteness import SOUTHERN_CALIFORNIA, Incompleteness, hidden_time

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Distance to which a large event hides smaller ones: rupture lengths, at least so many km.
HIDING_LENGTHS, HIDING_KM = 2.0, 50.0
# A parent older than so many times the length of an episode of hidden time sees it as one moment: error below 0.1 %.
_FAR = 20.0
# A magnitude that was seen where one in a thousand is does not stand for more than that.
_SMALLEST_SHARE = 1e-3


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


class Detection(NamedTuple):
    """What was seen of a catalog.

    Attributes
    ----------
    complete : array (event,)
        Mc above m0 at each event's time and place, from earlier ones; 0 where nothing is hidden.
    unseen : Unseen
        Within the window.
    """

    complete: Floats
    unseen: Unseen


def seen_share(complete: Floats, beta: float, m_range: float) -> Floats:
    """Return the share of events with magnitudes above `complete` (...), above m0, of the truncated law."""
    rest = math.exp(-beta * m_range)
    share = (np.exp(-beta * np.asarray(complete)) - rest) / (1.0 - rest)
    return np.asarray(np.clip(share, 0.0, 1.0))


def hiding_radius(magnitude: Floats) -> Floats:
    """Return how far an event hides others, km; rupture lengths of Wells and Coppersmith (1994), all kinds."""
    return np.asarray(np.maximum(HIDING_LENGTHS * 10.0 ** (0.59 * magnitude - 2.44), HIDING_KM))


def stands_for(m: Floats, complete: Floats, alpha: float, beta: float, m_range: float) -> Floats:
    """Return how many parents of its own productivity each event (event,) stands for: itself and those not seen.

    0 for an event below Mc, which another one stands for.

    Parameters
    ----------
    m, complete : array (event,)
        Magnitude and Mc above m0.
    alpha, beta, m_range : float
        Productivity exponent; magnitude law as in `etas_likelihood.Problem`.
    """
    weight = np.ones(m.size)
    hidden = complete > 0.0
    c = complete[hidden]
    share = np.maximum(seen_share(c, beta, m_range), _SMALLEST_SHARE)
    # Mean of e^(alpha M) over magnitudes below Mc, times their share.
    rate = beta - alpha
    below = c if abs(rate) < 1e-9 else -np.expm1(-rate * c) / rate
    unseen = beta * below / -math.expm1(-beta * m_range)
    weight[hidden] = np.where(m[hidden] >= c, 1.0 + unseen / share * np.exp(-alpha * m[hidden]), 0.0)
    return weight


@njit(cache=True, nogil=True)
def _near(x: Floats, y: Floats, z: Floats, i: int, j: int) -> float:
    """Return the squared distance of two events."""
    dx, dy, dz = x[i] - x[j], y[i] - y[j], z[i] - z[j]
    squared: float = dx * dx + dy * dy + dz * dz
    return squared


@njit(cache=True, nogil=True)
def _complete_at(
    t: Floats, x: Floats, y: Floats, z: Floats, large: Integers, m: Floats, last: Floats, radius2: Floats, law: Floats,
    enter: Integers, leave: Integers, out: Floats,
) -> None:  # fmt: skip
    """Write Mc (event,) above m0; `large` hide for `last` days within `radius2`; law f, g, h, m0."""
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
def _pairs(
    t: Floats, x: Floats, y: Floats, z: Floats, m: Floats, large: Integers, last: Floats, radius2: Floats, law: Floats,
    nodes: Floats, weights: Floats, episode: Integers, beta: float, rest: float,
) -> tuple[Integers, Floats, Floats]:  # fmt: skip
    """Return parent, age and weight of pairs; nodes of episode e are [episode[e], episode[e + 1])."""
    parent, age, weight = [0], [0.0], [0.0]
    near = np.empty(large.size, np.int64)
    for e in range(episode.size - 1):
        begin, stop = episode[e], episode[e + 1]
        start, end = nodes[begin], nodes[stop - 1]
        for j in range(t.size):
            if t[j] >= end:
                break
            count = 0
            for k in range(large.size):
                i = large[k]
                over = t[i] + last[k] > start and t[i] < end
                if over and _near(x, y, z, i, j) <= radius2[k]:
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
                complete = 0.0
                for n in range(count):
                    k = near[n]
                    since = nodes[node] - t[large[k]]
                    if since > 0.0 and since < last[k]:
                        raised = (
                            law[0] * (m[large[k]] + law[3]) - law[1] - law[2] * math.log10(since) - law[3]
                        )
                        complete = max(complete, min(raised, m[large[k]]))
                if complete <= 0.0:
                    continue
                missed = weights[node] * (1.0 - (math.exp(-beta * complete) - rest) / (1.0 - rest))
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


def _hiding(m: Floats, m0: float, law: Incompleteness) -> tuple[Integers, Floats, Floats, Floats]:
    """Return which events hide others, for how long, within which squared distance, and the terms of the law."""
    lasts = law.duration_days(m + m0, m0)
    large = np.flatnonzero(lasts > 0.0)
    return large, lasts[large], hiding_radius(m[large] + m0) ** 2, np.array([law.f, law.g, law.h, m0])


def complete_at(
    t: Floats,
    places: tuple[Floats, Floats, Floats],
    m: Floats,
    m0: float,
    law: Incompleteness = SOUTHERN_CALIFORNIA,
    seen: tuple[Integers, Integers] | None = None,
) -> Floats:
    """Return Mc above m0 (event,) at each event's time and place, raised by larger events before it.

    Parameters
    ----------
    t, places, m, m0, law
        As for `detection`.
    seen : (array (event,), array (event,)), optional
        When each row enters and leaves a list of versions. A row is then judged by those that were there when it
        entered, so that nothing learnt later changes it.
    """
    large, last, radius2, terms = _hiding(m, m0, law)
    enter, leave = (np.zeros(t.size, np.int64), np.ones(t.size, np.int64)) if seen is None else seen
    out = np.zeros(t.size)
    _complete_at(t, *places, large, m, last, radius2, terms, enter, leave, out)
    return out


def detection(
    t: Floats,
    places: tuple[Floats, Floats, Floats],
    m: Floats,
    m0: float,
    window: tuple[float, float],
    beta: float,
    m_range: float,
    law: Incompleteness = SOUTHERN_CALIFORNIA,
) -> Detection:
    """Return what was seen of a catalog in a window.

    Parameters
    ----------
    t : array (event,), days, ascending
    places : arrays (event,) x, y, z, km
        In the plane, z 0; or on a sphere, whose chords stand for distances.
    m : array (event,)
        Magnitude above m0.
    m0 : float
        Completeness in quiet times.
    window : (float, float), days
        In which unseen offspring is counted.
    beta, m_range : float
        As in `etas_likelihood.Problem`.
    law : Incompleteness
        Of one event.
    """
    complete = complete_at(t, places, m, m0, law)
    large, last, radius2, terms = _hiding(m, m0, law)
    nodes, weights, _ = hidden_time(t[large], m[large] + m0, window[1], m0, law)
    inside = nodes >= window[0]
    nodes, weights = nodes[inside], weights[inside]
    return Detection(
        complete, _unseen(t, *places, m, large, last, radius2, terms, nodes, weights, beta, m_range)
    )


def _unseen(
    t: Floats, x: Floats, y: Floats, z: Floats, m: Floats, large: Integers, last: Floats, radius2: Floats, law: Floats,
    nodes: Floats, weights: Floats, beta: float, m_range: float,
) -> Unseen:  # fmt: skip
    if not nodes.size:
        return Unseen(np.empty(0, np.int64), np.empty(0), np.empty(0))
    # An episode is hidden time without a hole; eight nodes make a panel.
    holes = np.flatnonzero(nodes[1:] - nodes[:-1] > 4.0 * np.maximum(weights[1:], weights[:-1])) + 1
    episode = np.concatenate([[0], holes, [nodes.size]]).astype(np.int64)
    rest = math.exp(-beta * m_range)
    return Unseen(*_pairs(t, x, y, z, m, large, last, radius2, law, nodes, weights, episode, beta, rest))
