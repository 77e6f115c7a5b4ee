"""Stage: issue an aftershock forecast from the observation store."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xarray as xr
from prefect import task
from pydantic import BaseModel, Field

from tasks.cubes.forecasts import ForecastExists, ForecastManifest, write_forecast
from tasks.cubes.merge import merge_catalogs
from tasks.cubes.store import ObservationStore
from tasks.progress import progress
from tasks.regions import Region
from tasks.reports.advisory import advisory, moment
from tasks.reports.aftershock_figures import numbers_figure, sequence_figure, sequence_map
from tasks.reports.aftershock_page import aftershock_page
from tasks.reports.summary import point_latest
from tasks.seismicity.aftershocks.belief import Posterior
from tasks.seismicity.aftershocks.forecast import ISSUER, AftershockModel, forecast_aftershocks
from tasks.seismicity.aftershocks.futures import CATALOGS
from tasks.seismicity.aftershocks.sequence import Sequence as Earthquakes
from tasks.seismicity.aftershocks.sequence import UnknownEvent
from tasks.seismicity.catalog import known_at
from tasks.workspace import Workspace, code_digest, digest, whole_folder, write_json

_CATALOGS = "catalog/"


class AftershockReport(BaseModel):
    """An issued aftershock forecast."""

    region: str
    event_id: str
    issue_time: str
    path: Path = Field(description="forecast.nc, with the drawn numbers of every model")
    page: Path = Field(description="index.html")
    figures: dict[str, Path]
    said: list[str] = Field(description="the advisory")


class StoredCatalog(BaseModel):
    """The catalogs of the observation store as one, with all versions of its events."""

    model_config = {"arbitrary_types_allowed": True}

    snapshot: str
    versions: xr.Dataset
    told_until: np.datetime64 = Field(description="until when it tells what happened; later is no quiet time")


def read_catalog(workspace: Workspace, region: Region) -> StoredCatalog:
    """Return the merged catalog of the newest observations.

    Raises
    ------
    ValueError
        If no catalog has been ingested.
    """
    store = ObservationStore(workspace.observations, region.store_name)
    snapshot = store.snapshot()
    groups = [g for g in store.groups() if g.startswith(_CATALOGS)]
    if snapshot is None or not groups:
        raise ValueError(
            f"region {region.name!r} has no catalog in {workspace.observations}; run the flow ingest first"
        )
    found = {g.removeprefix(_CATALOGS): store.read(g, snapshot) for g in groups}
    merged, _ = merge_catalogs({name: c for name, c in found.items() if c is not None}, region)
    asked = store.asked_until(snapshot)
    told = region.window.end if asked is None else min(asked, region.window.end)
    return StoredCatalog(snapshot=str(snapshot), versions=merged, told_until=told)


def fitted_model(workspace: Workspace, region: Region, versions: xr.Dataset) -> tuple[AftershockModel, str]:
    """Return the region's aftershock model and its name; fitted once per training catalog, configuration and code."""
    known = known_at(versions, np.datetime64(region.split.train_end, "ns"))
    columns = {
        c: known[c].values.tobytes().hex() for c in ("origin_time", "latitude", "longitude", "magnitude")
    }
    settings = region.model_dump(mode="json", exclude={"sources", "end"})
    key = digest({"region": settings, "catalog": digest(columns), "code": code_digest("tasks/seismicity")})
    folder = workspace.runs(region.store_name) / f"aftershocks-{key}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(folder) as partial, progress(f"fit the aftershock model of {region.name}"):
            AftershockModel.fit(versions, region).save(partial)
    return AftershockModel.load(folder), key


def event_asked(versions: xr.Dataset, region: Region, event_id: str, issue: np.datetime64) -> str:
    """Return the id of the event that is meant; `latest` is the last one from the region's trigger magnitude on.

    Raises
    ------
    UnknownEvent
        If `latest` is asked for and there is none.
    """
    if event_id != "latest":
        return event_id
    known = known_at(versions, issue)
    large = np.flatnonzero(known["magnitude"].values >= region.aftershock_magnitude - 1e-9)
    if not large.size:
        raise UnknownEvent(
            f"region {region.name!r}: no event M >= {region.aftershock_magnitude:g} is known at {str(issue)[:19]}Z"
        )
    return str(known["event_id"].values[large[-1]])


def event_of(known: xr.Dataset, event_id: str) -> xr.Dataset:
    """Return one event of a catalog (event)."""
    return known.isel(event=int(np.flatnonzero(known["event_id"].values.astype(str) == event_id)[0]))


def _facts(
    model: AftershockModel,
    key: str,
    catalog: StoredCatalog,
    sequence: Earthquakes,
    belief: Posterior,
    draws: int,
) -> list[str]:
    factor, factor_sd, steeper, steeper_sd = belief.moments()
    p, spread = model.etas.parameters, model.spread
    return [
        f"Observations {catalog.snapshot}; aftershock model {key}; {draws} drawn catalogs a model.",
        f"{int(sequence.members.sum())} events of the zone since the trigger are known; {belief.n_events} lie above "
        "the magnitude from which the catalog is complete after large events.",
        f"ETAS of the training period: productivity {p.k:.3g} exp({p.alpha:.2f} (M - {p.m0:g})), p = {p.p:.2f}, "
        f"branching ratio {p.branching_ratio:.2f}, b = {p.b:.2f}, largest magnitude {p.magnitude_max:.1f}.",
        f"{model.n_sequences} earlier sequences: factor exp({spread.factor_mean:+.2f} +- {spread.factor_sd:.2f}), "
        f"p {spread.steeper_mean:+.2f} +- {spread.steeper_sd:.2f}.",
        f"This sequence: factor {factor:.2f} +- {factor_sd:.2f}, p {steeper:+.2f} +- {steeper_sd:.2f}.",
    ]


def issue_one(
    workspace: Workspace,
    region: Region,
    catalog: StoredCatalog,
    event_id: str,
    issue: np.datetime64,
    seed: int,
    folder: Path,
    catalogs: int = CATALOGS,
) -> tuple[AftershockReport, xr.Dataset, Earthquakes]:
    """Compute, store and publish one forecast into `folder`; return it with what it says and the sequence."""
    model, key = fitted_model(workspace, region, catalog.versions)
    forecast, sequence, belief = forecast_aftershocks(
        model, catalog.versions, region, event_id, issue, catalogs, seed
    )
    manifest = ForecastManifest(
        region=region.store_name,
        issue_time=str(issue)[:19],
        data_snapshot=catalog.snapshot,
        model_version=f"{ISSUER} {key}",
        code_version=code_digest(),
        seed=seed,
    )
    try:
        stored = Path(write_forecast(workspace.aftershocks, forecast, manifest).path)
    except ForecastExists as issued_before:
        stored = issued_before.folder
    known = known_at(catalog.versions, issue)
    trigger, largest = event_of(known, event_id), event_of(known, sequence.largest_id)
    issued = forecast.sel(model=ISSUER)
    said = advisory(issued, region.title, trigger, largest, issue)
    title = f"M {float(trigger['magnitude']):.1f}, {region.title}: aftershock forecast"
    lead = f"Issued {moment(int(issue.astype(np.int64)))} for event {event_id}."
    mc = float(forecast["magnitude"].values[0])
    members = known.isel(event=sequence.events.row[sequence.members])
    since = sequence.events.days[sequence.members] - sequence.origin
    figures = {
        "numbers": numbers_figure(forecast, "Numbers in the zone, 95 % range and median", folder / "numbers.png"),
        "sequence": sequence_figure(
            since[sequence.events.magnitude[sequence.members] >= mc - 1e-9], sequence.issue - sequence.origin, mc,
            issued, f"Events M >= {mc:g} of the zone, so far and expected", folder / "sequence.png",
        ),
        "map": sequence_map(
            issued, members, f"M >= {mc:g} in 7 days; rings: known so far", folder / "map.png"
        ),
    }  # fmt: skip
    facts = _facts(model, key, catalog, sequence, belief, catalogs)
    (folder / "index.html").write_text(
        aftershock_page(title, lead, said, forecast, ISSUER, figures, [*facts, f"Numbers: {stored}."])
    )
    (folder / "advisory.txt").write_text("\n\n".join([title, lead, *said]) + "\n")
    report = AftershockReport(
        region=region.name,
        event_id=event_id,
        issue_time=str(issue)[:19],
        path=stored / "forecast.nc",
        page=folder / "index.html",
        figures=figures,
        said=said,
    )
    write_json(folder / "forecast.json", report.model_dump(mode="json") | {"facts": facts})
    return report, forecast, sequence


def new_folder(workspace: Workspace, what: str) -> Path:
    """Return a new folder for a page of this moment."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")[:-3]
    folder = workspace.reports / "aftershocks" / f"{stamp}-{what}"
    folder.mkdir(parents=True)
    return folder


@task(name="issue-aftershock-forecast", task_run_name="aftershocks-{region.name}-{event_id}")
def issue_aftershock_forecast(
    workspace: Workspace, region: Region, event_id: str, issue_time: str, seed: int
) -> AftershockReport:
    """Forecast what follows an event, as known at `issue_time` (ISO 8601, or `latest`), and write its page.

    Raises
    ------
    UnknownEvent
        If the event was not known then.
    ValueError
        If nothing was ingested.
    """
    catalog = read_catalog(workspace, region)
    # Since the catalog was asked last nothing is known: a forecast of now would take that time for quiet.
    end = min(np.datetime64(datetime.now(UTC).replace(tzinfo=None), "ns"), catalog.told_until)
    issue = end if issue_time == "latest" else np.datetime64(issue_time, "ns")
    asked = event_asked(catalog.versions, region, event_id, issue)
    folder = new_folder(workspace, f"{region.name}-{asked}")
    report, _, _ = issue_one(workspace, region, catalog, asked, issue, seed, folder)
    point_latest(folder)
    return report
