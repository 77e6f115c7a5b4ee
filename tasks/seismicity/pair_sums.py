"""The sums over pairs of events that an ETAS likelihood is made of: vectorised, in threads, nothing kept per pair."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.seismicity.pair_plan import PairPlan
from tasks.seismicity.vector_math import exp, log, vectorised

Floats = NDArray[np.float64]

# What `target_sums` adds up of every pair's rate w: 1, m, 1/age, ln age, time since, D/(r^2+D), m D/(r^2+D), ln(r^2+D).
SUMS = 8
# Sources that are looked at together: their columns stay in the nearest cache, and loops are long enough for vectors.
BLOCK = 512


class PairLaw(NamedTuple):
    """What the rate of a pair follows from: e^(log_kappa_j - p ln age - taper time - q ln(r^2 + scale_j)).

    Attributes
    ----------
    log_kappa, scale : array (source,), scale km2
        Of each source of the plan.
    exponents : array (5,)
        c (days), p, taper (1/tau, 1/day), q, and the curvature: 1/(2 R)^2 on a sphere of radius R km, 0 on a plane.
    """

    log_kappa: Floats
    scale: Floats
    exponents: Floats


@vectorised
def square_distance(dx: float, dy: float, dz: float, curvature: float) -> float:
    """Return the squared great-circle distance by the series of asin^2; relative error 2e-9 at 3,000 km."""
    chord = dx * dx + dy * dy + dz * dz
    u = chord * curvature
    return chord * (
        1.0
        + u * (1.0 / 3.0 + u * (8.0 / 45.0 + u * (4.0 / 35.0 + u * (128.0 / 1575.0 + u * 128.0 / 2079.0))))
    )


@vectorised
def gather(
    row: int, stop: int, filled: int, sources: NDArray[np.float64], block: NDArray[np.float64]
) -> tuple[int, int]:
    """Copy sources (source, column) from `row` on to the block (column, BLOCK); return the next row and the filling."""
    count = min(stop - row, BLOCK - filled)
    for column in range(block.shape[0]):
        for j in range(count):
            block[column, filled + j] = sources[column, row + j]
    return row + count, filled + count


@vectorised
def _add_block(
    place: Floats,
    count: int,
    block: Floats,
    law: Floats,
    out: Floats,
) -> None:
    """Add to out (8,) the `SUMS` of the first `count` sources of a block (9, BLOCK) at one target (t, x, y, z)."""
    c, p, taper, q, curvature = law[0], law[1], law[2], law[3], law[4]
    ti, xi, yi, zi = place[0], place[1], place[2], place[3]
    t, x, y, z, m = block[0], block[1], block[2], block[3], block[4]
    weight, reach2, log_kappa, scale = block[5], block[6], block[7], block[8]
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for j in range(count):
        r2 = square_distance(xi - x[j], yi - y[j], zi - z[j], curvature)
        since = ti - t[j]
        counts = weight[j] if (since > 0.0) and (r2 <= reach2[j]) else 0.0
        since = since if since > 0.0 else 0.0
        age = since + c
        log_age = log(age)
        reach = r2 + scale[j]
        log_reach = log(reach)
        w = counts * exp(log_kappa[j] - p * log_age - taper * since - q * log_reach)
        inner = w * scale[j] / reach
        s0 += w
        s1 += w * m[j]
        s2 += w / age
        s3 += w * log_age
        s4 += w * since
        s5 += inner
        s6 += m[j] * inner
        s7 += w * log_reach
    out[0] += s0
    out[1] += s1
    out[2] += s2
    out[3] += s3
    out[4] += s4
    out[5] += s5
    out[6] += s6
    out[7] += s7


@vectorised
def _target_sums(
    first: int,
    last: int,
    group_start: NDArray[np.int64],
    packet_start: NDArray[np.int64],
    packets: NDArray[np.int64],
    targets: Floats,
    sources: Floats,
    law: Floats,
    out: Floats,
) -> None:
    """Add to out (target, 8) the `SUMS` of the targets of groups [first, last); sources (9, source)."""
    block = np.empty((sources.shape[0], BLOCK))
    for group in range(first, last):
        filled = 0
        final = packet_start[group + 1] - 1
        for k in range(packet_start[group], packet_start[group + 1]):
            row, stop = packets[k]
            while row < stop:
                row, filled = gather(row, stop, filled, sources, block)
                if filled == BLOCK or (k == final and row == stop):
                    for i in range(group_start[group], group_start[group + 1]):
                        _add_block(targets[i], filled, block, law, out[i])
                    filled = 0


def in_threads(work: Callable[[int, int], None], count: int) -> None:
    """Call `work(first, last)` on runs that make up [0, count), on all cores; it must release the lock of Python.

    Python's threads, because numba's own cannot be entered by two threads at a time under every layer.
    """
    cores = len(os.sched_getaffinity(0))
    edges = np.unique(np.linspace(0, count, 8 * cores + 1).astype(int))
    if cores == 1 or edges.size < 3:
        work(0, count)
        return
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(work, edges[:-1].tolist(), edges[1:].tolist()))


def target_sums(plan: PairPlan, law: PairLaw, base: Floats) -> tuple[Floats, Floats]:
    """Return the rate at each target, and the sum over targets of each of the `SUMS` over that rate.

    Parameters
    ----------
    plan : PairPlan
        Which sources are summed for which targets.
    law : PairLaw
        The rate of a pair.
    base : array (target,), 1/(day km2)
        Background rate at the targets, in the plan's order.

    Returns
    -------
    rate : array (target,), 1/(day km2)
        In the plan's order.
    sums : array (8,)
        The same whatever the number of threads.
    """
    log_kappa, scale, exponents = law
    sources = np.stack([*plan.sources, log_kappa, scale])
    sums = np.zeros((base.size, SUMS))

    def work(first: int, last: int) -> None:
        _target_sums(
            first, last, plan.group_start, plan.packet_start, plan.packets, plan.targets, sources, exponents, sums
        )  # fmt: skip

    in_threads(work, plan.group_start.size - 1)
    rate = base + sums[:, 0]
    return rate, (1.0 / rate) @ sums
