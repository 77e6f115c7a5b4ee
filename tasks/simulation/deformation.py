"""Ground displacement of the world: earthquakes with their afterslip, and slow slip, as place x history."""

from dataclasses import dataclass

import numpy as np

from tasks.simulation.faults import Fault, nearest_fault
from tasks.simulation.geometry import Floats
from tasks.simulation.okada import Rectangle, displacement
from tasks.simulation.seismicity import list_events
from tasks.simulation.slow_slip import SlowSlip
from tasks.simulation.world import World


@dataclass(frozen=True)
class Source:
    """A dislocation with its slip history: that of a slow slip, or of an earthquake at `time`, days."""

    rectangle: Rectangle
    time: float
    slow_slip: SlowSlip | None

    def history(self, time: Floats, amplitude: float, tau: float) -> Floats:
        """Return the share of final (slow slip) or coseismic slip at `time`, days; 0 before.

        After an earthquake 1 + amplitude ln(1 + t / tau) (Marone et al. 1991).
        """
        if self.slow_slip is not None:
            # a slow slip from before the world counts from the world's start
            return self.slow_slip.slip_share(time) - self.slow_slip.slip_share(np.zeros(1))
        since = time - self.time
        return np.where(since >= 0, 1 + amplitude * np.log1p(np.maximum(since, 0) / tau), 0.0)


def moment(magnitude: float) -> float:
    """Return the seismic moment, N m (Hanks and Kanamori 1979)."""
    return float(10 ** (1.5 * magnitude + 9.1))


def earthquake_rectangle(
    x: float, y: float, depth_km: float, magnitude: float, fault: Fault, mu: float
) -> Rectangle:
    """Return the rupture of an earthquake, centred on its hypocentre.

    Length and width at depth after Wells and Coppersmith (1994, table 2A, all slip types); slip from the
    moment. A rupture that would reach into the air is moved down.
    """
    length = 10 ** (0.59 * magnitude - 2.44)
    width = min(10 ** (0.32 * magnitude - 1.01), 18.0)
    slip = moment(magnitude) / (mu * length * width * 1e6)
    dip = np.radians(fault.dip_deg)
    top = max(depth_km - width * np.sin(dip) / 2, 0.5)
    return _centred(x, y, top, length, width, slip, fault)


def slow_slip_rectangle(slip: SlowSlip, top_km: float, bottom_km: float, mu: float) -> Rectangle:
    """Return the patch of a slow slip: as long as 1.5 radii, between two depths; slip from its moment."""
    length = 1.5 * slip.radius_km
    width = (bottom_km - top_km) / np.sin(np.radians(slip.fault.dip_deg))
    amount = moment(slip.moment_magnitude) / (mu * length * width * 1e6)
    return _centred(slip.x, slip.y, top_km, length, float(width), amount, slip.fault)


def _centred(
    x: float, y: float, top: float, length: float, width: float, slip: float, fault: Fault
) -> Rectangle:
    strike = np.radians(fault.strike_deg)
    back = width * np.cos(np.radians(fault.dip_deg)) / 2
    # the upper edge lies to the left of strike from the plane's middle
    return Rectangle(
        x=float(x - back * np.cos(strike)),
        y=float(y + back * np.sin(strike)),
        top_km=top,
        strike_deg=fault.strike_deg,
        dip_deg=fault.dip_deg,
        length_km=length,
        width_km=width,
        slip_m=slip,
        rake_deg=fault.rake_deg,
    )


def sources_of(world: World) -> list[Source]:
    """Return the dislocations of the world: slow slip, and earthquakes from `coseismic_magnitude` near the box."""
    c, s = world.config.deformation, world.config.slow_slip
    mu = c.shear_modulus_pa
    sources = [
        Source(slow_slip_rectangle(slip, s.top_km, s.bottom_km, mu), slip.start, slip) for slip in world.slips
    ]
    reach = 100.0
    x, y = world.domain.x_edges, world.domain.y_edges
    large = world.events[world.events["magnitude"] >= c.coseismic_magnitude]
    for event in list_events(large):
        near = x[0] - reach < event.x_km < x[-1] + reach and y[0] - reach < event.y_km < y[-1] + reach
        if not near:
            continue
        fault = nearest_fault(list(world.faults), event.x_km, event.y_km)
        rectangle = earthquake_rectangle(event.x_km, event.y_km, event.depth_km, event.magnitude, fault, mu)
        sources.append(Source(rectangle, event.time_days, None))
    return sources


@dataclass(frozen=True)
class Deformation:
    """Displacement of fixed points: `static` (source, point, 3) m east, north, up, times each source's history."""

    sources: list[Source]
    static: Floats
    amplitude: float
    tau: float

    @classmethod
    def at(cls, world: World, x: Floats, y: Floats) -> "Deformation":
        """Return the deformation of points in km."""
        c = world.config.deformation
        sources = sources_of(world)
        fields = [displacement(x, y, s.rectangle, c.poisson_ratio) for s in sources]
        static = np.stack(fields) if fields else np.zeros((0, len(x), 3))
        return cls(sources, static, c.postseismic_amplitude, c.postseismic_tau_days)

    def histories(self, time: Floats) -> Floats:
        """Return (source, time) shares of slip at times in days."""
        rows = [s.history(time, self.amplitude, self.tau) for s in self.sources]
        return np.stack(rows) if rows else np.zeros((0, len(time)))

    def series(self, time: Floats) -> Floats:
        """Return displacement (time, point, 3), m."""
        return np.asarray(np.einsum("st,spc->tpc", self.histories(time), self.static))
