"""Windows of 60 s cut from decoded seismic records, and the canonical waveform Dataset that they make."""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.regions import SourceConfig
from tasks.sources.mseed_segments import Segment
from tasks.sources.options import latency
from tasks.sources.response import (
    OUTPUT_RATE_HZ,
    PAD_SECONDS,
    SAMPLES,
    WINDOW_SECONDS,
    Counts,
    to_velocity,
)
from tasks.sources.station_metadata import StationReader, direction_of

CHANNELS: Final = ("Z", "N", "E")
NS: Final = 1_000_000_000
# broadband before short period before accelerometers: one instrument a station
PREFERENCE: Final = ("HH", "BH", "EH", "SH", "HN", "EN", "BN")
_TRANSPORT_NS: Final = 2 * NS
_MIN_DATA_NS: Final = 5 * NS


class Record(NamedTuple):
    """One window of one station.

    Attributes
    ----------
    velocity : float32 (channel, sample), m s-1
        Z, N, E; NaN outside the data.
    flag : uint8 (channel,)
        0 observed, 1 gap, 2 saturated.
    start, available : int
        First sample, and when the last sample used had arrived; ns since 1970.
    place : tuple of float
        Latitude, longitude (degree), elevation (m).
    """

    velocity: NDArray[np.float32]
    flag: NDArray[np.uint8]
    start: int
    available: int
    station: str
    place: tuple[float, float, float]


def instrument_rank(location: str, channel: str) -> tuple[int, str]:
    """Return a key that sorts instruments: broadband first, then short period, accelerometers, anything else."""
    kind = channel[:2]
    return (PREFERENCE.index(kind) if kind in PREFERENCE else len(PREFERENCE), location + kind)


def one_instrument(segments: list[Segment]) -> list[Segment]:
    """Return the segments of the station's preferred instrument."""
    best = min((instrument_rank(s.location, s.channel) for s in segments), default=None)
    return [s for s in segments if instrument_rank(s.location, s.channel) == best]


def _padded(segments: list[Segment], start: int) -> tuple[Counts, bool]:
    """Return the counts from 10 s before the window to 10 s after it, and whether they reach full scale."""
    rate = segments[0].rate_hz
    n = round((WINDOW_SECONDS + 2 * PAD_SECONDS) * rate)
    samples, valid = np.zeros(n), np.zeros(n, dtype=bool)
    shift, saturated = 0.0, False
    for segment in segments:
        offset = (segment.start - (start - PAD_SECONDS * NS)) / NS * rate
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


def cut_record(
    segments: list[Segment],
    start: int,
    metadata: Path,
    reader: StationReader,
    station: str,
    place: tuple[float, float, float],
) -> Record | None:
    """Return the window from `start` (ns since 1970) in Z, N, E, or None if it holds less than 5 s of data.

    Samples outside the data are NaN and give flag 1; counts at the 24-bit full scale give flag 2. Horizontals are
    turned to north and east by their azimuths. The record is known when its last sample, or the last that the filter
    used, had arrived, 2 s after it was taken.

    Raises
    ------
    SourceDataInvalid
        If the metadata has no such channel then, or no usable response.
    """
    total = np.zeros((len(CHANNELS), SAMPLES))
    seen = np.zeros((len(CHANNELS), SAMPLES), dtype=bool)
    blind = np.zeros((len(CHANNELS), SAMPLES), dtype=bool)
    saturated = np.zeros(len(CHANNELS), dtype=bool)
    end = start + WINDOW_SECONDS * NS
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
        used = start - PAD_SECONDS * NS + round((np.flatnonzero(counts.valid)[-1] + 1) / own[0].rate_hz * NS)
        end = max(end, used)
    good = seen & ~blind
    if good.sum(axis=1).max() / OUTPUT_RATE_HZ * NS < _MIN_DATA_NS:
        return None
    flag = np.where(saturated, 2, np.where(good.all(axis=1), 0, 1)).astype(np.uint8)
    ground = np.where(good, total, np.nan).astype(np.float32)
    return Record(ground, flag, start, end + _TRANSPORT_NS, station, place)


def records_dataset(records: list[Record], config: SourceConfig) -> xr.Dataset:
    """Return the canonical waveform Dataset (record, channel, sample), sorted by time and station."""
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
