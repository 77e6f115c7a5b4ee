"""What test_bad_input.py runs in one process of its own: ingests of a clean, then of a damaged archive.

Usage: bad_input_run.py CONF ARCHIVE RESULTS, in the environment of a state folder. What each phase printed is on
standard error after a line `=== phase`, what it left is in the JSON file RESULTS.
"""

import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

CONF, ARCHIVE, RESULTS = (Path(a) for a in sys.argv[1:])

from flows.settings import prepare_environment, settings  # noqa: E402

prepare_environment(settings())

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import rasterio  # noqa: E402
import xarray as xr  # noqa: E402
from filelock import FileLock  # noqa: E402

from flows.cli import app  # noqa: E402
from flows.forms import IngestForm  # noqa: E402
from flows.ingest import ingest  # noqa: E402
from tasks.cubes.build import build_groups  # noqa: E402
from tasks.cubes.store import ObservationStore  # noqa: E402
from tasks.regions import load_region  # noqa: E402
from tasks.simulation import load_simulation, simulate_world, write_archive  # noqa: E402

Dataset = dict[str, xr.Dataset]
outcome: dict[str, object] = {"harmed": {}, "exit": {}}
STORES = settings().workspace().observations


def write_regions() -> None:
    """Write regions that read a recorded archive: `recorded`, `fresh`, `full` alike, `later` in the wrong decade."""
    region = yaml.safe_load((CONF / "regions" / "tiny.yaml").read_text())
    region["simulation"] = None
    region["sources"] += [
        {"name": "old", "modality": "catalog", "provider": "quakeml", "path": "catalog_old"},
        {"name": "absent", "modality": "weather", "provider": "era5", "path": "nowhere"},
    ]
    for name in ("recorded", "fresh", "full"):
        (CONF / "regions" / f"{name}.yaml").write_text(yaml.safe_dump(region | {"name": name}))
    shift = {"start": "2040-01-01", "end": "2042-07-01", "catalog_start": "2040-01-01"}
    shift |= {"etas_start": "2040-03-01", "name": "later"}
    shift["split"] = {k: v.replace("201", "204") for k, v in region["split"].items()}
    (CONF / "regions" / "later.yaml").write_text(yaml.safe_dump(region | shift))


def write_archive_and_past() -> None:
    """Simulate the archive, and beside it a catalog of ten years before."""
    world = simulate_world(load_region("tiny", CONF), load_simulation("tiny", CONF), 1)
    write_archive(world, ARCHIVE)
    (ARCHIVE / "catalog_old").mkdir()
    text = (ARCHIVE / "catalog" / "2010.xml").read_text()
    (ARCHIVE / "catalog_old" / "2000.xml").write_text(
        text.replace(">2010-", ">2000-").replace(">2011-", ">2001-")
    )


def damage() -> dict[str, str]:
    """Damage one file of each kind; return the kinds with the path below the archive."""
    record = sorted(ARCHIVE.glob("waveforms/events/*/QS.W01..BHN.mseed"))[0]
    record.write_bytes(record.read_bytes()[: int(record.stat().st_size * 0.6)])

    station = ARCHIVE / "gnss" / "S005.tenv3"
    station.write_text(station.read_text().replace("__east(m)", "__oest(m)", 1))

    frame = sorted(ARCHIVE.glob("insar/a058/interferograms/*/*.geo.los.tif"))[3]
    with rasterio.open(frame) as source:
        profile, values = source.profile | {"crs": None}, source.read()
    with rasterio.open(frame, "w", **profile) as target:
        target.write(values)

    weather = ARCHIVE / "weather" / "2011.nc"
    with h5py.File(weather, "r+") as file:
        file["t2m"].attrs["units"] = "degC"

    depths = ARCHIVE / "catalog" / "2011.xml"
    text = depths.read_text()
    begin = text.index("<depth><value>") + len("<depth><value>")
    depths.write_text(text[:begin] + "NaN" + text[text.index("</value>", begin) :])

    twice = ARCHIVE / "catalog" / "2012.xml"
    text = twice.read_text()
    first = text[text.index("<event ") : text.index("</event>") + len("</event>")]
    twice.write_text(text.replace(first, first + "\n" + first.replace("<mag><value>3.", "<mag><value>2."), 1))

    broken = {"mseed": record, "tenv3": station, "geotiff": frame, "netcdf": weather}
    broken |= {"depth": depths, "ids": twice}
    return {kind: str(path.relative_to(ARCHIVE)) for kind, path in broken.items()}


@contextmanager
def phase(name: str) -> Iterator[None]:
    sys.stderr.write(f"=== {name}\n")
    sys.stderr.flush()
    yield


def run_command(region: str) -> int:
    """Call `quakecube run REGION` here, on the server that runs already; return its exit code."""
    try:
        app(["run", region])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def stored(region: str, snapshot: str | None = None) -> Dataset:
    store = ObservationStore(STORES, region)
    return {group: store.read(group, snapshot).load() for group in store.groups(snapshot)}


def is_equal(one: Dataset, other: Dataset) -> bool:
    return set(one) == set(other) and all(one[group].identical(other[group]) for group in one)


def touch_archive() -> None:
    """Change the time of every catalog and station file, so that they are read again."""
    for path in [*ARCHIVE.glob("catalog/*.xml"), *ARCHIVE.glob("gnss/*.tenv3")]:
        os.utime(path)


write_regions()
write_archive_and_past()
with phase("clean"):
    clean = ingest(IngestForm(region="recorded"))
before = stored("recorded")

outcome["damaged"] = damage()
with phase("again"):
    again = ingest(IngestForm(region="recorded"))
outcome["again"] = again.model_dump()
outcome["clean"] = clean.model_dump()
outcome["harmed"]["again"] = not is_equal(stored("recorded", clean.snapshot), before)
now = stored("recorded")
outcome["changed"] = [group for group in before if not before[group].identical(now[group])]

with phase("fresh"):
    fresh = ingest(IngestForm(region="fresh"))
outcome["fresh"] = fresh.model_dump()
first = stored("fresh")
north = first["waveform/network"]["quality_flag"].sel(channel="N").values
outcome["read"] = {
    "events": int(first["catalog/network"].sizes["event"]) - int(before["catalog/network"].sizes["event"]),
    "stations": sorted(first["gnss/ngl"]["station"].values),
    "pairs": before["insar/a058"].sizes["time"] - first["insar/a058"].sizes["time"],
    "hours": before["weather/era5"].sizes["time"] - first["weather/era5"].sizes["time"],
    "depths": int(np.isnan(first["catalog/network"]["depth_km"].values).sum()),
    "records": before["waveform/network"].sizes["record"] - first["waveform/network"].sizes["record"],
    "gaps": int(
        (north == 1).sum() - (before["waveform/network"]["quality_flag"].sel(channel="N") == 1).sum()
    ),
}
cube = build_groups(load_region("fresh", CONF), lambda group: first.get(group))
outcome["cube"] = {name: dict(group.sizes) for name, group in cube.items()}

with phase("later"):
    outcome["exit"]["later"] = run_command("later")
with phase("unknown"):
    outcome["exit"]["unknown"] = run_command("atlantis")
with phase("unknown_flow"):
    try:
        ingest(IngestForm(region="atlantis"))
    except KeyError as error:
        outcome["unknown_flow"] = str(error)

touch_archive()
ObservationStore.write.__kwdefaults__["timeout_s"] = 1.0
with phase("busy"), FileLock(STORES / "recorded.lock"):
    outcome["exit"]["busy"] = run_command("recorded")
outcome["harmed"]["busy"] = not is_equal(stored("recorded"), now)

unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (25_000, unlimited[1]))
with phase("full"):
    outcome["exit"]["full"] = run_command("full")
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
outcome["full_groups"] = ObservationStore(STORES, "full").groups()
with phase("room"):
    outcome["room"] = ingest(IngestForm(region="full")).model_dump()
outcome["harmed"]["full"] = not is_equal(stored("recorded"), now)
outcome["whole_after_full"] = is_equal(stored("full"), first)

RESULTS.write_text(json.dumps(outcome, default=str))
