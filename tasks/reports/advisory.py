"""The words of a public aftershock advisory, made from a forecast's numbers."""

from datetime import UTC, datetime

import numpy as np
import xarray as xr

WINDOW_NAMES = {1.0: "day", 7.0: "week", 30.0: "month", 365.0: "year"}
DISCLAIMER = (
    "No one can predict the time, place or size of a single earthquake, aftershocks included. These are "
    "probabilities, computed from how earthquake sequences have behaved; they change as the sequence goes on and as "
    "more of it becomes known. This text is made by a program and is not an official warning: follow your authorities."
)


def in_words(probability: float) -> str:
    """Return a probability as a reader can use it: whole percents, "less than 1 %", "more than 99 %"."""
    if probability < 0.01:
        return "less than 1 %"
    return "more than 99 %" if probability > 0.99 else f"{100.0 * probability:.0f} %"


def number_range(low: int, high: int) -> str:
    """Return a range of numbers as words."""
    if high == 0:
        return "probably none"
    return f"{low}" if low == high else f"{low} to {high}"


def moment(nanoseconds: int) -> str:
    """Return a time since 1970 as `6 July 2019, 03:19 UTC`."""
    at = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def _nanoseconds(event: xr.Dataset) -> int:
    return int(event["origin_time"].values.astype("datetime64[ns]").astype(np.int64))


def advisory(
    forecast: xr.Dataset, title: str, trigger: xr.Dataset, largest: xr.Dataset, issue_time: np.datetime64
) -> list[str]:
    """Return the paragraphs of an advisory.

    Parameters
    ----------
    forecast : Dataset (window, magnitude)
        Of one model: `low`, `high`, `probability`; `largest_magnitude`, `zone_km`.
    title : str
        Name of the region.
    trigger, largest : Dataset
        One event each with `origin_time` and `magnitude`: the one that is asked about, and the largest so far.
    issue_time : datetime64
        UTC.
    """
    week = forecast.sel(window=7.0)
    issued = moment(int(issue_time.astype("datetime64[ns]").astype(np.int64)))
    size = float(forecast["largest_magnitude"])
    said = [
        f"An earthquake of magnitude {float(trigger['magnitude']):.1f} happened on "
        f"{moment(_nanoseconds(trigger))}: {title}."
    ]
    if float(largest["magnitude"]) > float(trigger["magnitude"]):
        said[0] += (
            f" A larger one, of magnitude {size:.1f}, followed on {moment(_nanoseconds(largest))}; what is "
            "said here is about what comes after both."
        )
    said.append(
        f"More earthquakes than usual will go on near it. Within the week after {issued}, and within "
        f"{float(forecast['zone_km']):.0f} km, the chance of at least one earthquake is:"
    )
    for magnitude in week["magnitude"].values:
        if magnitude != round(magnitude) and magnitude != round(size, 1):
            continue
        row = week.sel(magnitude=magnitude)
        note = ", as large as the largest so far, or larger" if magnitude == round(size, 1) else ""
        said.append(
            f"- magnitude {magnitude:g} or larger{note}: {in_words(float(row['probability']))} "
            f"(how many: {number_range(int(row['low']), int(row['high']))})"
        )
    year = forecast.sel(window=365.0)
    strong = [m for m in year["magnitude"].values if m >= 5.0]
    if strong:
        row = year.sel(magnitude=strong[0])
        said.append(
            f"Within a year the chance of magnitude {strong[0]:g} or larger is "
            f"{in_words(float(row['probability']))}. Earthquakes become fewer with time, but a large one "
            "can come at any time and would bring aftershocks of its own."
        )
    said.append(DISCLAIMER)
    return said
