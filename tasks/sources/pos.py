"""Daily GNSS positions of EarthScope (PBO, GAGE): .pos files with rapid and final solutions."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.clocks import DAY, Times, release_time, with_clocks
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import choice_option, duration, latency, number_option, text_option
from tasks.sources.payloads import empty, list_payloads, read_each
from tasks.sources.plausible import refuse_scatter
from tasks.sources.pos_format import PosFile, read_pos, to_local
from tasks.sources.stations import StationSeries, distance_km, position_dataset

_HALF_DAY = np.timedelta64(12, "h")


class Station(NamedTuple):
    """What all files of one station give, and when each row became known (n,)."""

    series: StationSeries
    available: Times


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return the positions of all `*.pos` files within option `radius_km` (default 150) of the box's centre.

    The rapid and the final file of a station may stand side by side. Option `solution`: `best` (default) takes the
    final solution of a day where there is one and the rapid one elsewhere, `rapid` and `final` take that one alone.
    All files of a station are brought to one reference position (they may be relative to different ones, of another
    release), then to the first row that any of them has: metres, east, north, up. Option `frame` (such as `IGS14`)
    chooses among frames; without it that of the station's first file counts, and files in others are left out.

    `available_time`: rapid rows at the end of the GPS day plus `latency_days`, all others (final, supplementary,
    reprocessed) plus option `final_days` (default 21), or at the file's release date where that is earlier: vintage
    "reconstructed", for the provider dates the file and not the row.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    radius = number_option(config, "radius_km", 150.0)
    solution = choice_option(config, "solution", ("best", "rapid", "final"))
    frame = text_option(config, "frame", "")
    rapid, final = latency(config), duration(number_option(config, "final_days", 21.0))

    def read(path: Path) -> PosFile | None:
        file = read_pos(path)
        refuse_scatter(file.enu[np.argsort(file.day, kind="stable")], path)
        return file if distance_km(region, file.latitude, file.longitude) <= radius else None

    patterns = [f"*.pos{packing}" for packing in ("", ".gz", ".xz")]
    files, invalid = read_each(list_payloads(config, root, *patterns), read)
    complaints = [complaint for file in files for complaint in file.complaints]
    stations: list[Station] = []
    for name in sorted({file.station for file in files}):
        own, others = _one_frame([file for file in files if file.station == name], frame)
        complaints.extend(others)
        if own:
            joined = join_files(own, solution, rapid, final)
            if joined is not None:
                stations.append(joined)
    if not stations:
        raise empty(config, root, region, window)
    dataset = position_dataset(
        [station.series for station in stations], config, root, region, window, _HALF_DAY + rapid,
        "EarthScope (GAGE facility); attribution asked",
    )  # fmt: skip
    clocks = {station.series.station: (station.series.time, station.available) for station in stations}
    return Fetched(with_clocks(dataset, clocks), tuple(invalid + complaints))


def join_files(
    files: Sequence[PosFile], solution: str, rapid: np.timedelta64, final: np.timedelta64
) -> Station | None:
    """Return one series of the files of one station in one frame; None if none has a row of `solution`.

    Of a day given twice the final solution counts, of two equal ones that of the newer release.
    """
    first = min(files, key=lambda file: (file.day.min(), -int(file.released.astype(np.int64))))
    enu = np.concatenate(
        [
            file.enu + to_local(first.latitude, first.longitude, file.reference_xyz - first.reference_xyz)
            for file in files
        ]
    )
    # the first row of all files, whatever the solution asked for: one origin for every choice
    day = np.concatenate([file.day for file in files])
    is_rapid = np.concatenate([file.is_rapid for file in files])
    released = np.repeat([file.released for file in files], [file.day.size for file in files])
    order = np.lexsort((released, ~is_rapid, day))
    known = order[np.isfinite(enu[order]).all(axis=1)]
    origin = enu[known[0]] if known.size else np.zeros(3)
    if solution != "best":
        order = order[is_rapid[order] == (solution == "rapid")]
    if not order.size:
        return None
    order = order[np.append(day[order][1:] != day[order][:-1], True)]
    values = np.concatenate([enu - origin, np.concatenate([file.sigma for file in files])], axis=1)[order]
    end = (day[order] + DAY).astype("datetime64[ns]")
    available = np.empty(order.size, dtype="datetime64[ns]")
    for moment in np.unique(released[order]):
        rows = released[order] == moment
        available[rows] = release_time(end[rows], is_rapid[order][rows], rapid, final, moment)
    series = StationSeries(
        station=first.station,
        latitude=first.latitude,
        longitude=first.longitude,
        elevation_m=first.height_m,
        time=(day[order] + _HALF_DAY).astype("datetime64[ns]"),
        values=values,
        flag=np.where(np.isfinite(values[:, :3]).all(axis=1), 0, 1).astype(np.uint8),
    )
    return Station(series, available)


def _one_frame(files: list[PosFile], frame: str) -> tuple[list[PosFile], list[SourceDataInvalid]]:
    wanted = frame or files[0].frame
    others = [file for file in files if file.frame != wanted]
    complaints = [
        SourceDataInvalid(file.path, f"positions of {file.station} in frame {wanted}", f"frame {file.frame}")
        for file in others
    ]
    return [file for file in files if file.frame == wanted], complaints
