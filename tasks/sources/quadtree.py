"""Quadtree-reduced interferograms: points of longitude, latitude, height, look vector and line-of-sight motion."""

from pathlib import Path

import numpy as np

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.interferograms import Frame, known_at, stack
from tasks.sources.options import number_option, time_option
from tasks.sources.payloads import empty, locate, read_text
from tasks.sources.rasters import unit_look

_WIDTH = 8


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return one `.lltnde[.xz]` file as a one-frame raster: means of the points in bins of `step_deg` (default 0.02).

    Columns: longitude, latitude, topography m, look vector east, north, up (ground to satellite), LOS displacement mm
    positive towards the satellite, weight (not used). Bins without a point are NaN, flag 1: the points are dense only
    near the fault. Coherence is unknown. The file has no dates: options `time_start` and `time` (ISO, required)
    give the acquisitions. `available_time` is the end of the later day plus `latency_days`: vintage "reconstructed".

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    start, time = time_option(config, "time_start"), time_option(config, "time")
    step = number_option(config, "step_deg", 0.02)
    path = locate(config, root)
    try:
        rows = np.array(
            [line.split() for line in read_text(path).splitlines() if line.strip()], dtype=np.float64
        )
    except ValueError as error:
        raise SourceDataInvalid(path, f"{_WIDTH} numbers in each row", str(error)) from error
    if rows.ndim != 2 or rows.shape[1] != _WIDTH:
        raise SourceDataInvalid(path, f"{_WIDTH} numbers in each row", f"an array of shape {rows.shape}")
    box = region.bounds
    inside = (
        (rows[:, 0] >= box.west)
        & (rows[:, 0] < box.east)
        & (rows[:, 1] >= box.south)
        & (rows[:, 1] < box.north)
    )
    if not inside.any() or not window.start <= time < window.end:
        raise empty(config, root, region, window)
    rows = rows[inside]
    east, north, up = unit_look(path, rows[:, 3], rows[:, 4], rows[:, 5])
    shape = (round((box.north - box.south) / step), round((box.east - box.west) / step))
    row = np.minimum(((rows[:, 1] - box.south) / step).astype(int), shape[0] - 1)
    column = np.minimum(((rows[:, 0] - box.west) / step).astype(int), shape[1] - 1)
    cell = row * shape[1] + column
    count = np.bincount(cell, minlength=shape[0] * shape[1]).astype(np.float64)
    count[count == 0] = np.nan

    def mean(values: np.ndarray) -> np.ndarray:
        total = np.bincount(cell, weights=values, minlength=count.size)
        result: np.ndarray = (total / count).reshape(shape)
        return result

    # a mean of unit vectors is a little short
    look = [mean(part.astype(np.float64)) for part in (east, north, up)]
    length = np.sqrt(sum(part**2 for part in look))
    return stack(
        config,
        region,
        path,
        (box.south + (np.arange(shape[0]) + 0.5) * step, box.west + (np.arange(shape[1]) + 0.5) * step),
        [Frame(start, time, known_at(config, time, None), mean(rows[:, 6] / 1000.0), None)],
        (look[0] / length, look[1] / length, look[2] / length),
        track=path.name.split(".")[0],
        licence="GPL-3.0 package data: local use",
        vintage="reconstructed",
    )
