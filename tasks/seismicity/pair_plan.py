"""Which pairs of events an ETAS likelihood looks at: sources in tree order, and the runs that each group needs."""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tasks.seismicity.source_tree import Tree, build_tree

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SOURCE_LEAF = 32
TARGET_LEAF = 16


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
    source_row : int array (source,)
        Event that each source is.
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

    @property
    def evaluations(self) -> int:
        """How many pairs one evaluation computes."""
        length = np.concatenate([[0], np.cumsum(self.packets[:, 1] - self.packets[:, 0])])
        per_group = np.diff(length[self.packet_start])
        return int((per_group * np.diff(self.group_start)).sum())


@njit(cache=True, nogil=True)
def _runs(
    low: Floats,
    high: Floats,
    source_low: Floats,
    source_high: Floats,
    start: Integers,
    stop: Integers,
    right: Integers,
    reach2: Floats,
) -> tuple[Integers, Integers]:
    """Return for boxes (group, 4) the runs of sources that can be before them and within reach."""
    runs = []
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
            for k in range(1, 4):
                gap = max(low[group, k] - source_high[node, k], source_low[node, k] - high[group, k], 0.0)
                gap2 += gap * gap
            if gap2 > reach2[node]:
                continue
            if right[node]:
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
    packets = np.empty((len(runs), 2), np.int64)
    for k in range(len(runs)):
        packets[k, 0], packets[k, 1] = runs[k]
    return np.cumsum(counts), packets


def _node_maximum(tree: Tree, values: Floats) -> Floats:
    return np.array([values[a:b].max() for a, b in zip(tree.start, tree.stop, strict=True)])


def plan_pairs(
    events: tuple[Floats, Floats, Floats, Floats, Floats], reach2: Floats, target: NDArray[np.bool_]
) -> PairPlan:
    """Return the plan that holds every pair within reach.

    Parameters
    ----------
    events : arrays (event,) of day, x, y, z (km), magnitude above m0
    reach2 : array (event,), km2
        Squared distance beyond which a parent's pairs are dropped; infinite for none. Chords stand for distances on
        a sphere here: they are shorter, so that nothing is lost.
    target : bool array (event,)
        At which events the rate is wanted.
    """
    points = np.column_stack(events)
    spread = np.maximum(points.std(axis=0), 1e-9)
    extent = spread[1:4].max()
    # Found by trial on the San Jacinto catalog: neighbours in space that are of one size make the shortest runs.
    unit = np.array([5.0 * spread[0], extent, extent, extent, 0.3])
    tree = build_tree(points, unit, SOURCE_LEAF)
    rows = np.flatnonzero(target)
    places = points[rows, :4]
    groups = build_tree(places, unit[:4], TARGET_LEAF)
    leaves = groups.leaves
    sorted_reach2 = reach2[tree.order]
    packet_start, packets = _runs(
        groups.low[leaves],
        groups.high[leaves],
        tree.low,
        tree.high,
        tree.start,
        tree.stop,
        tree.right,
        _node_maximum(tree, sorted_reach2),
    )
    columns = [np.ascontiguousarray(points[tree.order, k]) for k in range(5)]
    sources = Sources(*columns, np.ones(len(points)), sorted_reach2)
    return PairPlan(
        sources,
        tree.order,
        groups.order,
        np.ascontiguousarray(places[groups.order]),
        np.append(groups.start[leaves], len(rows)),
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
