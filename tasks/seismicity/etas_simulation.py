"""Catalogs drawn from an ETAS model: many futures of one forecast, or one long synthetic catalog."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.seismicity.catalog import Events
from tasks.seismicity.detection import HIDING_KM, HIDING_LENGTHS
from tasks.seismicity.etas import EtasModel, EtasParameters
from tasks.seismicity.geometry import Plane

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Catalogs that are drawn together: a batch has its own random numbers, so that threads change nothing.
BATCH = 500


class SimulatedEvents(NamedTuple):
    """Events of many catalogs, sorted by catalog and time.

    Attributes
    ----------
    catalog : int array (event,)
        Number of the catalog, from 0.
    days : array (event,), days since 1970-01-01 UTC
    x, y : array (event,), km in the plane
    magnitude : array (event,)
    generation : int array (event,)
        0 background and history, 1 their offspring, and so on.
    """

    catalog: Integers
    days: Floats
    x: Floats
    y: Floats
    magnitude: Floats
    generation: Integers

    def take(self, chosen: NDArray[np.bool_] | Integers) -> "SimulatedEvents":
        """Return the chosen events."""
        return SimulatedEvents._make(column[chosen] for column in self)


def _joined(parts: list[SimulatedEvents]) -> SimulatedEvents:
    return SimulatedEvents._make(np.concatenate(columns) for columns in zip(*parts, strict=True))


def draw_magnitudes(count: int, parameters: EtasParameters, rng: np.random.Generator) -> Floats:
    """Return magnitudes (count,) of the truncated Gutenberg-Richter law."""
    beta = parameters.b * math.log(10.0)
    share = -math.expm1(-beta * (parameters.magnitude_max - parameters.m0))
    return np.asarray(parameters.m0 - np.log1p(-rng.random(count) * share) / beta)


def _children(
    parents: SimulatedEvents,
    copies: int,
    parameters: EtasParameters,
    window: tuple[float, float],
    rng: np.random.Generator,
    factor: Floats | float = 1.0,
    steeper: Floats | float = 0.0,
) -> SimulatedEvents:
    """Draw the direct offspring in the window of parents; each parent stands for `copies` catalogs.

    Of `copies` independent Poisson numbers only the sum is drawn; each of the offspring falls into a catalog at random,
    which is the same law.
    """
    above = parents.magnitude - parameters.m0
    c, p = parameters.c, parameters.p + steeper
    # (age + c)^(1 - p) is the decay's integral, but for its scale; equal decays at an age of one day.
    first = (np.maximum(window[0] - parents.days, 0.0) + c) ** (1.0 - p)
    last = (window[1] - parents.days + c) ** (1.0 - p)
    rate = factor * parameters.k * np.exp(parameters.alpha * above)
    scale = (parameters.p - 1.0) * c ** (parameters.p - 1.0) * (1.0 + c) ** steeper / (p - 1.0)
    count = rng.poisson(copies * rate * scale * (first - last))
    row = np.repeat(np.arange(count.size), count)
    n = row.size
    power = 1.0 / (1.0 - p)
    survival = first[row] + rng.random(n) * (last - first)[row]
    days = parents.days[row] + survival ** (power[row] if isinstance(power, np.ndarray) else power) - c
    area = parameters.d * np.exp(parameters.gamma * above)
    radius = np.sqrt(area[row] * (rng.random(n) ** (1.0 / (1.0 - parameters.q)) - 1.0))
    angle = rng.uniform(0.0, 2.0 * math.pi, n)
    catalog = parents.catalog[row] if copies == 1 else rng.integers(0, copies, n)
    return SimulatedEvents(
        catalog,
        # Rounding may carry a delay over the end of the window.
        np.clip(days, window[0], np.nextafter(window[1], -np.inf)),
        parents.x[row] + radius * np.cos(angle),
        parents.y[row] + radius * np.sin(angle),
        draw_magnitudes(n, parameters, rng),
        parents.generation[row] + 1,
    )


def _background(
    model: EtasModel, plane: Plane, copies: int, window: tuple[float, float], rng: np.random.Generator
) -> SimulatedEvents:
    n = int(rng.poisson(copies * model.parameters.mu * (window[1] - window[0])))
    # Inverse transform: a search in the cumulative shares.
    cell = np.searchsorted(np.cumsum(model.background.ravel()), rng.random(n) * model.background.sum())
    row, column = np.divmod(np.minimum(cell, model.background.size - 1), plane.columns)
    return SimulatedEvents(
        rng.integers(0, copies, n),
        window[0] + rng.random(n) * (window[1] - window[0]),
        plane.west + plane.dx * (column + rng.random(n)),
        plane.south + plane.dy * (row + rng.random(n)),
        draw_magnitudes(n, model.parameters, rng),
        np.zeros(n, np.int64),
    )


def as_parents(history: Events) -> SimulatedEvents:
    """Return a history as parents of every catalog."""
    none = np.zeros(history.days.size, np.int64)
    return SimulatedEvents(none, history.days, history.x, history.y, history.magnitude, none)


def draw_batch(
    model: EtasModel,
    plane: Plane,
    history: SimulatedEvents,
    window: tuple[float, float],
    copies: int,
    seed: np.random.SeedSequence,
    factor: Floats | float = 1.0,
    steeper: Floats | float = 0.0,
) -> SimulatedEvents:
    """Draw `copies` catalogs of the window in one set of arrays, unsorted; the arguments of `simulate`.

    The offspring of each event of the history, not that of drawn ones, is multiplied by `factor` (event,) and decays
    with p + `steeper` (event,), the rate one day after it unchanged.
    """
    rng = np.random.Generator(np.random.SFC64(seed))
    parameters = model.parameters
    first = _children(history, copies, parameters, window, rng, factor, steeper)
    parts = [_background(model, plane, copies, window, rng), first]
    parents = _joined(parts)
    while parents.days.size:
        parents = _children(parents, 1, parameters, window, rng)
        parts.append(parents)
    return _joined(parts)


def simulate(
    model: EtasModel,
    plane: Plane,
    history: Events,
    start: float,
    end: float,
    catalogs: int,
    seed: int,
    hide: bool = False,
) -> SimulatedEvents:
    """Draw catalogs of [start, end), each one a future of the history; the whole cascade, exactly from the law.

    All catalogs of a batch are drawn generation by generation in the same arrays. Offspring that leaves the box is
    kept, since it triggers.

    Parameters
    ----------
    model : EtasModel
        Parameters and background.
    plane : Plane
        The background's cells.
    history : Events
        Those before `start`; none gives catalogs that start from background alone.
    start, end : float, days since 1970-01-01 UTC
    catalogs : int
        How many.
    seed : int
        Equal seeds give equal catalogs, whatever the number of threads.
    hide : bool
        Leave out the events that would be missed after large ones (`hidden`).

    Returns
    -------
    SimulatedEvents

    Raises
    ------
    ValueError
        If the window is empty, or an event of the history lies in it.
    """
    if not end > start:
        raise ValueError(f"simulate: expected an end after the start, found [{start:g}, {end:g})")
    if history.days.size and float(history.days.max()) > start:
        raise ValueError(f"simulate: expected a history before day {start:g}, found {history.days.max():g}")
    past = as_parents(history)
    sizes = [min(BATCH, catalogs - first) for first in range(0, catalogs, BATCH)]
    seeds = np.random.SeedSequence(seed).spawn(len(sizes))

    def work(batch: int) -> SimulatedEvents:
        events = draw_batch(model, plane, past, (start, end), sizes[batch], seeds[batch])
        events = events.take(np.lexsort((events.days, events.catalog)))
        return events.take(~hidden(events, past, model.parameters.m0)) if hide else events

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        drawn = list(pool.map(work, range(len(sizes))))
    numbered = [part._replace(catalog=part.catalog + BATCH * k) for k, part in enumerate(drawn)]
    return _joined(numbered)


@njit(cache=True, nogil=True)
def _hidden(
    catalog: Integers,
    days: Floats,
    x: Floats,
    y: Floats,
    m: Floats,
    past: int,
    m0: float,
    out: NDArray[np.bool_],
) -> None:
    """Mark hidden events in out (event,); the first `past` events come before every catalog."""
    large = np.arange(days.size)
    size = past
    for i in range(past, days.size):
        if catalog[i] != catalog[i - 1]:
            size = past
        kept = past
        for k in range(size):
            j = large[k]
            since = days[i] - days[j]
            limit = m[j] - 4.5 - 0.75 * math.log10(max(since, 1e-9))
            if k >= past:
                if limit <= m0:
                    continue
                large[kept] = j
                kept += 1
            length = max(HIDING_LENGTHS * 10.0 ** (0.59 * m[j] - 2.44), HIDING_KM)
            near = (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2 <= length**2
            if near and since > 0.0 and m[i] < min(limit, m[j]):
                out[i] = True
        size = kept
        # The list is kept short: one that hides nothing 30 s later (10^-3.46 days) hides next to nothing.
        if m[i] - 4.5 + 0.75 * 3.46 > m0:
            large[size] = i
            size += 1


def hidden(events: SimulatedEvents, history: SimulatedEvents, m0: float) -> NDArray[np.bool_]:
    """Return which events would be missing in a network's catalog, because of larger ones shortly before.

    Within two rupture lengths (at least 50 km) of an event of magnitude M the catalog is complete from
    M - 4.5 - 0.75 log10(days since) (Helmstetter, Kagan and Jackson 2006, eq. 1), at most from M.

    Parameters
    ----------
    events : SimulatedEvents
        Sorted by catalog and time.
    history : SimulatedEvents
        What happened before all of them; it hides, too.
    m0 : float
        Magnitude from which events are there.
    """
    past = history
    if events.days.size:
        # Of the history only what still hides something at the first event can matter.
        since = np.maximum(float(events.days.min()) - history.days, 1e-9)
        past = history.take(history.magnitude - 4.5 - 0.75 * np.log10(since) > m0)
    count = past.days.size
    together = _joined([past._replace(catalog=np.full(count, -1)), events])
    flags = np.zeros(together.days.size, np.bool_)
    _hidden(*together[:5], count, m0, flags)
    return flags[count:]
