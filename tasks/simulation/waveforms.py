"""Seismometer records of the world: event folders and sample days, written as miniSEED with StationXML."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from obspy import Trace, UTCDateTime

from tasks.simulation.geometry import Floats
from tasks.simulation.gnss import event_id
from tasks.simulation.ground_motion import Shaking, ambient_noise, shaking, travel_times
from tasks.simulation.instrument import NETWORK, station_inventory, to_counts
from tasks.simulation.seismicity import TrueEvent, list_events
from tasks.simulation.terrain import elevation_at
from tasks.simulation.weather import Weather
from tasks.simulation.world import World, stream

EVENT_BAND, CONTINUOUS_BAND = "BH", "MH"
LEAD_S = 10.0
SECONDS_PER_DAY = 86_400.0
REACH_KM = 300.0


@dataclass(frozen=True)
class SeismicStations:
    """Stations: places in degrees and km, elevation m, `site` amplification 1, `loudness` of ambient noise 1."""

    codes: list[str]
    latitude: Floats
    longitude: Floats
    elevation: Floats
    x: Floats
    y: Floats
    site: Floats
    loudness: Floats


def place_stations(world: World, rng: np.random.Generator) -> SeismicStations:
    """Return stations spread over the box by Mitchell's best candidate (1991), each far from those before."""
    n, box = world.config.waveforms.stations, world.region.bounds
    chosen: list[tuple[float, float]] = []
    for _ in range(n):
        candidates = rng.uniform((box.south, box.west), (box.north, box.east), (20, 2))
        if chosen:
            gaps = np.hypot(*(candidates[:, None, :] - np.array(chosen)[None]).transpose(2, 0, 1)).min(axis=1)
            candidates = candidates[[int(np.argmax(gaps))]]
        chosen.append((float(candidates[0, 0]), float(candidates[0, 1])))
    latitude, longitude = np.array(chosen).T
    x, y = world.domain.plane.to_km(latitude, longitude)
    site, loudness = rng.lognormal(0, 0.3, n), rng.lognormal(0, 0.4, n)
    height = elevation_at(world, latitude, longitude)
    return SeismicStations([f"W{i:02d}" for i in range(n)], latitude, longitude, height, x, y, site, loudness)


def recorded_events(world: World) -> pd.DataFrame:
    """Return the true events that get a folder: half of them the largest, half spread over time."""
    c, box = world.config.waveforms, world.region.bounds
    truth = world.events
    inside = truth["latitude"].between(box.south, box.north) & truth["longitude"].between(box.west, box.east)
    large = truth[inside & (truth["magnitude"] >= c.magnitude_min)]
    if len(large) <= c.events_max:
        return large
    top = large.nlargest(c.events_max // 2, "magnitude")
    rest = large.drop(top.index)
    spread = rest.iloc[np.linspace(0, len(rest) - 1, c.events_max - len(top)).astype(int)]
    return pd.concat([top, spread]).sort_index()


def write_waveforms(world: World, weather: Weather, root: Path) -> None:
    """Write `waveforms/stations`, `waveforms/events/<event id>` and `waveforms/continuous/<day>`, Steim2 counts."""
    c, rng = world.config.waveforms, stream(world.seed, "waveforms")
    stations = place_stations(world, rng)
    folder = root / "waveforms"
    _write_stations(world, stations, folder / "stations")
    for event in list_events(recorded_events(world)):
        _write_event(world, weather, stations, event, folder / "events" / event_id(event.row), rng)
    days = np.linspace(0, world.days - 1, c.continuous_days + 2)[1:-1].astype(int)
    for day in days.tolist():
        _write_day(world, weather, stations, day, folder / "continuous", rng)


def _write_stations(world: World, stations: SeismicStations, folder: Path) -> None:
    c = world.config.waveforms
    folder.mkdir(parents=True)
    bands = {EVENT_BAND: c.sampling_rate_hz, CONTINUOUS_BAND: c.continuous_rate_hz}
    for i, code in enumerate(stations.codes):
        inventory = station_inventory(
            code,
            round(float(stations.latitude[i]), 5),
            round(float(stations.longitude[i]), 5),
            round(float(stations.elevation[i]), 1),
            UTCDateTime(str(world.start)),
            bands,
        )
        inventory.write(str(folder / f"{NETWORK}.{code}.xml"), format="STATIONXML")


def noise_level(world: World, weather: Weather, days: Floats) -> Floats:
    """Return rms ground noise, m s-1, at times in days: it grows with the square of the wind."""
    speed = np.hypot(weather.mean_at("u10", days), weather.mean_at("v10", days))
    return np.asarray(world.config.waveforms.noise_m_s * (1 + (speed / 4.0) ** 2))


def _write_event(
    world: World,
    weather: Weather,
    stations: SeismicStations,
    event: TrueEvent,
    folder: Path,
    rng: np.random.Generator,
) -> None:
    c = world.config.waveforms
    distance = np.hypot(stations.x - event.x_km, stations.y - event.y_km)
    first_p, _ = travel_times(np.array([distance.min()]))
    # one start for all stations, before the first P
    begin = event.time_days * SECONDS_PER_DAY + max(0.0, float(first_p[0])) - LEAD_S
    samples = round(c.length_s * c.sampling_rate_hz)
    source = Shaking(
        event.time_days * SECONDS_PER_DAY - begin,
        event.x_km,
        event.y_km,
        event.depth_km,
        event.magnitude,
    )
    velocity = shaking(source, stations.x, stations.y, stations.site, samples, c.sampling_rate_hz, c, rng)
    level = float(noise_level(world, weather, np.array([event.time_days]))[0])
    noise = ambient_noise(velocity.shape, c.sampling_rate_hz, rng)
    velocity += level * stations.loudness[:, None, None] * noise
    counts = to_counts(velocity, c.sampling_rate_hz)
    _write_records(world, stations.codes, counts, begin, c.sampling_rate_hz, EVENT_BAND, folder)


def _write_day(
    world: World, weather: Weather, stations: SeismicStations, day: int, root: Path, rng: np.random.Generator
) -> None:
    c = world.config.waveforms
    n, rate = c.continuous_stations, c.continuous_rate_hz
    samples = round(SECONDS_PER_DAY * rate)
    hours = day + np.arange(25) / 24
    level = np.interp(np.arange(samples) / samples * 24, np.arange(25), noise_level(world, weather, hours))
    velocity = ambient_noise((len(stations.codes[:n]), 3, samples), rate, rng)
    velocity *= stations.loudness[:n, None, None] * level
    time = world.events["time_days"].to_numpy()
    part = world.events.iloc[int(np.searchsorted(time, day)) : int(np.searchsorted(time, day + 1))]
    for event in list_events(part):
        if np.hypot(event.x_km, event.y_km) > REACH_KM:
            continue
        onset = (event.time_days - day) * SECONDS_PER_DAY
        first = int(onset * rate)
        length = min(round(300 * rate), samples - first)
        if length < 2:
            continue
        source = Shaking(onset - first / rate, event.x_km, event.y_km, event.depth_km, event.magnitude)
        moved = shaking(source, stations.x[:n], stations.y[:n], stations.site[:n], length, rate, c, rng)
        velocity[:, :, first : first + length] += moved
    counts = to_counts(velocity, rate)
    name = str(np.datetime_as_string(world.to_time(float(day)), unit="D"))
    _write_records(
        world, stations.codes[:n], counts, day * SECONDS_PER_DAY, rate, CONTINUOUS_BAND, root / name
    )


def _write_records(
    world: World,
    codes: list[str],
    counts: NDArray[np.int32],
    begin_s: float,
    rate_hz: float,
    band: str,
    folder: Path,
) -> None:
    folder.mkdir(parents=True)
    start = UTCDateTime(str(world.start)) + begin_s
    for code, channels in zip(codes, counts, strict=True):
        for component, data in zip("ZNE", channels, strict=True):
            channel = band + component
            header = {
                "network": NETWORK,
                "station": code,
                "channel": channel,
                "sampling_rate": rate_hz,
                "starttime": start,
            }
            path = folder / f"{NETWORK}.{code}..{channel}.mseed"
            Trace(data=data, header=header).write(str(path), format="MSEED", encoding="STEIM2", reclen=512)
