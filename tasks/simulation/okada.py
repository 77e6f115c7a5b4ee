"""Surface displacement of rectangular dislocations in an elastic half-space (Okada 1985), through triangles."""

from dataclasses import dataclass

import cutde.halfspace
import numpy as np

from tasks.simulation.geometry import Floats


@dataclass(frozen=True)
class Rectangle:
    """A fault plane: (x, y, depth) in km of the middle of its upper edge, sizes in km, slip in m.

    Strike is clockwise from north, the plane dips down to the right of it; rake after Aki and Richards (0 left-
    lateral, 90 reverse).
    """

    x: float
    y: float
    top_km: float
    strike_deg: float
    dip_deg: float
    length_km: float
    width_km: float
    slip_m: float
    rake_deg: float


def dislocation(
    x: Floats,
    y: Floats,
    length: float,
    width: float,
    depth: float,
    dip_deg: float,
    slip: Floats,
    poisson: float,
) -> Floats:
    """Return surface displacement (point, 3) in the fault's frame, in the unit of `slip`.

    Okada's (1985) frame: x along strike from the lower edge's end, y to the left of it, z up; `depth` is that
    of the LOWER edge; the plane rises towards +y. `slip` is (strike, dip, tensile). Two triangles make the
    rectangle (cutde, after Nikkhoo and Walter 2015). x, y, length, width, depth share one unit.
    """
    dip = np.radians(dip_deg)
    up, across = width * np.sin(dip), width * np.cos(dip)
    corners = np.array(
        [[0, 0, -depth], [length, 0, -depth], [length, across, up - depth], [0, across, up - depth]],
        dtype=np.float64,
    )
    triangles = corners[np.array([[0, 1, 2], [0, 2, 3]])]
    points = np.stack([x, y, np.zeros_like(x)], axis=1).astype(np.float64)
    slips = np.tile(np.asarray(slip, dtype=np.float64), (2, 1))
    return np.asarray(cutde.halfspace.disp_free(points, triangles, slips, poisson))


def displacement(x: Floats, y: Floats, rectangle: Rectangle, poisson: float) -> Floats:
    """Return surface displacement (point, 3) east, north, up, m, at points in km."""
    r = rectangle
    strike, dip, rake = np.radians(r.strike_deg), np.radians(r.dip_deg), np.radians(r.rake_deg)
    along = np.array([np.sin(strike), np.cos(strike)])
    left = np.array([-np.cos(strike), np.sin(strike)])
    # the lower edge lies to the right of strike, where the plane dips
    reach = r.width_km * np.cos(dip)
    origin = np.array([r.x, r.y]) - along * r.length_km / 2 - left * reach
    relative = np.stack([x, y], axis=1) - origin
    bottom = r.top_km + r.width_km * np.sin(dip)
    slip = r.slip_m * np.array([np.cos(rake), np.sin(rake), 0.0])
    local = dislocation(
        relative @ along, relative @ left, r.length_km, r.width_km, bottom, r.dip_deg, slip, poisson
    )
    horizontal = local[:, :1] * along + local[:, 1:2] * left
    return np.concatenate([horizontal, local[:, 2:]], axis=1)
