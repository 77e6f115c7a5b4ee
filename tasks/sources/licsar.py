"""Interferograms of COMET LiCSAR frames: GeoTIFFs of phase in degrees, and the frame's look vectors."""

import re
from pathlib import Path

import numpy as np

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.frame_layout import on_grid, read_look
from tasks.sources.interferograms import (
    SENTINEL1_RADIAN_M,
    Floats,
    Frame,
    acquisition,
    in_order,
    known_at,
    modified_at,
    phase_to_los,
    stack,
)
from tasks.sources.options import choice_option
from tasks.sources.payloads import empty, locate, read_each, read_text
from tasks.sources.rasters import Raster, read_raster, unit_look

_PAIR = re.compile(r"(\d{8})_(\d{8})")
_CENTER_TIME = re.compile(r"^\s*center_time\s*=\s*(\d{2}):(\d{2}):(\d{2}(?:\.\d+)?)\s*$", re.MULTILINE)


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the interferograms of one frame whose later acquisition is inside the window.

    The path holds `metadata/<frame>.geo.{E,N,U}.tif` (unit vector ground to satellite), `metadata/metadata.txt` (its
    `center_time` is the acquisitions' time of day; without the file it is midnight) and
    `interferograms/<pair>/<pair>.geo.{unw,cc}.tif`: `unw` float radians, growing with range, 0 no data; `cc`
    coherence as uint8 0..255 or float 0..1, 0 no data; a missing `cc` is NaN. A pair folder without `unw` is normal
    (burst overlaps only).

    `available_time` is the time of modification of `unw` (Last-Modified, as a service sets it; vintage "as issued"),
    or with option `availability: rule` the end of the later day plus `latency_days` (vintage "reconstructed"); never
    before that end. Option `reference` "lat,lon,radius_km". Of pairs with one later day the shortest is used.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says. A pair on another grid than the look vectors is invalid.
    """
    availability = choice_option(config, "availability", ("modified_time", "rule"))
    folder = locate(config, root)
    east, north, up, track, first = read_look(folder, region)
    if east is None or north is None or up is None:
        raise empty(config, root, region, window)
    look = unit_look(first, *_known(east.values, north.values, up.values))
    hour = _time_of_day(folder / "metadata" / "metadata.txt")

    def read(path: Path) -> Frame | None:
        days = _PAIR.fullmatch(path.parent.name)
        if days is None:
            raise SourceDataInvalid(path, "a folder named YYYYMMDD_YYYYMMDD", path.parent.name)
        start, time = (acquisition(path, day) + hour for day in days.groups())
        in_order(path, start, time)
        if not window.start <= time < window.end:
            return None
        raster = read_raster(path, region.bounds)
        phase = on_grid(path, raster, east)
        if raster is not None and not raster.dtype.startswith("float"):
            raise SourceDataInvalid(path, "phase in radians as float", raster.dtype)
        los = phase_to_los(path, np.where(phase == 0, np.nan, phase), -SENTINEL1_RADIAN_M)
        said = modified_at(path) if availability == "modified_time" else None
        return Frame(start, time, known_at(config, time, said), los, _coherence(path, region, east))

    frames, invalid = read_each(sorted(folder.glob("interferograms/*/*.geo.unw.tif")), read)
    if not frames:
        raise empty(config, root, region, window)
    return stack(
        config, region, folder, (east.lat, east.lon), frames, look, track=track, invalid=invalid,
        vintage="as issued" if availability == "modified_time" else "reconstructed",
    )  # fmt: skip


def _coherence(unwrapped: Path, region: Region, grid: Raster) -> Floats | None:
    path = unwrapped.with_name(unwrapped.name.replace(".geo.unw.", ".geo.cc."))
    if not path.is_file():
        return None
    raster = read_raster(path, region.bounds)
    values = on_grid(path, raster, grid)
    full = {"uint8": 255.0, "float32": 1.0, "float64": 1.0}.get(raster.dtype if raster else "")
    if full is None or bool((values > full).any()):
        raise SourceDataInvalid(
            path,
            "coherence as uint8 or as float 0..1",
            f"{raster.dtype if raster else ''} up to {np.nanmax(values):g}",
        )
    return np.where(values > 0, values / np.float32(full), np.nan).astype(np.float32)


def _known(*parts: Floats) -> tuple[Floats, Floats, Floats]:
    """Return E, N, U with NaN where all three are 0, which marks no data."""
    nothing = np.logical_and.reduce([part == 0 for part in parts])
    east, north, up = (np.where(nothing, np.nan, part) for part in parts)
    return east, north, up


def _time_of_day(path: Path) -> np.timedelta64:
    if not path.is_file():
        return np.timedelta64(0, "ns")
    found = _CENTER_TIME.search(read_text(path))
    if found is None:
        raise SourceDataInvalid(path, "a line center_time=HH:MM:SS", "none")
    hours, minutes, seconds = (float(part) for part in found.groups())
    if hours >= 24 or minutes >= 60 or seconds >= 61:
        raise SourceDataInvalid(path, "a time of day in center_time", found.group(0).strip())
    return np.timedelta64(round((hours * 3600 + minutes * 60 + seconds) * 1e3) * 1_000_000, "ns")
