"""Seismic records as miniSEED with StationXML: response removed, 20 Hz, windows of 60 s."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.mseed_segments import Segment, read_segments
from tasks.sources.options import number_option
from tasks.sources.payloads import empty, list_payloads, locate, read_each
from tasks.sources.response import OUTPUT_RATE_HZ, WINDOW_SECONDS
from tasks.sources.station_metadata import StationReader, find_metadata
from tasks.sources.stations import distance_km
from tasks.sources.transient import raise_if_transient
from tasks.sources.waveform_records import NS, Record, cut_record, one_instrument, records_dataset

_DAY_FOLDER: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_CONTINUOUS_STEP_NS: Final = 600 * NS


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return velocity records (record, channel, sample) of all `*.mseed` below the path.

    A station's files in one folder form a group: `NET.STA.LOC.CHA.mseed`, StationXML `NET.STA.xml` beside them or in
    `stations/` of a folder above. In folders named YYYY-MM-DD (continuous records) one window begins every 10
    minutes, elsewhere (event records) windows follow each other from the first sample. Windows with less than 5 s of
    data are left out. Samples outside the data are NaN and give flag 1; counts at the 24-bit full scale give flag 2.
    Horizontals are turned to north and east by their azimuths. Stations lie within option `radius_km`
    (default 150) of the box's centre. The filter uses up to 10 s before and after the window; `available_time`
    is the end of the window or of the samples used, plus 2 s of transport, plus `latency_days`: vintage
    "reconstructed".

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says. A truncated file is left out with a message, its station's other channels are kept.
    """
    radius = number_option(config, "radius_km", 150.0)
    groups: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in list_payloads(config, root, "**/*.mseed"):
        groups[path.parent, ".".join(path.name.split(".")[:2])].append(path)
    top = locate(config, root)
    reader = StationReader()
    records: list[Record] = []
    invalid: list[SourceDataInvalid] = []
    for (folder, station), paths in groups.items():
        try:
            metadata = find_metadata(folder, station, top)
            latitude, longitude, elevation = reader.place(metadata, station)
            if distance_km(region, latitude, longitude) > radius:
                continue
            segments, wrong = read_each(paths, read_segments)
            invalid += wrong
            chosen = one_instrument([s for part in segments for s in part])
            for start in _window_starts(folder, chosen, window):
                record = cut_record(
                    chosen, start, metadata, reader, station, (latitude, longitude, elevation)
                )
                if record is not None:
                    records.append(record)
        except SourceDataInvalid as error:
            raise_if_transient(error, folder)
            invalid.append(error)
    if not records:
        if invalid:
            raise invalid[0]
        raise empty(config, root, region, window)
    return Fetched(records_dataset(records, config), tuple(invalid))


def _window_starts(folder: Path, segments: list[Segment], window: TimeWindow) -> list[int]:
    """Return the windows' first samples, ns since 1970, on the grid of 20 Hz."""
    if not segments:
        return []
    first = min(s.start for s in segments)
    last = max(s.start + round(s.samples.size / s.rate_hz * NS) for s in segments)
    if _DAY_FOLDER.fullmatch(folder.name):
        step, begin = _CONTINUOUS_STEP_NS, first // _CONTINUOUS_STEP_NS * _CONTINUOUS_STEP_NS
    else:
        grid = round(NS / OUTPUT_RATE_HZ)
        step, begin = WINDOW_SECONDS * NS, round(first / grid) * grid
    low, high = (int(t.astype("datetime64[ns]").astype(np.int64)) for t in window)
    return [start for start in range(begin, last, step) if low <= start < high]
