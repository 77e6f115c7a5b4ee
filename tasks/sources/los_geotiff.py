"""Interferograms of one track as line-of-sight GeoTIFFs, in the folder layout of COMET LiCSAR."""

import re
from pathlib import Path

import numpy as np

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid, SourceMissing
from tasks.sources.options import choice_option, latency
from tasks.sources.payloads import empty, locate, read_each
from tasks.sources.rasters import Raster, insar_dataset, read_raster, unit_look

_PAIR = re.compile(r"(\d{8})_(\d{8})")
_DAY = np.timedelta64(1, "D").astype("timedelta64[ns]")
_Frame = tuple[np.datetime64, np.datetime64, np.datetime64, np.ndarray, np.ndarray | None]


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the interferograms of one track whose later day is inside the window.

    The path holds `metadata/<track>.geo.{E,N,U}.tif` (unit vector ground to satellite) and
    `interferograms/<pair>/<pair>.geo.{los,cc}.tif` with pair `YYYYMMDD_YYYYMMDD`: `los` in metres, positive towards the
    satellite, NaN no data; `cc` coherence as uint8 0..255 or float 0..1, 0 no data; a missing `cc` is NaN. A pair
    folder without `los` is normal and passed over. The acquisitions' hour is not in the names: `time` is the later
    day's midnight, and `available_time` the later day plus `latency_days`, at least that day's end (vintage
    "reconstructed"). Option `availability: modified_time` takes the file's time of modification where that is
    later (vintage "as issued"). Of pairs with one later day the shortest is used, with a message.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says. A pair on another grid than the look vectors is invalid.
    """
    availability = choice_option(config, "availability", ("rule", "modified_time"))
    folder = locate(config, root)
    east, north, up, track, first = _read_look(folder, region)
    if east is None or north is None or up is None:
        raise empty(config, root, region, window)
    look = unit_look(first, east.values, north.values, up.values)

    def read(path: Path) -> _Frame | None:
        days = _PAIR.fullmatch(path.parent.name)
        if days is None:
            raise SourceDataInvalid(path, "a folder named YYYYMMDD_YYYYMMDD", path.parent.name)
        start, time = (np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:]}", "ns") for d in days.groups())
        if start >= time:
            raise SourceDataInvalid(path, "the earlier day first in the pair's name", path.parent.name)
        if not window.start <= time < window.end:
            return None
        los = _on_grid(path, read_raster(path, region.bounds), east)
        available = time + max(_DAY, latency(config))
        if availability == "modified_time":
            available = max(available, np.datetime64(path.stat().st_mtime_ns, "ns"))
        quality = path.with_name(path.name.replace(".geo.los.", ".geo.cc."))
        coherence = None
        if quality.is_file():
            raster = read_raster(quality, region.bounds)
            coherence = _on_grid(quality, raster, east)
            coherence = np.where(
                coherence > 0, coherence / (255.0 if raster and raster.dtype == "uint8" else 1.0), np.nan
            )
        return start, time, available, los, coherence

    frames, invalid = read_each(sorted(folder.glob("interferograms/*/*.geo.los.tif")), read)
    if not frames:
        raise empty(config, root, region, window)
    frames, longer = _shortest_pairs(frames, folder)
    vintage = "as issued" if availability == "modified_time" else "reconstructed"
    dataset = insar_dataset(
        config, east.lat, east.lon, frames, look, track, "as stated by the interferograms' provider", vintage
    )
    return Fetched(dataset, tuple(invalid + longer))


def _read_look(folder: Path, region: Region) -> tuple[Raster | None, Raster | None, Raster | None, str, Path]:
    first = next(iter(sorted(folder.glob("metadata/*.geo.E.tif"))), None)
    if first is None:
        raise SourceMissing(f"{folder}: expected look vectors in metadata/<track>.geo.E.tif, found none")
    track = first.name.removesuffix(".geo.E.tif")
    paths = [first.with_name(f"{track}.geo.{letter}.tif") for letter in "ENU"]
    east, north, up = (read_raster(path, region.bounds) for path in paths)
    for path, part in zip(paths, (east, north, up), strict=True):
        if part is not None and east is not None:
            _on_grid(path, part, east)
    return east, north, up, track, first


def _on_grid(path: Path, raster: Raster | None, reference: Raster) -> np.ndarray:
    """Return the values if the raster lies on the reference's pixels (neighbouring pairs can be off by one)."""
    if raster is None or raster.values.shape != reference.values.shape:
        found = "nothing there" if raster is None else f"{raster.values.shape}"
        raise SourceDataInvalid(
            path, f"the look vectors' {reference.values.shape} pixels in the region", found
        )
    tolerance = 0.01 * abs(float(reference.lat[-1] - reference.lat[0])) / max(1, reference.lat.size - 1)
    offset = max(abs(raster.lat[0] - reference.lat[0]), abs(raster.lon[0] - reference.lon[0]))
    if offset > tolerance:
        raise SourceDataInvalid(path, "the look vectors' grid", f"one that is {offset:.2g} degree away")
    return raster.values


def _shortest_pairs(frames: list[_Frame], folder: Path) -> tuple[list[_Frame], list[SourceDataInvalid]]:
    best: dict[np.datetime64, _Frame] = {}
    for frame in sorted(frames, key=lambda f: f[0]):
        best[frame[1]] = frame  # the latest start wins
    if len(best) == len(frames):
        return frames, []
    found = f"{len(frames) - len(best)} more; the shortest span is used"
    return list(best.values()), [SourceDataInvalid(folder, "one interferogram for each later day", found)]
