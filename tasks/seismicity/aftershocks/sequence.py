"""An earthquake sequence: the event that is asked about, what followed it, and the zone that a forecast speaks of."""

from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.regions import Region
from tasks.seismicity.catalog import Events, select_events, to_days
from tasks.seismicity.geometry import Plane
from tasks.seismicity.sequences import rupture_length_km

Floats = NDArray[np.float64]

# A zone reaches so many rupture lengths from the largest event, at least so many km.
ZONE_LENGTHS: Final = 2.0
LEAST_KM: Final = 15.0


class UnknownEvent(ValueError):
    """No such event is known at the issue time."""


class Zone(NamedTuple):
    """A circle in the plane, clipped to what the region's catalog covers; km.

    Attributes
    ----------
    x, y, radius : float
        Centre and radius.
    box : array (4,)
        West, east, south and north of the region with its margin.
    """

    x: float
    y: float
    radius: float
    box: Floats

    def holds(self, x: Floats, y: Floats) -> NDArray[np.bool_]:
        """Return which places lie inside."""
        west, east, south, north = self.box
        near = (x - self.x) ** 2 + (y - self.y) ** 2 <= self.radius**2
        return np.asarray(near & (x >= west) & (x < east) & (y >= south) & (y < north))


class Sequence(NamedTuple):
    """What is known of a sequence at one moment.

    Attributes
    ----------
    event_id : str
        The event that is asked about, the trigger.
    origin : float
        Its time, days since 1970-01-01.
    magnitude : float
        Its magnitude as known.
    largest_id : str
        The largest event of the zone since then; the trigger itself where nothing larger has followed.
    largest_magnitude : float
    zone : Zone
        Around the largest event.
    events : Events
        All events known at the moment.
    members : bool array (event,)
        Those of the zone from the trigger on.
    issue : float
        The moment, days since 1970-01-01.
    """

    event_id: str
    origin: float
    magnitude: float
    largest_id: str
    largest_magnitude: float
    zone: Zone
    events: Events
    members: NDArray[np.bool_]
    issue: float


def zone_of(events: Events, index: int, region: Region) -> Zone:
    """Return the zone in which an event's aftershocks are expected."""
    wide = region.bounds.grown(region.margin_deg)
    west_east, south_north = Plane.of(region).project([wide.south, wide.north], [wide.west, wide.east])
    radius = max(ZONE_LENGTHS * float(rupture_length_km(events.magnitude[index])), LEAST_KM)
    box = np.concatenate([west_east, south_north])
    return Zone(float(events.x[index]), float(events.y[index]), radius, box)


def sequence_at(known: xr.Dataset, region: Region, event_id: str, issue_time: np.datetime64) -> Sequence:
    """Return the sequence of an event as known at `issue_time`.

    Parameters
    ----------
    known : Dataset (event), one row per event
        What was known at the issue time (`known_at`).
    region : Region
    event_id : str
        The trigger.
    issue_time : datetime64
        UTC.

    Raises
    ------
    UnknownEvent
        If the event is not among those M >= completeness of the box and its margin.
    """
    events = select_events(known, region)
    ids = known["event_id"].to_numpy().astype(str)[events.row]
    found = np.flatnonzero(ids == event_id)
    if not found.size:
        raise UnknownEvent(
            f"event {event_id!r}: expected one M >= {region.magnitude_completeness:g} of region {region.name!r} "
            f"that was known at {str(issue_time)[:19]}Z; none of {ids.size} has this id"
        )
    first = int(found[0])
    issue = float(to_days(issue_time))
    later = events.days >= events.days[first]
    largest, zone = first, zone_of(events, first, region)
    while True:  # a larger event widens the zone, in which a larger one may be found
        inside = np.flatnonzero(later & zone.holds(events.x, events.y))
        top = int(inside[np.argmax(events.magnitude[inside])]) if inside.size else largest
        if events.magnitude[top] <= events.magnitude[largest]:
            break
        largest, zone = top, zone_of(events, top, region)
    members = later & zone.holds(events.x, events.y)
    members[first] = True  # the zone may have moved away from it
    return Sequence(
        event_id,
        float(events.days[first]),
        float(events.magnitude[first]),
        str(ids[largest]),
        float(events.magnitude[largest]),
        zone,
        events,
        members,
        issue,
    )
