"""Seismic records as miniSEED with StationXML: response removed, 20 Hz, windows of 60 s."""

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.mseed_segments import Segment, read_segments
from tasks.sources.options import latency, number_option
from tasks.sources.payloads import empty, list_payloads, locate, read_each
from tasks.sources.response import (
    OUTPUT_RATE_HZ,
    PAD_SECONDS,
    SAMPLES,
    WINDOW_SECONDS,
    Counts,
    to_velocity,
)
from tasks.sources.station_metadata import StationReader, direction_of, find_metadata
from tasks.sources.stations import distance_km
from tasks.sources.transient import raise_if_transient

CHANNELS = ("Z", "N", "E")
_NS = 1_000_000_000
_DAY_FOLDER = re.compile(r"\d{4}-\d{2}-\d{2}")
_CONTINUOUS_STEP_NS = 600 * _NS
_TRANSPORT_NS = 2 * _NS
_MIN_DATA_NS = 5 * _NS
# broadband before short period before accelerometers: one instrument a station
_PREFERENCE = ("HH", "BH", "EH", "SH", "HN", "EN", "BN")


class _Record(NamedTuple):
    velocity: NDArray[np.float32]
    flag: NDArray[np.uint8]
    start: int
    available: int
    station: str
    place: tuple[float, float, float]


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
    records: list[_Record] = []
    invalid: list[SourceDataInvalid] = []
    for (folder, station), paths in groups.items():
        try:
            metadata = find_metadata(folder, station, top)
            latitude, longitude, elevation = reader.place(metadata, station)
            if distance_km(region, latitude, longitude) > radius:
                continue
            segments, wrong = read_each(paths, read_segments)
            invalid += wrong
            chosen = _one_instrument([s for part in segments for s in part])
            for start in _window_starts(folder, chosen, window):
                record = _cut(chosen, start, metadata, reader, station, (latitude, longitude, elevation))
                if record is not None:
                    records.append(record)
        except SourceDataInvalid as error:
            raise_if_transient(error, folder)
            invalid.append(error)
    if not records:
        if invalid:
            raise invalid[0]
        raise empty(config, root, region, window)
    return Fetched(_dataset(records, config), tuple(invalid))


def _one_instrument(segments: list[Segment]) -> list[Segment]:
    def rank(segment: Segment) -> tuple[int, str]:
        kind = segment.channel[:2]
        return (_PREFERENCE.index(kind) if kind in _PREFERENCE else len(_PREFERENCE), segment.location + kind)

    best = min((rank(s) for s in segments), default=None)
    return [s for s in segments if rank(s) == best]


def _window_starts(folder: Path, segments: list[Segment], window: TimeWindow) -> list[int]:
    """Return the windows' first samples, ns since 1970, on the grid of 20 Hz."""
    if not segments:
        return []
    first = min(s.start for s in segments)
    last = max(s.start + round(s.samples.size / s.rate_hz * _NS) for s in segments)
    if _DAY_FOLDER.fullmatch(folder.name):
        step, begin = _CONTINUOUS_STEP_NS, first // _CONTINUOUS_STEP_NS * _CONTINUOUS_STEP_NS
    else:
        grid = round(_NS / OUTPUT_RATE_HZ)
        step, begin = WINDOW_SECONDS * _NS, round(first / grid) * grid
    low, high = (int(t.astype("datetime64[ns]").astype(np.int64)) for t in window)
    return [start for start in range(begin, last, step) if low <= start < high]


def _padded(segments: list[Segment], start: int) -> tuple[Counts, bool]:
    """Return the counts from 10 s before the window to 10 s after it, and whether they reach full scale."""
    rate = segments[0].rate_hz
    n = round((WINDOW_SECONDS + 2 * PAD_SECONDS) * rate)
    samples, valid = np.zeros(n), np.zeros(n, dtype=bool)
    shift, saturated = 0.0, False
    for segment in segments:
        offset = (segment.start - (start - PAD_SECONDS * _NS)) / _NS * rate
        first = round(offset)
        low, high = max(first, 0), min(first + segment.samples.size, n)
        if low >= high or segment.rate_hz != rate:
            continue
        shift = (offset - first) / rate
        samples[low:high] = segment.samples[low - first : high - first]
        valid[low:high] = np.isfinite(samples[low:high])
        saturated |= segment.is_saturated
    samples[~valid] = 0.0
    return Counts(samples, valid, shift), saturated


def _cut(
    segments: list[Segment],
    start: int,
    metadata: Path,
    reader: StationReader,
    station: str,
    place: tuple[float, float, float],
) -> _Record | None:
    """Return one window in Z, N, E, or None if it holds less than 5 s of data."""
    total = np.zeros((len(CHANNELS), SAMPLES))
    seen = np.zeros((len(CHANNELS), SAMPLES), dtype=bool)
    blind = np.zeros((len(CHANNELS), SAMPLES), dtype=bool)
    saturated = np.zeros(len(CHANNELS), dtype=bool)
    end = start + WINDOW_SECONDS * _NS
    for code in sorted({s.channel for s in segments}):
        own = [s for s in segments if s.channel == code]
        counts, is_saturated = _padded(own, start)
        if not counts.valid.any():
            continue
        channel = reader.channel(metadata, own[0])
        velocity, observed = to_velocity(counts, reader.gain(metadata, own[0], channel))
        for row, weight in enumerate(direction_of(channel)):
            # a horizontal within 5 degrees of an axis is taken as that axis
            if abs(weight) < 0.09:
                continue
            total[row] += weight * velocity
            seen[row] |= observed
            blind[row] |= ~observed
            saturated[row] |= is_saturated
        used = (
            start - PAD_SECONDS * _NS + round((np.flatnonzero(counts.valid)[-1] + 1) / own[0].rate_hz * _NS)
        )
        end = max(end, used)
    good = seen & ~blind
    if good.sum(axis=1).max() / OUTPUT_RATE_HZ * _NS < _MIN_DATA_NS:
        return None
    flag = np.where(saturated, 2, np.where(good.all(axis=1), 0, 1)).astype(np.uint8)
    ground = np.where(good, total, np.nan).astype(np.float32)
    return _Record(ground, flag, start, end + _TRANSPORT_NS, station, place)


def _dataset(records: list[_Record], config: SourceConfig) -> xr.Dataset:
    records = sorted(records, key=lambda r: (r.start, r.station))
    delay = latency(config)
    available = np.array([r.available for r in records], dtype=np.int64).astype("datetime64[ns]") + delay
    place = np.array([r.place for r in records], dtype=np.float64)
    return xr.Dataset(
        {
            "velocity": (
                ("record", "channel", "sample"),
                np.stack([r.velocity for r in records]),
                {"units": "m s-1"},
            ),
            "time": ("record", np.array([r.start for r in records], dtype=np.int64).astype("datetime64[ns]")),
            "available_time": ("record", available),
            "station": ("record", np.asarray([r.station for r in records], dtype=object)),
            "latitude": ("record", place[:, 0], {"units": "degree_north"}),
            "longitude": ("record", place[:, 1], {"units": "degree_east"}),
            "elevation_m": ("record", place[:, 2], {"units": "m"}),
            "quality_flag": (("record", "channel"), np.stack([r.flag for r in records])),
        },
        coords={"channel": np.asarray(CHANNELS, dtype=object)},
        attrs={
            "provider": config.provider,
            "modality": "waveform",
            "licence": "as stated by the network operators",
            "vintage": "reconstructed",
            "sampling_rate_hz": OUTPUT_RATE_HZ,
        },
    )
