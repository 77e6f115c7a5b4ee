"""High-rate GNSS displacements coded as miniSEED, one tar archive an event (Murray et al. 2023; Ruhl et al. 2019)."""

import tarfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pymseed
from numpy.typing import NDArray

from tasks.regions import Region, SourceConfig, TimeWindow
from tasks.sources.contract import Fetched, SourceDataInvalid
from tasks.sources.options import latency, number_option
from tasks.sources.payloads import LARGEST_RATIO, SMALL, empty, list_payloads, read_text
from tasks.sources.plausible import refuse_scatter
from tasks.sources.stations import POSITIONS, StationSeries, distance_km, position_dataset, wrap_longitude

_COLUMN = {"E": 0, "N": 1, "Z": 2, "1": 3, "2": 4, "3": 5}
_SECOND = 1_000_000_000
_NO_DATA = -(2**31)


class _Channel(NamedTuple):
    latitude: float
    longitude: float
    elevation_m: float
    gain: float


class _Trace(NamedTuple):
    network: str
    station: str
    location: str
    channel: str
    seconds: NDArray[np.int64]
    metres: NDArray[np.float64]
    no_data: NDArray[np.bool_]


def fetch(config: SourceConfig, root: Path, region: Region, window: TimeWindow) -> Fetched:
    """Return 1 Hz positions of the stations within option `radius_km` (default 250) of the box's centre.

    The path is a folder with `*.tar.gz` archives and a channel file `*.geodetic.dat`, which gives place and gain.
    Integers and float32 are counts divided by that gain; float64 samples are metres already, whatever the
    channel file says (Central Washington University mixes both). -2147483648 is no-data: NaN, flag 4; a second without
    a sample is NaN, flag 1. Displacements are relative to an arbitrary origin. Components E, N, Z are positions,
    1, 2, 3 their standard deviations. `available_time` is the sample plus 1 s plus `latency_days`: vintage
    "reconstructed". Stations without coordinates or with nothing but zeros, and empty files, are left out with a
    message; of several instruments at a station in one archive the first in network and location order is taken.

    Raises
    ------
    SourceUnavailable, SourceDataInvalid, SourceEmpty
        As the contract says.
    """
    radius = number_option(config, "radius_km", 250.0)
    archives = list_payloads(config, root, "*.tar.gz")
    series: list[StationSeries] = []
    invalid: list[SourceDataInvalid] = []
    wrong: list[SourceDataInvalid] = []
    channels = _read_channels(_beside(archives[0]))
    for archive in archives:
        traces, unread = _read_archive(archive, channels, region, radius)
        found, silent = _stations(traces, channels)
        found, other_unit = _in_metres(found, archive)
        series += found
        wrong += other_unit
        invalid += [*unread, *other_unit]
        if silent:
            invalid.append(
                SourceDataInvalid(archive, "stations that move", f"only zeros at {', '.join(silent)}")
            )
    if not series:
        if wrong:
            raise wrong[0]
        raise empty(config, root, region, window)
    delay = np.timedelta64(1, "s") + latency(config)
    dataset = position_dataset(
        _joined(series), config, root, region, window, delay, "cite Murray et al. (2023)"
    )
    dataset.attrs["sampling_rate_hz"] = 1.0
    return Fetched(dataset, tuple(invalid))


def _beside(archive: Path) -> Path:
    files = sorted(archive.parent.glob("*.geodetic.dat"))
    if not files:
        raise SourceDataInvalid(archive, "a channel file *.geodetic.dat beside it", "none")
    return files[0]


def _read_channels(path: Path) -> dict[tuple[str, str], _Channel]:
    """Return place and gain by (network.station, channel)."""
    channels = {}
    for line in read_text(path).splitlines():
        if line.startswith("#") or not line.strip():
            continue
        fields = line.split()
        try:
            latitude, longitude, elevation, _, gain = (float(x) for x in fields[4:9])
        except ValueError as error:
            expected = "network station location channel lat lon elev rate gain units"
            raise SourceDataInvalid(path, expected, repr(line)) from error
        key = (f"{fields[0]}.{fields[1]}", fields[3])
        channels[key] = _Channel(latitude, wrap_longitude(longitude), elevation, gain)
    return channels


def _read_archive(
    archive: Path, channels: dict[tuple[str, str], _Channel], region: Region, radius_km: float
) -> tuple[list[_Trace], list[SourceDataInvalid]]:
    traces: list[_Trace] = []
    hollow: list[str] = []
    broken: list[str] = []
    unplaced: set[str] = set()
    most = max(SMALL, LARGEST_RATIO * archive.stat().st_size)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.offset_data + member.size > most:
                    raise SourceDataInvalid(
                        archive, f"at most {most} bytes unpacked", f"more, up to {member.name[:60]!r}"
                    )
                name = Path(member.name).name
                stream = tar.extractfile(member) if member.isfile() and not name.startswith("._") else None
                if stream is None or not name.endswith(".mseed"):
                    continue
                content = stream.read()
                if not content:
                    hollow.append(name)
                    continue
                try:
                    traces += _decode(content, channels, region, radius_km, unplaced)
                except (pymseed.MiniSEEDError, ValueError) as error:
                    broken.append(f"{name} ({error})")
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise SourceDataInvalid(archive, "a whole tar.gz archive", str(error)) from error
    invalid = [
        SourceDataInvalid(archive, expected, f"{len(names)} {what}: {', '.join(sorted(names)[:5])}")
        for expected, what, names in (
            ("records in every file", "empty files", hollow),
            ("miniSEED in every file", "unreadable files", broken),
            ("coordinates in the channel file", "stations without", unplaced),
        )
        if names
    ]
    return traces, invalid


def _decode(
    content: bytes,
    channels: dict[tuple[str, str], _Channel],
    region: Region,
    radius_km: float,
    unplaced: set[str],
) -> list[_Trace]:
    traces = []
    for trace in pymseed.MS3TraceList.from_buffer(content, unpack_data=True):
        network, station, location, channel = pymseed.sourceid2nslc(trace.sourceid)
        if channel[-1] not in _COLUMN or channel.startswith("L1"):
            continue
        position = channel[:-1] + {"1": "E", "2": "N", "3": "Z"}.get(channel[-1], channel[-1])
        place = channels.get(
            (f"{network}.{station}", channel), channels.get((f"{network}.{station}", position))
        )
        if place is None:
            unplaced.add(f"{network}.{station}")
            continue
        if distance_km(region, place.latitude, place.longitude) > radius_km:
            continue
        for segment in trace:
            samples = np.array(segment.np_datasamples)  # a copy: the library reuses its buffer
            first = round(segment.starttime / _SECOND)
            step = 1.0 / segment.samprate if segment.samprate > 0 else 1.0
            no_data = ~np.isfinite(samples) | (samples == _NO_DATA)
            gain = 1.0 if samples.dtype == np.float64 else place.gain
            metres = np.where(no_data, np.nan, samples / gain)
            seconds = first + np.round(np.arange(samples.size) * step).astype(np.int64)
            traces.append(_Trace(network, station, location, channel, seconds, metres, no_data))
    return traces


def _in_metres(
    series: list[StationSeries], archive: Path
) -> tuple[list[StationSeries], list[SourceDataInvalid]]:
    """Return the stations whose positions can be metres, and complaints about the others: the gain may be wrong."""
    kept, wrong = [], []
    for one in series:
        try:
            refuse_scatter(one.values[:, :3], f"{archive} ({one.station})")
        except SourceDataInvalid as error:
            wrong.append(SourceDataInvalid(archive, f"of {one.station} {error.expected}", error.found))
        else:
            kept.append(one)
    return kept, wrong


def _joined(series: list[StationSeries]) -> list[StationSeries]:
    """Return one series a station; of a second that two archives have the later archive's row."""
    joined: dict[str, StationSeries] = {}
    for one in series:
        before = joined.setdefault(one.station, one)
        if before is not one:
            time = np.concatenate([one.time, before.time])
            _, rows = np.unique(time, return_index=True)
            joined[one.station] = one._replace(
                time=time[rows],
                values=np.concatenate([one.values, before.values])[rows],
                flag=np.concatenate([one.flag, before.flag])[rows],
            )
    return list(joined.values())


def _stations(
    traces: list[_Trace], channels: dict[tuple[str, str], _Channel]
) -> tuple[list[StationSeries], list[str]]:
    """Return one series a station, and the stations that report nothing but zeros."""
    chosen: dict[str, tuple[str, str]] = {}
    for trace in sorted(traces, key=lambda t: (t.network, t.location)):
        chosen.setdefault(trace.station, (trace.network, trace.location))
    series, silent = [], []
    for station, (network, location) in sorted(chosen.items()):
        own = [t for t in traces if (t.station, t.network, t.location) == (station, network, location)]
        seconds = np.unique(np.concatenate([t.seconds for t in own]))
        values = np.full((seconds.size, len(POSITIONS)), np.nan)
        coded = np.zeros(seconds.size, dtype=bool)
        for trace in own:
            rows = np.searchsorted(seconds, trace.seconds)
            values[rows, _COLUMN[trace.channel[-1]]] = trace.metres
            coded[rows] |= trace.no_data
        if not np.nan_to_num(values[:, :3]).any():
            silent.append(station)
            continue
        place = next(c for (name, _), c in channels.items() if name == f"{network}.{station}")
        gap = np.isnan(values[:, :3]).any(axis=1)
        flag = np.where(coded, 4, np.where(gap, 1, 0)).astype(np.uint8)
        time = (seconds * _SECOND).astype("datetime64[ns]")
        series.append(StationSeries(station, *place[:3], time, values, flag))
    return series, silent
