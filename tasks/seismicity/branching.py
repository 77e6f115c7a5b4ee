"""The mean of the ETAS branching process on a grid, as one linear operator built once.

With the Omori law as a sum of exponentials (`kernels.omori_exponentials`), h(s) = sum_k w_k exp(-x_k s), the expected
rate in the cells is R = b + sum_k z_k, and each z_k follows

    dz_k/ds = -x_k z_k + w_k n W R,

where n is the branching ratio and W carries an event from the cell of its parent to its own cell, averaged over the
magnitudes of future parents and over places in the cell. The cells are equal rectangles, so W is symmetric; in its
eigenvectors the equations fall apart into one small symmetric system per eigenvalue, and the expected counts of every
horizon are exact integrals of its exponential. No generation is cut off and nothing is drawn at random.

W takes parents as spread evenly over their cell, but the first descendants of a known event crowd around it. So the
first `GENERATIONS` generations after an event's direct offspring are placed from its true epicentre
(`generation_weights`), and W carries only what comes after them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from tasks.seismicity.etas import EtasParameters
from tasks.seismicity.geometry import Plane
from tasks.seismicity.kernels import cell_masses, omori_exponentials

Floats = NDArray[np.float64]

GENERATIONS = 2


class MeanOperator(NamedTuple):
    """What turns the state at an issue time into expected counts.

    Attributes
    ----------
    rates : array (term,), 1/day
        x_k.
    modes : array (cell, mode)
        Orthonormal eigenvectors of W on the grown grid.
    response : array (generation, horizon, term, mode)
        Expected counts per unit of sum_j kappa_j exp(-x_k age_j), placed as generation 0, 1, ... of the events; the
        last one stands for all later generations, too.
    constant : array (horizon, mode)
        Expected counts of background events after issue time and all their descendants.
    """

    rates: Floats
    modes: Floats
    response: Floats
    constant: Floats


def _magnitude_nodes(parameters: EtasParameters, count: int = 16) -> tuple[Floats, Floats]:
    """Return magnitudes above m0, and the share of offspring whose parent has them."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    m = 0.5 * (parameters.magnitude_max - parameters.m0) * (nodes + 1.0)
    share = weights * np.exp((parameters.alpha - parameters.b * np.log(10.0)) * m)
    return m, share / share.sum()


def offspring_matrix(parameters: EtasParameters, plane: Plane, margin_cells: int) -> Floats:
    """Return W (cell, cell): the share of direct offspring of an event in one cell that lands in another.

    Rows sum to less than 1: what leaves the grown grid is lost. Parents are averaged over 8 x 8 places in the cell.
    """
    rows, columns = plane.rows + 2 * margin_cells, plane.columns + 2 * margin_cells
    nodes, weights = np.polynomial.legendre.leggauss(8)
    place_x, place_y = np.meshgrid(0.5 * plane.dx * nodes, 0.5 * plane.dy * nodes)
    place_share = np.outer(weights, weights).ravel() / 4.0
    edges_x = np.asarray(plane.dx * (np.arange(-columns + 1, columns + 1) - 0.5), np.float64)
    edges_y = np.asarray(plane.dy * (np.arange(-rows + 1, rows + 1) - 0.5), np.float64)
    by_offset = np.zeros((2 * rows - 1) * (2 * columns - 1))
    m, magnitude_share = _magnitude_nodes(parameters)
    x, y = place_x.ravel(), place_y.ravel()
    quadrant = (x > 0) & (y > 0)
    for magnitude, share in zip(m, magnitude_share, strict=True):
        scale = np.full(int(quadrant.sum()), parameters.d * np.exp(parameters.gamma * magnitude))
        mass = cell_masses(x[quadrant], y[quadrant], scale, parameters.q - 1.0, edges_x, edges_y)
        by_offset += share * 4.0 * place_share[quadrant] @ mass
    grid = by_offset.reshape(2 * rows - 1, 2 * columns - 1)
    # Only the first quadrant of places was integrated: the other three are its mirror images.
    grid = 0.25 * (grid + grid[::-1] + grid[:, ::-1] + grid[::-1, ::-1])
    row, column = np.divmod(np.arange(rows * columns), columns)
    return np.asarray(grid[row[None] - row[:, None] + rows - 1, column[None] - column[:, None] + columns - 1])


def mean_operator(
    parameters: EtasParameters,
    background: Floats,
    plane: Plane,
    margin_cells: int,
    horizons: Floats,
    longest_days: float,
) -> MeanOperator:
    """Return the operator for these parameters.

    Parameters
    ----------
    parameters : EtasParameters
        The model.
    background : array (lat, lon)
        Share of the background in each cell of the box; outside the box there is none.
    plane : Plane
        The cells.
    margin_cells : int
        Cells around the box that hold events and their descendants.
    horizons : array (horizon,), days
        Forecast lengths.
    longest_days : float
        Age of the oldest event plus the longest horizon.
    """
    values, modes = np.linalg.eigh(offspring_matrix(parameters, plane, margin_cells))
    rates, weights = omori_exponentials(parameters.c, parameters.p, longest_days)
    root = np.sqrt(weights)
    n = parameters.branching_ratio
    drive = np.pad(parameters.mu * background, margin_cells).ravel() @ modes
    # Two more eigenvalues: 0 and next to 0, for the generations whose places are known exactly.
    near = 1e-3
    values_and_zero = np.concatenate([values, [0.0, near, 2.0 * near]])
    full = np.empty((len(horizons), len(rates), len(values_and_zero)))
    constant = np.empty((len(horizons), len(values)))
    diagonal = np.diag(-rates)
    coupling = np.outer(root, root)
    for mode, value in enumerate(values_and_zero):
        # y_k = z_k / root_k makes the system symmetric: dy/ds = A y + n value root b.
        decay, vectors = np.linalg.eigh(diagonal + n * value * coupling)
        projected = root @ vectors
        for i, horizon in enumerate(horizons):
            exponent = decay * horizon
            once = horizon * _phi1(exponent)
            twice = horizon**2 * _phi2(exponent)
            full[i, :, mode] = root * ((projected * once) @ vectors.T)
            if mode < len(values):
                constant[i, mode] = drive[mode] * (horizon + n * value * float((projected**2 * twice).sum()))
    return MeanOperator(rates, modes, _by_generation(full, values, near), constant)


def _by_generation(full: Floats, values: Floats, near: float) -> Floats:
    """Split responses r(value) into r(0), r'(0), ... and the rest, so that their sum with powers of value is r.

    `full` ends with r at 0, near and 2 near. The g-th part is the g-th divided difference at 0; close to 0, where
    division would lose all digits, it is interpolated from the values at near and 2 near.
    """
    points = np.concatenate([values, [0.0, near, 2.0 * near]])
    part, parts = full, []
    for _ in range(GENERATIONS):
        at_zero = part[..., -3]
        parts.append(np.repeat(at_zero[..., None], values.size, axis=-1))
        close = np.abs(points) < 0.5 * near
        quotient = (part - at_zero[..., None]) / np.where(close, 1.0, points)
        line = (quotient[..., -1] - quotient[..., -2]) / near
        straight = quotient[..., -2, None] + line[..., None] * (points - near)
        part = np.where(close, straight, quotient)
    return np.stack([*parts, part[..., : values.size]])


def variance_nodes(parameters: EtasParameters, step: float = 0.25) -> Floats:
    """Return the variances (node,), km2, with which round Gaussians make up every kernel of the model."""
    return np.asarray(np.exp(np.arange(np.log(parameters.d / 100.0), np.log(1e9), step)), np.float64)


def _as_mixture(scale: Floats, q1: float, variance: Floats) -> Floats:
    """Return the weights (scale, node) of the power law as a mixture of Gaussians.

    (q1/pi) D^q1 (r^2 + D)^-(1+q1) has a variance v with D/(2v) of Gamma law q1; trapezoidal rule in ln v.
    """
    x = 0.5 * scale[:, None] / variance
    step = np.log(variance[1] / variance[0])
    return np.asarray(step * np.exp(q1 * np.log(x) - x - gammaln(q1)))


def generation_weights(parameters: EtasParameters, above: Floats, variance: Floats) -> Floats:
    """Return the Gaussian mixtures of the places of an event's descendants, generation by generation.

    Places of generation g are the event's own kernel convolved g times with that of an average parent; variances of
    Gaussians add, so each convolution is one matrix on the nodes.

    Parameters
    ----------
    parameters : EtasParameters
        The model.
    above : array (event,)
        Magnitude above m0.
    variance : array (node,), km2

    Returns
    -------
    array (GENERATIONS, event, node)
        Generations 1, 2, ...; generation 0 is the direct offspring.
    """
    q1 = parameters.q - 1.0
    m, share = _magnitude_nodes(parameters)
    average = share @ _as_mixture(parameters.d * np.exp(parameters.gamma * m), q1, variance)
    total = (variance[:, None] + variance).ravel()
    low = np.clip(np.searchsorted(variance, total) - 1, 0, variance.size - 2)
    upper = np.clip((total - variance[low]) / (variance[low + 1] - variance[low]), 0.0, 1.0)
    add = np.zeros((variance.size, variance.size))
    start = np.repeat(np.arange(variance.size), variance.size)
    mass = np.tile(average, variance.size)
    np.add.at(add, (start, low), (1.0 - upper) * mass)
    np.add.at(add, (start, low + 1), upper * mass)
    weight = _as_mixture(parameters.d * np.exp(parameters.gamma * above), q1, variance)
    generations = []
    for _ in range(GENERATIONS):
        weight = weight @ add
        generations.append(weight)
    return np.stack(generations)


def _phi1(z: Floats) -> Floats:
    """Return (e^z - 1) / z."""
    safe = np.where(np.abs(z) < 1e-12, 1.0, z)
    return np.where(np.abs(z) < 1e-12, 1.0, np.expm1(safe) / safe)


def _phi2(z: Floats) -> Floats:
    """Return (e^z - 1 - z) / z^2."""
    safe = np.where(np.abs(z) < 1e-4, 1.0, z)
    return np.where(np.abs(z) < 1e-4, 0.5 + z / 6.0 + z**2 / 24.0, (np.expm1(safe) - safe) / safe**2)
