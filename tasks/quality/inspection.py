"""The quality control of a whole region: every group judged, signals planted, and all of it on one page."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from tasks.quality.earthquakes import SMALLEST_MAGNITUDE, Earthquakes
from tasks.quality.gnss import StationStep
from tasks.quality.injection import (
    Caught,
    Recovery,
    catch_spikes,
    false_alarms,
    recover_slow_slip,
    recover_steps,
    simulate_clean,
)
from tasks.quality.judge import JUDGED, judge_group
from tasks.quality.page import availability_figure, quality_page, recovery_figure
from tasks.quality.report import SensorQuality, periods, summarise
from tasks.regions import Region

logger = logging.getLogger(__name__)

_WAVEFORM_MAGNITUDE: Final = 2.5
_CLEAN_SERIES, _CLEAN_DAYS = 20, 1500


class Inspection(NamedTuple):
    """What was found: sensors with offenders first, steps by time, planted signals, and groups left out."""

    sensors: list[SensorQuality]
    steps: list[StationStep]
    recoveries: list[Recovery]
    caught: list[Caught]
    left_out: list[str]
    borders: NDArray[np.datetime64]


def inspect_region(
    region: Region, read: Callable[[str], xr.Dataset | None], seed: int, trials: int
) -> Inspection:
    """Judge the groups that `read` gives and plant `trials` signals per size into the first daily GNSS group.

    A group that cannot be judged is left out with a message, and the rest goes on.
    """
    catalogs = [read(s.group) for s in region.sources if s.modality == "catalog"]
    known = [catalog.load() for catalog in catalogs if catalog is not None]
    found = Inspection([], [], [], [], [], periods(*region.window))
    for source in region.sources:
        observations = read(source.group) if source.modality in JUDGED else None
        if observations is None:
            continue
        smallest = _WAVEFORM_MAGNITUDE if source.modality == "waveform" else SMALLEST_MAGNITUDE
        try:
            verdict, steps = judge_group(source.modality, observations, Earthquakes.of(known, smallest))
            found.sensors.extend(summarise(source.group, observations, verdict, found.borders))
            found.steps.extend(steps)
            if source.modality == "gnss" and trials and not found.recoveries:
                found.recoveries.extend(recover_steps(observations, trials, seed))
                found.recoveries.extend(recover_slow_slip(observations, trials, seed))
                found.caught.extend(catch_spikes(observations, trials, seed))
                found.caught.extend(false_alarms(simulate_clean(_CLEAN_SERIES, _CLEAN_DAYS, seed)))
        except ValueError as error:
            found.left_out.append(f"{source.group}: {error}")
            logger.warning("%s", found.left_out[-1])
    found.sensors.sort(key=lambda sensor: sensor.offences)
    found.steps.sort(key=lambda step: (step.is_explained, str(step.time), step.station))
    return found


def write_inspection(found: Inspection, title: str, lead: str, folder: Path) -> dict[str, Path]:
    """Write index.html and its figures into `folder`; return the figures by name."""
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Path] = {}
    if found.sensors:
        figures["availability"] = availability_figure(
            found.sensors, found.borders, "Share observed in 30 days", folder / "availability.png"
        )
    if found.recoveries:
        figures["recovery"] = recovery_figure(
            found.recoveries,
            found.caught,
            "Planted into the region's own GNSS series",
            folder / "recovery.png",
        )
    text = quality_page(
        title,
        lead,
        found.sensors,
        step_rows(found.steps),
        found.recoveries,
        found.caught,
        figures,
        found.left_out,
    )
    (folder / "index.html").write_text(text, encoding="utf-8")
    return figures


def step_rows(steps: list[StationStep]) -> list[dict[str, str]]:
    """Return the steps as rows of text, m as mm, those that nothing explains first."""
    return [
        {
            "station": step.station,
            "day": str(step.time.astype("datetime64[D]")),
            "east, mm": f"{1e3 * step.east:+.1f}",
            "north, mm": f"{1e3 * step.north:+.1f}",
            "up, mm": "-" if np.isnan(step.up) else f"{1e3 * step.up:+.1f}",
            "established": str(step.known.astype("datetime64[D]")),
            "cause": "earthquake" if step.is_explained else "unknown",
        }
        for step in steps
    ]
