"""Faults: where the background is high, where slow slip happens, and how earthquakes strike and dip."""

from dataclasses import dataclass

import numpy as np

from tasks.simulation.config import FaultConfig, SeismicityConfig
from tasks.simulation.geometry import Domain, Floats, LocalPlane


@dataclass(frozen=True)
class Fault:
    """A segment in the local plane; ends in km, strike clockwise from north, dip down to its right."""

    start: tuple[float, float]
    end: tuple[float, float]
    strike_deg: float
    dip_deg: float
    rake_deg: float
    half_width_km: float
    share: float

    @classmethod
    def of(cls, config: FaultConfig, plane: LocalPlane) -> "Fault":
        """Return the configured fault in `plane`."""
        x, y = plane.to_km(
            [config.start_latitude, config.end_latitude], [config.start_longitude, config.end_longitude]
        )
        strike = float(np.degrees(np.arctan2(x[1] - x[0], y[1] - y[0])) % 360)
        return cls(
            start=(float(x[0]), float(y[0])),
            end=(float(x[1]), float(y[1])),
            strike_deg=strike,
            dip_deg=config.dip_deg,
            rake_deg=config.rake_deg,
            half_width_km=config.half_width_km,
            share=config.share,
        )

    @property
    def length_km(self) -> float:
        """Length of the segment, km."""
        return float(np.hypot(self.end[0] - self.start[0], self.end[1] - self.start[1]))

    def along(self, fraction: Floats) -> tuple[Floats, Floats]:
        """Return points (x, y), km, at fractions 0..1 of the length."""
        (x0, y0), (x1, y1) = self.start, self.end
        return x0 + fraction * (x1 - x0), y0 + fraction * (y1 - y0)

    def distance(self, x: Floats, y: Floats) -> Floats:
        """Return the distance of points from the segment, km."""
        (x0, y0), (x1, y1) = self.start, self.end
        fraction = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / self.length_km**2, 0, 1)
        px, py = self.along(fraction)
        return np.asarray(np.hypot(x - px, y - py))


def background_field(domain: Domain, config: SeismicityConfig, faults: list[Fault]) -> Floats:
    """Return the background's expected events per day of each sub-cell (sub_lat, sub_lon).

    Gaussian across each fault with the fault's share, the rest uniform; sums to `background_per_day`.
    """
    x, y = np.meshgrid(domain.sub_x, domain.sub_y)
    floor = 1.0 - sum(f.share for f in faults)
    field = np.full(x.shape, floor / x.size)
    for fault in faults:
        weight = np.exp(-0.5 * (fault.distance(x, y) / fault.half_width_km) ** 2)
        field += fault.share * weight / weight.sum()
    return np.asarray(config.background_per_day * field)


def nearest_fault(faults: list[Fault], x: float, y: float) -> Fault:
    """Return the fault nearest to a point, whose mechanism an earthquake there takes."""
    return min(faults, key=lambda f: float(f.distance(np.array(x), np.array(y))))
