"""Who triggered whom, in expectation: the sums over pairs that expectation-maximisation and declustering need."""

import numpy as np
from numpy.typing import NDArray

from tasks.seismicity.pair_plan import PairPlan
from tasks.seismicity.pair_sums import BLOCK, SUMS, PairLaw, gather, in_threads, square_distance
from tasks.seismicity.vector_math import exp, log, vectorised

Floats = NDArray[np.float64]


@vectorised
def _add_expected(
    place: Floats,
    count: int,
    block: Floats,
    law: Floats,
    new: Floats,
    out: Floats,
) -> None:
    """Add to out (9,) the `SUMS` of the new law and ln of its rate, weighted by the old rate; block (11, BLOCK)."""
    c, p, taper, q, curvature = law[0], law[1], law[2], law[3], law[4]
    new_c, new_p, new_taper, new_q = new[0], new[1], new[2], new[3]
    ti, xi, yi, zi = place[0], place[1], place[2], place[3]
    t, x, y, z, m = block[0], block[1], block[2], block[3], block[4]
    weight, reach2, log_kappa, scale = block[5], block[6], block[7], block[8]
    new_log_kappa, new_scale = block[9], block[10]
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = 0.0
    for j in range(count):
        r2 = square_distance(xi - x[j], yi - y[j], zi - z[j], curvature)
        since = ti - t[j]
        counts = weight[j] if (since > 0.0) and (r2 <= reach2[j]) else 0.0
        since = since if since > 0.0 else 0.0
        w = counts * exp(log_kappa[j] - p * log(since + c) - taper * since - q * log(r2 + scale[j]))
        age = since + new_c
        log_age = log(age)
        reach = r2 + new_scale[j]
        log_reach = log(reach)
        inner = w * new_scale[j] / reach
        s0 += w
        s1 += w * m[j]
        s2 += w / age
        s3 += w * log_age
        s4 += w * since
        s5 += inner
        s6 += m[j] * inner
        s7 += w * log_reach
        s8 += w * (new_log_kappa[j] - new_p * log_age - new_taper * since - new_q * log_reach)
    out[0] += s0
    out[1] += s1
    out[2] += s2
    out[3] += s3
    out[4] += s4
    out[5] += s5
    out[6] += s6
    out[7] += s7
    out[8] += s8


@vectorised
def _expected_sums(
    first: int,
    last: int,
    group_start: NDArray[np.int64],
    packet_start: NDArray[np.int64],
    packets: NDArray[np.int64],
    targets: Floats,
    sources: Floats,
    law: Floats,
    new: Floats,
    out: Floats,
) -> None:
    """Add to out (target, 9) the sums of `_add_expected`; sources (11, source)."""
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
                        _add_expected(targets[i], filled, block, law, new, out[i])
                    filled = 0


@vectorised
def _add_shares(
    place: Floats,
    rate: float,
    count: int,
    block: Floats,
    law: Floats,
    out: Floats,
) -> None:
    """Add to out (BLOCK,) the share of each source of a block in the rate at one target."""
    c, p, taper, q, curvature = law[0], law[1], law[2], law[3], law[4]
    ti, xi, yi, zi = place[0], place[1], place[2], place[3]
    t, x, y, z = block[0], block[1], block[2], block[3]
    weight, reach2, log_kappa, scale = block[5], block[6], block[7], block[8]
    for j in range(count):
        r2 = square_distance(xi - x[j], yi - y[j], zi - z[j], curvature)
        since = ti - t[j]
        counts = weight[j] if (since > 0.0) and (r2 <= reach2[j]) else 0.0
        since = since if since > 0.0 else 0.0
        w = exp(log_kappa[j] - p * log(since + c) - taper * since - q * log(r2 + scale[j]))
        out[j] += counts * w / rate


@vectorised
def _offspring(
    group_start: NDArray[np.int64],
    packet_start: NDArray[np.int64],
    packets: NDArray[np.int64],
    targets: Floats,
    sources: Floats,
    law: Floats,
    rate: Floats,
    out: Floats,
) -> None:
    """Add to out (source,) the number of targets that each source triggered, in expectation."""
    block = np.empty((sources.shape[0], BLOCK))
    for group in range(group_start.size - 1):
        for k in range(packet_start[group], packet_start[group + 1]):
            row, stop = packets[k]
            while row < stop:
                start = row
                row, filled = gather(row, stop, 0, sources, block)
                for i in range(group_start[group], group_start[group + 1]):
                    _add_shares(targets[i], rate[i], filled, block, law, out[start:row])


def expected_log_sums(plan: PairPlan, old: PairLaw, new: PairLaw, rate: Floats) -> tuple[float, Floats]:
    """Return the sum of ln(new rate of a pair) and of the `SUMS` (8,) of it, under the old law's branching.

    Each pair counts with the probability, under the old law, that the source triggered the target.

    Parameters
    ----------
    plan : PairPlan
        Which pairs.
    old, new : PairLaw
        The law of the probabilities, and the one whose likelihood is expected.
    rate : array (target,), 1/(day km2)
        Of the old law, in the plan's order.
    """
    log_kappa, scale, exponents = old
    sources = np.stack([*plan.sources, log_kappa, scale, new.log_kappa, new.scale])
    sums = np.zeros((rate.size, SUMS + 1))

    def work(first: int, last: int) -> None:
        _expected_sums(
            first, last, plan.group_start, plan.packet_start, plan.packets, plan.targets, sources,
            exponents, new.exponents, sums,
        )  # fmt: skip

    in_threads(work, plan.group_start.size - 1)
    total = (1.0 / rate) @ sums
    return float(total[SUMS]), total[:SUMS]


def expected_children(plan: PairPlan, law: PairLaw, rate: Floats) -> Floats:
    """Return the expected number of targets that each source triggered (source,), given that all is known.

    Parameters
    ----------
    plan : PairPlan
        Which pairs.
    law : PairLaw
        The rate of a pair.
    rate : array (target,), 1/(day km2)
        Of that law, in the plan's order.
    """
    log_kappa, scale, exponents = law
    sources = np.stack([*plan.sources, log_kappa, scale])
    out = np.zeros(log_kappa.size)
    _offspring(plan.group_start, plan.packet_start, plan.packets, plan.targets, sources, exponents, rate, out)
    return out
