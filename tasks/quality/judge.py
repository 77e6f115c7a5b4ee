"""One group of observations to its judge, by modality."""

from typing import Final

import numpy as np
import xarray as xr

from tasks.quality.earthquakes import Earthquakes
from tasks.quality.flags import provider_reason, stamps, verdicts
from tasks.quality.gnss import StationStep, judge_gnss
from tasks.quality.insar import judge_interferograms
from tasks.quality.waveform import judge_waveforms
from tasks.quality.weather import judge_weather

JUDGED: Final = ("gnss", "gnss_highrate", "insar", "weather", "waveform")


def judge_group(
    modality: str, observations: xr.Dataset, earthquakes: Earthquakes
) -> tuple[xr.Dataset, list[StationStep]]:
    """Return the verdict Dataset on a group of `modality` (one of JUDGED), and the steps of its stations.

    Of high-rate GNSS only what the reader flagged is known: an hour of shaking is no series of days.

    Raises
    ------
    ValueError
        If the modality has no judge, or the group lacks a variable that its judge needs.
    """
    try:
        if modality == "gnss":
            return judge_gnss(observations, earthquakes)
        if modality == "insar":
            return judge_interferograms(observations, earthquakes), []
        if modality == "weather":
            return judge_weather(observations), []
        if modality == "waveform":
            return judge_waveforms(observations, earthquakes), []
        if modality == "gnss_highrate":
            return _as_flagged(observations), []
    except KeyError as error:
        raise ValueError(
            f"{modality}: expected the variable or attribute {error.args[0]!r}, found none"
        ) from error
    raise ValueError(f"modality {modality!r}: expected one of {JUDGED}")


def _as_flagged(observations: xr.Dataset) -> xr.Dataset:
    observations = observations.load()
    flags = observations["quality_flag"].values.astype(np.uint8)
    reason = provider_reason(flags, observations["east"].values)
    known = stamps(observations["available_time"])
    coords = {str(k): v for k, v in observations.coords.items()}
    return verdicts(("time", "station"), coords, reason, known, known, "gnss_highrate")
