"""From a catalog to an aftershock forecast of all models, and from a later catalog to what came."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from tasks.regions import Region
from tasks.seismicity.aftershocks.belief import (
    Posterior,
    Spread,
    fit_spread,
    generic,
    past_sequences,
    posterior,
    sequence_evidence,
)
from tasks.seismicity.aftershocks.futures import CATALOGS, MAGNITUDES, WINDOWS, draw_counts, summarise
from tasks.seismicity.aftershocks.jones import draw_jones
from tasks.seismicity.aftershocks.sequence import Sequence, sequence_at
from tasks.seismicity.catalog import known_at, select_events
from tasks.seismicity.etas import EtasModel, fit_etas
from tasks.seismicity.geometry import Plane

ISSUER = "etas_sequence"


@dataclass(frozen=True)
class AftershockModel:
    """ETAS of a region, how its sequences differ from it, and how many were looked at."""

    etas: EtasModel
    spread: Spread
    n_sequences: int

    @classmethod
    def fit(cls, catalog: xr.Dataset, region: Region) -> "AftershockModel":
        """Fit both on the training window, as the catalog's versions (event) were known at its end."""
        etas = fit_etas(catalog, region)
        known = known_at(catalog, np.datetime64(region.split.train_end, "ns"))
        past = past_sequences(etas, select_events(known, region), region)
        return cls(etas, fit_spread(past), len(past))

    def save(self, folder: Path) -> None:
        """Write `etas.json` and `sequences.json` into `folder`."""
        (folder / "etas.json").write_text(self.etas.to_json())
        content = {"spread": self.spread._asdict(), "n_sequences": self.n_sequences}
        (folder / "sequences.json").write_text(json.dumps(content))

    @classmethod
    def load(cls, folder: Path) -> "AftershockModel":
        """Return what `save` wrote."""
        content = json.loads((folder / "sequences.json").read_text())
        etas = EtasModel.from_json((folder / "etas.json").read_text())
        return cls(etas, Spread(**content["spread"]), int(content["n_sequences"]))


def magnitudes_of(region: Region, largest: float) -> tuple[float, ...]:
    """Return the magnitudes that are forecast: 3 to 7 and the largest so far, from the catalog's completeness on."""
    asked = {*MAGNITUDES, round(largest, 1)}
    return tuple(m for m in sorted(asked) if m >= region.magnitude_completeness - 1e-9)


def forecast_aftershocks(
    model: AftershockModel,
    catalog: xr.Dataset,
    region: Region,
    event_id: str,
    issue_time: np.datetime64,
    catalogs: int = CATALOGS,
    seed: int = 0,
) -> tuple[xr.Dataset, Sequence, Posterior]:
    """Return the forecast of a sequence, the sequence as known, and what is believed of it.

    Parameters
    ----------
    model : AftershockModel
    catalog : Dataset (event) of versions
        Only what was known at the issue time is used.
    region : Region
    event_id : str
    issue_time : datetime64
        UTC.
    catalogs, seed : int

    Returns
    -------
    Dataset (model, window, magnitude)
        As `summarise` gives it, with the drawn numbers `counts` (model, catalog, window, magnitude) and
        `density` (model, window, lat, lon), expected events M >= completeness per cell. Model `reasenberg_jones`
        starts from the region's generic law and learns, `etas` is the fitted one, `etas_sequence` has learnt from this
        sequence. Also the zone (`zone_lat`, `zone_lon`, `zone_km`), the ids of `trigger` and `largest` event, and
        `largest_magnitude`.

    Raises
    ------
    UnknownEvent
        If the event was not known then.
    """
    sequence = sequence_at(known_at(catalog, issue_time), region, event_id, issue_time)
    plane = Plane.of(region)
    believed = posterior(sequence_evidence(model.etas, plane, sequence), model.spread)
    magnitudes = magnitudes_of(region, sequence.largest_magnitude)
    parts = []
    for name, drawn in (
        ("reasenberg_jones", draw_jones(region, sequence, catalogs, seed, WINDOWS, magnitudes)),
        ("etas", draw_counts(model.etas, region, sequence, generic(), catalogs, seed, magnitudes=magnitudes)),
        (ISSUER, draw_counts(model.etas, region, sequence, believed, catalogs, seed, magnitudes=magnitudes)),
    ):
        part = summarise(drawn.counts, magnitudes=magnitudes)
        part["counts"] = (("catalog", "window", "magnitude"), drawn.counts)
        part["density"] = (("window", "lat", "lon"), drawn.density)
        parts.append(
            part.assign_coords(lat=region.latitudes, lon=region.longitudes).expand_dims(model=[name])
        )
    latitude, longitude = plane.unproject(sequence.zone.x, sequence.zone.y)
    forecast = xr.concat(parts, dim="model").assign(
        zone_lat=float(latitude),
        zone_lon=float(longitude),
        zone_km=sequence.zone.radius,
        trigger=event_id,
        largest=sequence.largest_id,
        largest_magnitude=sequence.largest_magnitude,
    )
    return forecast, sequence, believed


def observed_counts(
    later: xr.Dataset, region: Region, sequence: Sequence, forecast: xr.Dataset
) -> xr.DataArray:
    """Return how many events of the zone came (window, magnitude) in the forecast's windows.

    Parameters
    ----------
    later : Dataset (event), one row per event
        A catalog as known when the windows were over.
    region : Region
    sequence : Sequence
        As known at the issue time.
    forecast : Dataset
        Of `forecast_aftershocks`.
    """
    events = select_events(later, region)
    inside = sequence.zone.holds(events.x, events.y) & (events.days >= sequence.issue)
    days, magnitude = events.days[inside] - sequence.issue, events.magnitude[inside]
    within = days[:, None] < forecast["window"].values
    large = magnitude[:, None] >= forecast["magnitude"].values - 1e-9
    counts = within.T.astype(np.int64) @ large.astype(np.int64)
    return xr.DataArray(counts, dims=("window", "magnitude"), coords=forecast[["window", "magnitude"]].coords)
