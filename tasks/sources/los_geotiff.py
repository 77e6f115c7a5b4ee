"""Interferograms of one track as line-of-sight GeoTIFFs, in the folder layout of COMET LiCSAR."""

import re
from pathlib import Path

import numpy as np

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.frame_layout import on_grid, read_look
from tasks.sources.interferograms import Frame, acquisition, in_order, modified_at, stack
from tasks.sources.options import choice_option, latency
from tasks.sources.payloads import empty, locate, read_each
from tasks.sources.rasters import read_raster, unit_look

_PAIR = re.compile(r"(\d{8})_(\d{8})")
_DAY = np.timedelta64(1, "D").astype("timedelta64[ns]")


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the interferograms of one track whose later day is inside the window.

    The path holds `metadata/<track>.geo.{E,N,U}.tif` (unit vector ground to satellite) and
    `interferograms/<pair>/<pair>.geo.{los,cc}.tif` with pair `YYYYMMDD_YYYYMMDD`: `los` in metres, positive towards
    the satellite, NaN no data; `cc` coherence as uint8 0..255 or float 0..1, 0 no data; a missing `cc` is NaN. A pair
    folder without `los` is normal and passed over. The acquisitions' hour is not in the names: `time` is the later
    day's midnight, and `available_time` the later day plus `latency_days`, at least that day's end (vintage
    "reconstructed"). Option `availability: modified_time` takes the file's time of modification where that is later
    (vintage "as issued"). Option `reference` "lat,lon,radius_km". Of pairs with one later day the shortest is used,
    with a message.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says. A pair on another grid than the look vectors is invalid.
    """
    availability = choice_option(config, "availability", ("rule", "modified_time"))
    folder = locate(config, root)
    east, north, up, track, first = read_look(folder, region)
    if east is None or north is None or up is None:
        raise empty(config, root, region, window)
    look = unit_look(first, east.values, north.values, up.values)

    def read(path: Path) -> Frame | None:
        days = _PAIR.fullmatch(path.parent.name)
        if days is None:
            raise SourceDataInvalid(path, "a folder named YYYYMMDD_YYYYMMDD", path.parent.name)
        start, time = (acquisition(path, day) for day in days.groups())
        in_order(path, start, time)
        if not window.start <= time < window.end:
            return None
        los = on_grid(path, read_raster(path, region.bounds), east)
        available = time + max(_DAY, latency(config))
        if availability == "modified_time":
            available = max(available, modified_at(path))
        quality = path.with_name(path.name.replace(".geo.los.", ".geo.cc."))
        coherence = None
        if quality.is_file():
            raster = read_raster(quality, region.bounds)
            coherence = on_grid(quality, raster, east)
            coherence = np.where(
                coherence > 0, coherence / (255.0 if raster and raster.dtype == "uint8" else 1.0), np.nan
            )
        return Frame(start, time, available, los, coherence)

    frames, invalid = read_each(sorted(folder.glob("interferograms/*/*.geo.los.tif")), read)
    if not frames:
        raise empty(config, root, region, window)
    return stack(
        config, region, folder, (east.lat, east.lon), frames, look, track=track, invalid=invalid,
        vintage="as issued" if availability == "modified_time" else "reconstructed",
        licence="as stated by the interferograms' provider",
    )  # fmt: skip
