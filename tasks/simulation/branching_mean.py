"""Mean offspring of all generations: the linear Volterra equation E[N] = direct + E[N] * kernel."""

from dataclasses import dataclass

import numpy as np

from tasks.simulation.etas_law import EtasLaw
from tasks.simulation.geometry import Domain, Floats

EARLY_DAYS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0)
MAGNITUDE_NODES = 48
PARENT_PLACES = 4


def lead_bins(horizons: Floats) -> Floats:
    """Return edges of lead time, days, fine after the issue time, with every horizon among them."""
    longest = float(np.max(horizons))
    if np.min(horizons) <= 0:
        raise ValueError(f"horizons must be positive days, found {horizons!r}")
    later = np.arange(30.0, longest, 15.0)
    edges = np.unique(np.concatenate([EARLY_DAYS, horizons, later]))
    return np.asarray(edges[edges <= longest])


@dataclass(frozen=True)
class BranchingMean:
    """Weights (horizon, bin, wavenumbers) by which direct counts of a bin count, with all their offspring."""

    weights: Floats
    size: int

    @classmethod
    def of(cls, domain: Domain, law: EtasLaw, edges: Floats, horizons: Floats) -> "BranchingMean":
        """Return the solution of the Volterra equation for each wavenumber, by one triangular solve each.

        Parents are taken as uniform within their bin and cell, and their magnitudes as drawn anew: the mean
        kernel is the productivity-weighted mean over magnitudes. Offspring that leave the padded grid come back
        on its other side.
        """
        start, stop = edges[:-1], edges[1:]

        def offspring_by(moment: Floats) -> Floats:
            upper = law.omori_cdf_integral(moment[None, :] - start[:, None])
            lower = law.omori_cdf_integral(moment[None, :] - stop[:, None])
            return np.asarray((upper - lower) / (stop - start)[:, None])

        temporal = offspring_by(stop) - offspring_by(start)
        size = 2 ** int(np.ceil(np.log2(2 * max(domain.shape))))
        kernel = _mean_kernel(domain, law, size)
        spectrum = law.config.branching_ratio * np.fft.rfft2(np.fft.ifftshift(kernel)).real
        matrix = np.eye(len(start)) - spectrum[..., None, None] * temporal
        wanted = (stop[:, None] <= horizons[None, :] + 1e-9).astype(float)
        solved = np.linalg.solve(matrix, np.broadcast_to(wanted, (*spectrum.shape, *wanted.shape)))
        return cls(np.ascontiguousarray(np.moveaxis(solved, (-1, -2), (0, 1))), size)

    def counts(self, direct: Floats) -> Floats:
        """Return mean counts (issue, horizon, lat, lon) of direct counts (issue, bin, lat, lon)."""
        rows, columns = direct.shape[-2:]
        spectrum = np.fft.rfft2(direct, s=(self.size, self.size))
        total = np.einsum("ibyx,hbyx->ihyx", spectrum, self.weights)
        field = np.fft.irfft2(total, s=(self.size, self.size))[..., :rows, :columns]
        return np.maximum(field, 1e-12)


def _mean_kernel(domain: Domain, law: EtasLaw, size: int) -> Floats:
    """Return the share of offspring by cell offset (lat, lon), centred, summing to 1."""
    dx = float(domain.x_edges[1] - domain.x_edges[0])
    dy = float(domain.y_edges[1] - domain.y_edges[0])
    edges = np.arange(size + 1) - size // 2 - 0.5
    span = law.config.magnitude_max - law.magnitude_min
    magnitude = law.magnitude_min + span * (np.arange(MAGNITUDE_NODES) + 0.5) / MAGNITUDE_NODES
    weight = np.exp(-law.beta * magnitude) * law.productivity(magnitude)
    weight /= weight.sum()
    kernel = np.zeros((size, size))
    places = (np.arange(PARENT_PLACES) + 0.5) / PARENT_PLACES - 0.5
    for px in places:
        for py in places:
            x, y = np.full(len(magnitude), px * dx), np.full(len(magnitude), py * dy)
            mass = law.cell_mass(edges * dx, edges * dy, x, y, magnitude)
            kernel += np.tensordot(weight, mass, axes=1) / PARENT_PLACES**2
    return np.asarray(kernel / kernel.sum())
