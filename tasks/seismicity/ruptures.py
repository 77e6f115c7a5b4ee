"""Large events trigger from their ruptures, not from their hypocentres: the anisotropic kernel of ETAS.

The isotropic kernel is averaged along a line through the hypocentre, as long as the rupture (Wells and Coppersmith
1994) and along the fault zone, as the epicentres of earlier events show it. So its integral over the plane stays 1, and
all of the engine works as before: a large event becomes some parents on its rupture that share its productivity.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tasks.seismicity.etas_likelihood import Problem

Floats = NDArray[np.float64]

# Parents on one rupture.
POINTS: Final = 15
# A direction is that of so many earlier events, and of a cloud that is so much longer than wide.
_NEEDED: Final = 20
_ELONGATED: Final = 1.5


def rupture_length(magnitude: Floats) -> Floats:
    """Return the subsurface rupture length, km, of all kinds of faulting (Wells and Coppersmith 1994, table 2A)."""
    return np.asarray(10.0 ** (0.59 * np.asarray(magnitude) - 2.44))


def fault_direction(
    x: Floats, y: Floats, at: tuple[float, float], length: float
) -> tuple[float, float] | None:
    """Return the unit vector (east, north) along which earlier epicentres around a place lie; None if they do not tell.

    Parameters
    ----------
    x, y : array (event,), km
        Earlier events.
    at : (float, float), km
    length : float, km
        Of the rupture: events within one length count.
    """
    dx, dy = x - at[0], y - at[1]
    near = dx**2 + dy**2 <= length**2
    if int(near.sum()) < _NEEDED:
        return None
    values, vectors = np.linalg.eigh(np.cov(np.stack([dx[near], dy[near]])))
    if values[1] < _ELONGATED**2 * max(values[0], 1e-12):
        return None
    return float(vectors[0, 1]), float(vectors[1, 1])


def along_ruptures(problem: Problem, m0: float, smallest: float) -> Problem:
    """Return the likelihood in which events of magnitude `smallest` or larger trigger from points on their ruptures.

    The direction of a rupture follows from what was there before it, so that nothing is known too early. An event whose
    direction is not known stays a point. Targets are the same.

    Raises
    ------
    ValueError
        If the places are on a sphere.
    """
    if problem.z is not None:
        raise ValueError("along_ruptures: expected places in the plane")
    large = np.flatnonzero(problem.m + m0 >= smallest)
    stands = np.ones(problem.t.size) if problem.stands_for is None else problem.stands_for.copy()
    rows, east, north = [], [], []
    for j in large:
        length = float(rupture_length(problem.m[j] + m0))
        before = problem.t < problem.t[j]
        direction = fault_direction(
            problem.x[before], problem.y[before], (float(problem.x[j]), float(problem.y[j])), length
        )
        if direction is None:
            continue
        along = length * (np.arange(POINTS) - (POINTS - 1) / 2) / POINTS
        rows.append(np.full(POINTS, j))
        east.append(along * direction[0])
        north.append(along * direction[1])
    if not rows:
        return problem
    parent = np.concatenate(rows)
    share = stands[parent] / POINTS
    stands[parent] = 0.0
    every = np.concatenate([np.arange(problem.t.size), parent])
    order = np.argsort(problem.t[every], kind="stable")
    moved_x = np.concatenate([np.zeros(problem.t.size), *east])
    moved_y = np.concatenate([np.zeros(problem.t.size), *north])
    is_event = np.arange(every.size) < problem.t.size
    if problem.unseen is not None:
        raise ValueError("along_ruptures: expected a likelihood of all events, found one of what was seen")
    return problem._replace(
        t=problem.t[every][order],
        x=(problem.x[every] + moved_x)[order],
        y=(problem.y[every] + moved_y)[order],
        m=problem.m[every][order],
        target=(problem.target[every] & is_event)[order],
        background=problem.background[every][order],
        reach2=problem.reach2[every][order],
        stands_for=np.concatenate([stands, share])[order],
    )


def direction_degrees(direction: tuple[float, float]) -> float:
    """Return the strike, degree east of north, from 0 to below 180."""
    return math.degrees(math.atan2(direction[0], direction[1])) % 180.0
