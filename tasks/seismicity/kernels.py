"""Numerical kernels of triggering: the power law in space, its mass in rectangles, and Omori as exponentials."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import gammaln

Floats = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
# Two Gauss points per side are enough for cells whose distance exceeds their size (error below 0.3 % of the cell).
_FAR = 0.5 / math.sqrt(3.0)
_PANEL = 3.0


@njit(cache=True, fastmath=True)
def _corner(a: float, b: float, scale: float, q1: float) -> tuple[float, float, float]:
    """Return the flux of the kernel through the segment at distance `a`, from its foot point to `b`.

    The kernel's mass within r is F(r) = 1 - (1 + r^2/scale)^-q1, so F(r)/(2 pi r^2) times the radius vector is
    a field whose divergence is the kernel; the angle is substituted by b = a sinh(u), which keeps the
    integrand smooth for segments that pass close to the event. Derivatives: by ln(scale), by q1.
    """
    size = abs(a)
    if size < 1e-6 or b == 0.0:
        return 0.0, 0.0, 0.0
    top = math.asinh(abs(b) / size)
    value = 0.0
    by_scale = 0.0
    by_q1 = 0.0
    low = 0.0
    for panel in range(2):
        high = min(top, _PANEL) if panel == 0 else top
        half = 0.5 * (high - low)
        if half <= 0.0:
            continue
        for k in range(_NODES.size):
            cosh = math.cosh(low + half * (1.0 + _NODES[k]))
            ratio = (size * cosh) ** 2 / scale
            log1p = math.log1p(ratio)
            tail = math.exp(-q1 * log1p)
            weight = half * _WEIGHTS[k] / cosh
            value += weight * (1.0 - tail)
            by_scale -= weight * q1 * tail * ratio / (1.0 + ratio)
            by_q1 += weight * tail * log1p
        low = high
    sign = (1.0 if a > 0.0 else -1.0) * (1.0 if b > 0.0 else -1.0) / (2.0 * math.pi)
    return sign * value, sign * by_scale, sign * by_q1


@njit(cache=True, fastmath=True)
def rectangle_mass(
    west: float, east: float, south: float, north: float, scale: float, q1: float
) -> tuple[float, float, float]:
    """Return the mass of the kernel in a rectangle, and its derivatives by ln(scale) and by q1.

    The kernel is (q1/pi) scale^q1 (r^2 + scale)^-(1+q1), whose integral over the plane is 1. Edges are km relative
    to the event, `scale` km2. Accuracy 1e-6 or better (tested against brute force).
    """
    mass = 0.0
    by_scale = 0.0
    by_q1 = 0.0
    for edge in range(4):
        if edge == 0:
            a, low, high, sign = east, south, north, 1.0
        elif edge == 1:
            a, low, high, sign = west, south, north, -1.0
        elif edge == 2:
            a, low, high, sign = north, west, east, 1.0
        else:
            a, low, high, sign = south, west, east, -1.0
        up = _corner(a, high, scale, q1)
        down = _corner(a, low, scale, q1)
        mass += sign * (up[0] - down[0])
        by_scale += sign * (up[1] - down[1])
        by_q1 += sign * (up[2] - down[2])
    return mass, by_scale, by_q1


@njit(cache=True, fastmath=True)
def cell_masses(x: Floats, y: Floats, scale: Floats, q1: float, edges_x: Floats, edges_y: Floats) -> Floats:
    """Return each event's kernel mass in each cell of a grid.

    Parameters
    ----------
    x, y : array (event,), km
    scale : array (event,), km2
    q1 : float
        Decay exponent less one.
    edges_x, edges_y : array, km
        Equidistant cell edges.

    Returns
    -------
    array (event, rows * columns)
        Rows run south to north. Cells near the event by `rectangle_mass`, far ones by 2 x 2 Gauss points.
    """
    rows = edges_y.size - 1
    columns = edges_x.size - 1
    dx = edges_x[1] - edges_x[0]
    dy = edges_y[1] - edges_y[0]
    out = np.empty((x.size, rows * columns))
    for i in range(x.size):
        norm = q1 / math.pi * scale[i] ** q1 * 0.25 * dx * dy
        for row in range(rows):
            south = edges_y[row] - y[i]
            for column in range(columns):
                west = edges_x[column] - x[i]
                middle_x = west + 0.5 * dx
                middle_y = south + 0.5 * dy
                if abs(middle_x) < 2.5 * dx and abs(middle_y) < 2.5 * dy:
                    mass = rectangle_mass(west, west + dx, south, south + dy, scale[i], q1)[0]
                else:
                    mass = 0.0
                    for side_x in (-_FAR, _FAR):
                        for side_y in (-_FAR, _FAR):
                            r2 = (middle_x + side_x * dx) ** 2 + (middle_y + side_y * dy) ** 2
                            mass += norm * math.exp(-(1.0 + q1) * math.log(r2 + scale[i]))
                out[i, row * columns + column] = mass
    return out


@njit(cache=True, fastmath=True)
def density_at(
    x: Floats, y: Floats, from_x: Floats, from_y: Floats, scale: Floats, weight: Floats, q1: float, own: bool
) -> Floats:
    """Return the weighted sum of kernels at points (point,), km-2; with `own` point i leaves out kernel i."""
    factor = weight * q1 / math.pi * scale**q1
    out = np.zeros(x.size)
    for i in range(x.size):
        total = 0.0
        for j in range(from_x.size):
            if own and i == j:
                continue
            r2 = (x[i] - from_x[j]) ** 2 + (y[i] - from_y[j]) ** 2
            total += factor[j] * math.exp(-(1.0 + q1) * math.log(r2 + scale[j]))
        out[i] = total
    return out


def omori_exponentials(c: float, p: float, longest_days: float, step: float = 0.6) -> tuple[Floats, Floats]:
    """Return rates and weights of a sum of exponentials that equals the normalised Omori law.

    (p-1) c^(p-1) (t+c)^-p = sum_k weight_k exp(-rate_k t) by the trapezoidal rule on the logarithm of the
    variable of the Gamma integral; with the step of 0.6 the relative error is below 1e-5 from t = 0 to
    `longest_days`. It makes the mean of the branching process a linear system of ordinary differential
    equations.

    Parameters
    ----------
    c : float, days
    p : float
        Larger than 1.
    longest_days : float
        Largest time for which the accuracy holds, days.
    step : float
        Step in the logarithm of the rate.

    Returns
    -------
    rates, weights : array (term,), 1/day
    """
    low = math.log(3e-6 / longest_days)
    high = math.log(40.0 / c)
    rates = np.exp(np.arange(low, high + step, step))
    log_weight = math.log(p - 1.0) + (p - 1.0) * math.log(c) - gammaln(p) + math.log(step)
    return rates, np.exp(log_weight + p * np.log(rates) - rates * c)


@njit(cache=True)
def mixture_cell_masses(
    x: Floats, y: Floats, variance: Floats, weight: Floats, edges_x: Floats, edges_y: Floats
) -> Floats:
    """Return the mass of mixtures of round Gaussians in each cell.

    Parameters
    ----------
    x, y : array (event,), km
    variance : array (node,), km2
    weight : array (generation, event, node)
        Weights of each event's mixture, one mixture for each generation.
    edges_x, edges_y : array, km
        Cell edges.

    Returns
    -------
    array (generation, event, rows * columns)
        Rows run south to north.
    """
    generations, events, nodes = weight.shape
    rows, columns = edges_y.size - 1, edges_x.size - 1
    out = np.empty((generations, events, rows * columns))
    in_x = np.empty((nodes, columns))
    in_y = np.empty((nodes, rows))
    for i in range(events):
        for v in range(nodes):
            width = math.sqrt(2.0 * variance[v])
            last = math.erf((edges_x[0] - x[i]) / width)
            for column in range(columns):
                this = math.erf((edges_x[column + 1] - x[i]) / width)
                in_x[v, column] = 0.5 * (this - last)
                last = this
            last = math.erf((edges_y[0] - y[i]) / width)
            for row in range(rows):
                this = math.erf((edges_y[row + 1] - y[i]) / width)
                in_y[v, row] = 0.5 * (this - last)
                last = this
        for g in range(generations):
            scaled = (in_y.T * weight[g, i]).copy()
            out[g, i] = np.dot(scaled, in_x).ravel()
    return out
