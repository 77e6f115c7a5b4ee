"""Distant parents in bundles: a few weighted events that stand for many, exact for all smooth enough rates."""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import NDArray
from scipy.linalg import lstsq, qr

from tasks.seismicity.source_tree import Tree

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Two bundles per node: the coarse one keeps all moments of its members up to the first degree, the fine one up to the
# third, in time, place and magnitude together.
DEGREES = (1, 3)


class Bundles(NamedTuple):
    """Weighted events that stand for the members of tree nodes.

    Attributes
    ----------
    points : array (bundled, 5)
        Day, x, y, z, magnitude above m0: each is one of the members.
    weight : array (bundled,)
        Their sum over a bundle is the number of members; single ones may be negative.
    start, stop : int array (node, degree)
        Each node's runs of `points`; empty where the members themselves are not more.
    """

    points: Floats
    weight: Floats
    start: Integers
    stop: Integers


def moments(points: Floats, powers: Integers) -> Floats:
    """Return the products of Legendre polynomials (power, point) at points in [-1, 1]^dimension."""
    columns = [legvander(points[:, k], int(powers.max())) for k in range(points.shape[1])]
    out = np.ones((len(powers), len(points)))
    for k, column in enumerate(columns):
        out *= column[:, powers[:, k]].T
    return out


def bundle(points: Floats, weight: Floats, powers: Integers) -> tuple[Integers, Floats]:
    """Return few of the weighted points, and new weights, that have the same moments.

    The points are chosen by a pivoted QR factorisation of the matrix of moments (an interpolative decomposition;
    Cheng, Gimbutas, Martinsson and Rokhlin 2005).

    Parameters
    ----------
    points : array (point, dimension)
    weight : array (point,)
    powers : int array (power, dimension)
        Which moments.

    Returns
    -------
    int array (chosen,), array (chosen,)
        At most as many as there are moments.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - 0.5 * (low + high)) / np.maximum(0.5 * (high - low), 1e-12)
    matrix = moments(scaled, powers)
    _, triangle, pivots = qr(matrix * weight, mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle))
    chosen = np.asarray(pivots[: int((size > 1e-10 * size[0]).sum())], np.int64)
    return chosen, np.asarray(lstsq(matrix[:, chosen], matrix @ weight)[0], np.float64)


def bundle_tree(tree: Tree, points: Floats) -> Bundles:
    """Return the bundles of every node, children before parents: a parent's bundle is made from its children's.

    Parameters
    ----------
    tree : Tree
        Over the points.
    points : array (point, 5)
        In tree order.
    """
    varies = np.flatnonzero(points.max(axis=0) > points.min(axis=0))
    powers = [
        np.array([p for p in product(range(degree + 1), repeat=varies.size) if sum(p) <= degree], np.int64)
        for degree in DEGREES
    ]
    nodes = tree.start.size
    start, stop = np.zeros((nodes, len(DEGREES)), np.int64), np.zeros((nodes, len(DEGREES)), np.int64)
    kept_points: list[Floats] = []
    kept_weight: list[Floats] = []
    standing: dict[int, tuple[Floats, Floats]] = {}
    total = 0
    for node in range(nodes - 1, -1, -1):
        right = int(tree.right[node])
        if right:
            near, far = standing.pop(node + 1), standing.pop(right)
            own, weight = np.concatenate([near[0], far[0]]), np.concatenate([near[1], far[1]])
        else:
            own = points[tree.start[node] : tree.stop[node]]
            weight = np.ones(len(own))
        for k in range(len(DEGREES) - 1, -1, -1):
            if len(own) <= len(powers[k]):
                continue
            chosen, new = bundle(own[:, varies], weight, powers[k])
            start[node, k], stop[node, k] = total, total + chosen.size
            total += chosen.size
            kept_points.append(own[chosen])
            kept_weight.append(new)
            if k == len(DEGREES) - 1:
                own, weight = own[chosen], new
        standing[node] = (own, weight)
    if not kept_points:
        return Bundles(np.empty((0, 5)), np.empty(0), start, stop)
    return Bundles(np.concatenate(kept_points), np.concatenate(kept_weight), start, stop)
