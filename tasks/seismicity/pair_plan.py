"""Which pairs of events an ETAS likelihood looks at: sources in tree order, and the runs that each group needs."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.seismicity.far_field import DEGREES, Bundles, bundle_tree
from tasks.seismicity.source_tree import build_tree

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SOURCE_LEAF = 16
TARGET_LEAF = 16
# Nodes that are wider for their distance are opened, however little they matter.
LARGEST_RATIO = 0.7


class Sources(NamedTuple):
    """What can trigger, in the order of a plan.

    Attributes
    ----------
    t : array (source,), days
    x, y, z : array (source,), km
    m : array (source,)
        Magnitude above m0.
    weight : array (source,)
        How many events it stands for.
    reach2 : array (source,), km2
        Squared distance beyond which its pairs are dropped.
    """

    t: Floats
    x: Floats
    y: Floats
    z: Floats
    m: Floats
    weight: Floats
    reach2: Floats


class PairPlan(NamedTuple):
    """Groups of neighbouring targets, each with the runs of sources that are summed for all of them.

    Attributes
    ----------
    sources : Sources
        In the plan's order.
    source_row : int array (event,)
        Event that each source is, bundled ones left out: they come last.
    target_row : int array (target,)
        Place of each target among the targets as they were given.
    targets : array (target, 4)
        Day, x, y, z.
    group_start : int array (group + 1,)
        Runs of targets.
    packet_start : int array (group + 1,)
        Runs of `packets` that belong to a group.
    packets : int array (packet, 2)
        First and last source of a run.
    """

    sources: Sources
    source_row: Integers
    target_row: Integers
    targets: Floats
    group_start: Integers
    packet_start: Integers
    packets: Integers

    def weighted(self, weight: Floats) -> "PairPlan":
        """Return the plan of the same pairs with each parent counted `weight` (event,) times; without bundles."""
        return self._replace(sources=self.sources._replace(weight=weight[self.source_row]))

    @property
    def evaluations(self) -> int:
        """How many pairs one evaluation computes."""
        length = np.concatenate([[0], np.cumsum(self.packets[:, 1] - self.packets[:, 0])])
        per_group = np.diff(length[self.packet_start])
        return int((per_group * np.diff(self.group_start)).sum())


class FarField(NamedTuple):
    """When a bundle may stand for its members: the law that tells how much they matter, and the tolerance.

    Attributes
    ----------
    kappa : array (event,)
        Direct offspring of each event.
    floor : array (target,), 1/(day km2)
        A rate that each target has at least: its background.
    c, p, d, gamma, q : float
        As in `etas_law`, without taper (which makes a rate smaller, never larger).
    tolerance : float
        A bundle is taken if its share of the floor times the error of its polynomials is estimated to be below.
    """

    kappa: Floats
    floor: Floats
    c: float
    p: float
    d: float
    gamma: float
    q: float
    tolerance: float


@njit(cache=True, nogil=True)
def _runs(
    low: Floats,
    high: Floats,
    floor: Floats,
    source_low: Floats,
    source_high: Floats,
    start: Integers,
    stop: Integers,
    right: Integers,
    reach2: Floats,
    kappa: Floats,
    bundle_start: Integers,
    bundle_stop: Integers,
    law: Floats,
) -> tuple[Integers, Integers]:
    """Return for boxes (group, 4) the runs of sources that can be before them and within reach, bundles if allowed."""
    c, p, d, gamma, q, tolerance = law[0], law[1], law[2], law[3], law[4], law[5]
    runs = [(0, 0)]
    counts = np.zeros(len(low) + 1, np.int64)
    stack = np.empty(200, np.int64)
    for group in range(len(low)):
        stack[0] = 0
        size = 1
        last = -1
        while size:
            size -= 1
            node = stack[size]
            if source_low[node, 0] >= high[group, 0]:
                continue
            gap2 = 0.0
            half2 = 0.0
            for k in range(1, 4):
                gap = max(low[group, k] - source_high[node, k], source_low[node, k] - high[group, k], 0.0)
                gap2 += gap * gap
                half2 += (0.5 * (source_high[node, k] - source_low[node, k])) ** 2
            if gap2 > reach2[node]:
                continue
            since = low[group, 0] - source_high[node, 0]
            chosen = -1
            if since >= 0.0 and bundle_stop[node, 0] > bundle_start[node, 0]:
                # The rate is a power of age + c and of r^2 + D: a polynomial about the middle of the node converges
                # with the ratio of its half width to the distance of its middle from where the power is singular.
                half = 0.5 * (source_high[node, 0] - source_low[node, 0])
                in_time = half / (since + half + c)
                near_scale = d * math.exp(gamma * source_low[node, 4])
                wide_scale = d * math.exp(gamma * source_high[node, 4])
                in_space = math.sqrt(half2 / ((math.sqrt(gap2) + math.sqrt(half2)) ** 2 + near_scale))
                if in_time < LARGEST_RATIO and in_space < LARGEST_RATIO:
                    by_magnitude = 0.3 * (source_high[node, 4] - source_low[node, 4])
                    ratio = in_time + in_space + by_magnitude
                    delay = (p - 1.0) / c * (1.0 + since / c) ** -p
                    place = (q - 1.0) / (math.pi * wide_scale) * (1.0 + gap2 / wide_scale) ** -q
                    share = kappa[node] * delay * place / floor[group]
                    for k in range(len(DEGREES)):
                        filled = bundle_stop[node, k] > bundle_start[node, k]
                        if chosen < 0 and filled and share * ratio ** (DEGREES[k] + 1) <= tolerance:
                            chosen = k
            if chosen >= 0:
                runs.append((bundle_start[node, chosen], bundle_stop[node, chosen]))
                counts[group + 1] += 1
                last = -1
            elif right[node]:
                stack[size] = right[node]
                stack[size + 1] = node + 1
                size += 2
            elif last == start[node]:
                runs[-1] = (runs[-1][0], stop[node])
                last = stop[node]
            else:
                runs.append((start[node], stop[node]))
                counts[group + 1] += 1
                last = stop[node]
    packets = np.empty((len(runs) - 1, 2), np.int64)
    for k in range(1, len(runs)):
        packets[k - 1, 0], packets[k - 1, 1] = runs[k]
    return np.cumsum(counts), packets


def plan_pairs(
    events: tuple[Floats, Floats, Floats, Floats, Floats],
    reach2: Floats,
    target: NDArray[np.bool_],
    far: FarField | None = None,
) -> PairPlan:
    """Return the plan that holds every pair within reach, distant parents in bundles if `far` says when.

    Parameters
    ----------
    events : arrays (event,) of day, x, y, z (km), magnitude above m0
    reach2 : array (event,), km2
        Squared distance beyond which a parent's pairs are dropped; infinite for none. Chords stand for distances on
        a sphere here: they are shorter, so that nothing is lost.
    target : bool array (event,)
        At which events the rate is wanted.
    far : FarField, optional
        None: every pair by itself.

    Raises
    ------
    ValueError
        If bundles are asked for where the reach is limited: a bundle has no limit.
    """
    if far is not None and not np.isinf(reach2).all():
        raise ValueError("plan_pairs: expected an infinite reach with bundles, found a limited one")
    points = np.column_stack(events)
    spread = np.maximum(points.std(axis=0), 1e-9)
    extent = spread[1:4].max()
    # Found by trial. Within a reach: neighbours in space that are of one size make the shortest runs. Bundles: they
    # need nodes that are thin in time.
    by_time, by_magnitude = (5.0, 0.3) if far is None else (0.2, 0.5)
    unit = np.array([by_time * spread[0], extent, extent, extent, by_magnitude])
    tree = build_tree(points, unit, SOURCE_LEAF)
    in_order = points[tree.order]
    rows = np.flatnonzero(target)
    places = points[rows, :4]
    groups = build_tree(places, unit[:4], TARGET_LEAF)
    leaves = groups.leaves
    edges = np.append(groups.start[leaves], len(rows))
    if far is None:
        none = np.zeros((tree.start.size, len(DEGREES)), np.int64)
        bundles = Bundles(np.empty((0, 5)), np.empty(0), none, none)
        floor, kappa, law = np.ones(leaves.size), np.zeros(tree.start.size), np.zeros(6)
    else:
        bundles = bundle_tree(tree, in_order)
        floor = np.minimum.reduceat(far.floor[groups.order], edges[:-1])
        running = np.concatenate([[0.0], np.cumsum(far.kappa[tree.order])])
        kappa = running[tree.stop] - running[tree.start]
        law = np.array(far[2:])
    packet_start, packets = _runs(
        groups.low[leaves],
        groups.high[leaves],
        floor,
        tree.low,
        tree.high,
        tree.start,
        tree.stop,
        tree.right,
        np.array([reach2[tree.order[a:b]].max() for a, b in zip(tree.start, tree.stop, strict=True)]),
        kappa,
        bundles.start + len(points),
        bundles.stop + len(points),
        law,
    )
    t, x, y, z, m = np.ascontiguousarray(np.concatenate([in_order, bundles.points]).T)
    sources = Sources(
        t, x, y, z, m,
        np.concatenate([np.ones(len(points)), bundles.weight]),
        np.concatenate([reach2[tree.order], np.full(bundles.weight.size, math.inf)]),
    )  # fmt: skip
    return PairPlan(
        sources,
        tree.order,
        groups.order,
        np.ascontiguousarray(places[groups.order]),
        edges,
        packet_start,
        packets,
    )


def sphere_points(latitude: Floats, longitude: Floats, radius_km: float) -> tuple[Floats, Floats, Floats]:
    """Return x, y, z (point,), km, of places in degrees on a sphere, whose chords give great-circle distances."""
    lat, lon = np.radians(latitude), np.radians(longitude)
    return (
        radius_km * np.cos(lat) * np.cos(lon),
        radius_km * np.cos(lat) * np.sin(lon),
        radius_km * np.sin(lat),
    )


def curvature_of(radius_km: float) -> float:
    """Return 1/(2 R)^2, km-2; 0 for a plane, whose radius is infinite."""
    return 0.0 if math.isinf(radius_km) else 0.25 / radius_km**2
