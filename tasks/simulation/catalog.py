"""The network's catalog: what it detects, errs in, revises and withdraws, written as QuakeML."""

from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from tasks.simulation.config import CatalogConfig
from tasks.simulation.geometry import Floats
from tasks.simulation.gnss import event_id
from tasks.simulation.rain import YEAR
from tasks.simulation.world import World, stream

MINUTES_PER_DAY = 1440.0
AUTHORITY = "smi:local/quakecube"
_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<q:quakeml xmlns="http://quakeml.org/xmlns/bed/1.2" xmlns:q="http://quakeml.org/xmlns/quakeml/1.2">\n'
    f'<eventParameters publicID="{AUTHORITY}/catalog">\n'
)
_TAIL = "</eventParameters>\n</q:quakeml>\n"


def detection_probability(time: Floats, magnitude: Floats, width: float) -> Floats:
    """Return the probability that each event (sorted by `time`, days) is listed.

    A normal cumulative in magnitude about Mc = M - 4.5 - 0.75 log10(t), t days after an event of magnitude M >= 4.5
    (Helmstetter et al. 2006), the largest of the ten days before; 1 where nothing large came before.
    """
    probability = np.ones(len(time))
    for j in np.flatnonzero(magnitude >= 4.5):
        last = int(np.searchsorted(time, time[j] + 10.0))
        later = slice(int(j) + 1, last)
        elapsed = np.maximum(time[later] - time[j], 1e-5)
        completeness = magnitude[j] - 4.5 - 0.75 * np.log10(elapsed)
        probability[later] = np.minimum(probability[later], ndtr((magnitude[later] - completeness) / width))
    return probability


def observed_events(world: World) -> pd.DataFrame:
    """Return what the network lists, one row per event, sorted by origin time.

    Columns: `event_id`, `event_type`, and for the versions `preliminary_` and `revised_`: `time` and `created`
    (days), `latitude`, `longitude`, `depth_km`, `magnitude`; `revised_created` is NaN for events without
    revision; `withdrawn` (days) is when the network took the event back, NaN for all but false events. Revised
    magnitudes are mirrored at completeness, so that an event of the truth stays a target; preliminary ones may
    fall below it.
    """
    c, rng = world.config.catalog, stream(world.seed, "catalog")
    box = world.region.bounds.grown(world.region.margin_deg + 0.2)
    truth = world.events
    inside = truth["latitude"].between(box.south, box.north) & truth["longitude"].between(box.west, box.east)
    chance = detection_probability(
        truth["time_days"].to_numpy(), truth["magnitude"].to_numpy(), c.incompleteness_width
    )
    listed = truth[inside.to_numpy() & (rng.uniform(size=len(truth)) < chance)]
    quakes = listed[["time_days", "latitude", "longitude", "depth_km", "magnitude"]].copy()
    quakes["event_id"] = [event_id(int(row)) for row in listed.index]
    quakes["event_type"] = "earthquake"
    copies = quakes.sample(min(_count(c.duplicates_per_year, world, rng), len(quakes)), random_state=rng)
    copies = copies.assign(event_id="dup" + copies["event_id"])
    frames = [quakes, copies, _blasts(world, rng), _false_events(world, rng)]
    events = pd.concat([f for f in frames if len(f)], ignore_index=True)
    return _with_versions(world, events.sort_values("time_days", ignore_index=True), c, rng)


def _count(per_year: float, world: World, rng: np.random.Generator) -> int:
    return int(rng.poisson(per_year * world.days / YEAR))


def _blasts(world: World, rng: np.random.Generator) -> pd.DataFrame:
    """Return quarry blasts: three pits, by day, at the surface."""
    n, box = _count(world.config.catalog.quarry_blasts_per_year, world, rng), world.region.bounds
    pits = rng.uniform((box.south, box.west), (box.north, box.east), (3, 2))
    pit = pits[rng.integers(0, 3, n)]
    frame = {
        "time_days": rng.integers(0, world.days, n) + rng.uniform(9 / 24, 15 / 24, n),
        "latitude": pit[:, 0],
        "longitude": pit[:, 1],
        "depth_km": np.zeros(n),
        "magnitude": rng.uniform(2.0, 3.2, n),
        "event_id": [f"qb{i:05d}" for i in range(n)],
        "event_type": ["quarry blast"] * n,
    }
    return pd.DataFrame(frame)


def _false_events(world: World, rng: np.random.Generator) -> pd.DataFrame:
    """Return automatic detections of nothing, later withdrawn as "not existing"."""
    n, box = _count(world.config.catalog.false_events_per_year, world, rng), world.region.bounds
    frame = {
        "time_days": rng.uniform(0, world.days, n),
        "latitude": rng.uniform(box.south, box.north, n),
        "longitude": rng.uniform(box.west, box.east, n),
        "depth_km": rng.uniform(0, 15, n),
        "magnitude": rng.uniform(2.5, 3.5, n),
        "event_id": [f"fx{i:05d}" for i in range(n)],
        "event_type": ["not existing"] * n,
    }
    return pd.DataFrame(frame)


def _with_versions(
    world: World, events: pd.DataFrame, c: CatalogConfig, rng: np.random.Generator
) -> pd.DataFrame:
    n = len(events)
    time, magnitude = events["time_days"].to_numpy(), events["magnitude"].to_numpy()
    first = time + c.preliminary_minutes / MINUTES_PER_DAY * rng.lognormal(0.0, 0.3, n)
    second = first + 0.1 + rng.exponential(c.revision_days, n)
    out = events[["event_id", "event_type"]].copy()
    spread = (c.preliminary_location_km, c.revised_location_km)
    error = (c.preliminary_magnitude_error, c.revised_magnitude_error)
    floor = world.region.magnitude_completeness
    for key, created, km, sigma in zip(
        ("preliminary", "revised"), (first, second), spread, error, strict=True
    ):
        x, y = world.domain.plane.to_km(events["latitude"], events["longitude"])
        shifted = world.domain.plane.to_degrees(x + rng.normal(0, km, n), y + rng.normal(0, km, n))
        noisy = magnitude + rng.normal(0, sigma, n)
        if key == "revised":
            is_target = (magnitude >= floor) & (events["event_type"] == "earthquake").to_numpy()
            noisy = np.where(is_target, floor + np.abs(noisy - floor), noisy)
        out[f"{key}_time"] = time + rng.normal(0, 0.2 * km, n) / 86_400
        out[f"{key}_created"] = created
        out[f"{key}_latitude"], out[f"{key}_longitude"] = shifted
        out[f"{key}_depth_km"] = np.clip(events["depth_km"] + rng.normal(0, 1.5 * km, n), 0.0, None)
        out[f"{key}_magnitude"] = noisy
    # a source outside the catalog never sees the second hand; whoever copied an event does not revise it
    false = out["event_id"].str.startswith("fx")
    out["withdrawn"] = np.where(false, out["revised_created"], np.nan)
    out.loc[false | out["event_id"].str.startswith("dup"), "revised_created"] = np.nan
    return out


def write_catalog(world: World, root: Path) -> pd.DataFrame:
    """Write `catalog/YYYY.xml` by year of origin and return the table that was written (see `observed_events`).

    QuakeML 1.2: each version is an origin and a magnitude with its creation time; the last one is preferred. The
    creation time of an event element is the moment at which the event was withdrawn, and there for no other event.
    Depth is in metres. Text is written directly, as an object tree of 10,000 events costs 15 s.
    """
    folder = root / "catalog"
    folder.mkdir(parents=True)
    events, c = observed_events(world), world.config.catalog
    year = pd.DatetimeIndex(world.to_time(events["revised_time"].clip(0, world.days - 1e-6))).year.to_numpy()
    texts = {
        column: _iso(world.to_time(events[column].fillna(0.0)))
        for column in (
            "preliminary_time",
            "preliminary_created",
            "revised_time",
            "revised_created",
            "withdrawn",
        )
    }
    records = [{str(k): v for k, v in record.items()} for record in events.to_dict("records")]
    for value in range(world.region.catalog_start.year, int(year.max()) + 1):
        parts = [_HEAD]
        for row in np.flatnonzero(year == value).tolist():
            parts.append(_event(records[row], {k: v[row] for k, v in texts.items()}, c))
        (folder / f"{value}.xml").write_text("".join([*parts, _TAIL]), encoding="utf-8")
    return events


def _iso(times: NDArray[np.datetime64]) -> list[str]:
    return [str(t) + "Z" for t in np.datetime_as_string(times.astype("datetime64[us]"))]


def _event(event: dict[str, str | float], texts: dict[str, str], c: CatalogConfig) -> str:
    identity = f"{AUTHORITY}/event/{event['event_id']}"
    versions = [("preliminary", "automatic", c.preliminary_location_km, c.preliminary_magnitude_error)]
    if np.isfinite(float(event["revised_created"])):
        versions.append(("revised", "manual", c.revised_location_km, c.revised_magnitude_error))
    body = []
    for key, mode, km, sigma in versions:
        stamp = f"<creationTime>{texts[f'{key}_created']}</creationTime>"
        created = f"<creationInfo><agencyID>QS</agencyID>{stamp}</creationInfo>"
        origin = f"{identity}/origin/{key}"
        degree = km / 111.2
        time, lat = texts[f"{key}_time"], float(event[f"{key}_latitude"])
        lon, depth_km = float(event[f"{key}_longitude"]), float(event[f"{key}_depth_km"])
        error = f"<uncertainty>{degree:.5f}</uncertainty>"
        body.append(
            f"<origin publicID={quoteattr(origin)}>"
            f"<time><value>{time}</value></time>"
            f"<latitude><value>{lat:.5f}</value>{error}</latitude>"
            f"<longitude><value>{lon:.5f}</value>{error}</longitude>"
            f"<depth><value>{depth_km * 1000:.0f}</value></depth>"
            f"<evaluationMode>{mode}</evaluationMode>{created}</origin>\n"
            f"<magnitude publicID={quoteattr(f'{identity}/magnitude/{key}')}>"
            f"<mag><value>{event[f'{key}_magnitude']:.2f}</value><uncertainty>{sigma:.2f}</uncertainty></mag>"
            f"<type>Mw</type><originID>{origin}</originID>"
            f"<evaluationMode>{mode}</evaluationMode>{created}</magnitude>\n"
        )
    last = versions[-1][0]
    withdrawn = ""
    if np.isfinite(float(event["withdrawn"])):
        # The moment at which the type became what it is; its versions were earthquakes until then.
        withdrawn = f"<creationInfo><creationTime>{texts['withdrawn']}</creationTime></creationInfo>"
    return (
        f"<event publicID={quoteattr(identity)}>"
        f"<preferredOriginID>{identity}/origin/{last}</preferredOriginID>"
        f"<preferredMagnitudeID>{identity}/magnitude/{last}</preferredMagnitudeID>"
        f"<type>{event['event_type']}</type>{withdrawn}\n{''.join(body)}</event>\n"
    )
