"""A binary tree over points: each node is a run of the points in tree order, with the box that it fills."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Tree(NamedTuple):
    """Nodes in depth-first order: the left child of node k is k + 1.

    Attributes
    ----------
    order : int array (point,)
        Points in tree order.
    start, stop : int array (node,)
        The run of `order` that the node holds.
    right : int array (node,)
        The right child; 0 for a leaf.
    low, high : array (node, dimension)
        The box of the node's points.
    """

    order: Integers
    start: Integers
    stop: Integers
    right: Integers
    low: Floats
    high: Floats

    @property
    def leaves(self) -> Integers:
        """Numbers of the leaves, in tree order."""
        return np.flatnonzero(self.right == 0)


def build_tree(points: Floats, unit: Floats, leaf_size: int) -> Tree:
    """Return the tree that halves the points along the dimension in which a node is widest.

    Parameters
    ----------
    points : array (point, dimension)
    unit : array (dimension,)
        Widths are compared in these units.
    leaf_size : int
        Nodes with more points are divided.
    """
    order = np.arange(len(points))
    start: list[int] = []
    stop: list[int] = []
    right: list[int] = []
    low: list[Floats] = []
    high: list[Floats] = []
    # Nodes that wait: first and last point, and the node whose right child this is (-1: none).
    waiting = [(0, len(points), -1)]
    while waiting:
        first, last, parent = waiting.pop()
        node = len(start)
        if parent >= 0:
            right[parent] = node
        own = points[order[first:last]]
        bottom, top = own.min(axis=0), own.max(axis=0)
        start.append(first)
        stop.append(last)
        right.append(0)
        low.append(bottom)
        high.append(top)
        widest = int(np.argmax((top - bottom) / unit))
        if last - first > leaf_size and top[widest] > bottom[widest]:
            middle = (last - first) // 2
            part = np.argpartition(own[:, widest], middle)
            order[first:last] = order[first:last][part]
            waiting.append((first + middle, last, node))
            waiting.append((first, first + middle, -1))
    return Tree(
        order,
        np.array(start, np.int64),
        np.array(stop, np.int64),
        np.array(right, np.int64),
        np.array(low),
        np.array(high),
    )
