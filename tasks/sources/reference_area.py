"""The place that an interferogram's motion is relative to: a disc whose median is taken off."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.regions import Region, SourceConfig
from tasks.sources.options import text_option

_KM_PER_DEGREE: Final = 111.195


class ReferenceArea(NamedTuple):
    """A disc whose median motion is taken as none: degree, degree, km."""

    latitude: float
    longitude: float
    radius_km: float

    def __str__(self) -> str:
        """Return what the Dataset's attribute says."""
        return f"{self.latitude:g},{self.longitude:g},{self.radius_km:g} km"

    def mask(self, lat: np.ndarray, lon: np.ndarray) -> NDArray[np.bool_]:
        """Return True (lat, lon) for the pixels of the axes `lat`, `lon`, degree, with their centre in the disc."""
        north = (lat - self.latitude) * _KM_PER_DEGREE
        east = (lon - self.longitude) * _KM_PER_DEGREE * np.cos(np.radians(self.latitude))
        inside: NDArray[np.bool_] = np.hypot(north[:, None], east[None, :]) <= self.radius_km
        return inside


def reference_area(config: SourceConfig, region: Region) -> ReferenceArea | None:
    """Return the option `reference`, "lat,lon,radius_km"; None where it is not given.

    Raises
    ------
    ValueError
        If it is something else or its centre is outside the region, where nothing is read.
    """
    text = text_option(config, "reference", "")
    if not text:
        return None
    try:
        area = ReferenceArea(*(float(part) for part in text.split(",")))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"source {config.group}: option 'reference' must be 'lat,lon,radius_km', found {text!r}"
        ) from error
    box = region.bounds
    inside = box.south <= area.latitude < box.north and box.west <= area.longitude < box.east
    if not inside or not area.radius_km > 0:
        raise ValueError(
            f"source {config.group}: option 'reference' must be a disc with its centre in {region.name}, "
            f"found {text!r}"
        )
    return area
