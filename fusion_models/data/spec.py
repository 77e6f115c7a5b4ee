"""The layout of a sample, written once: names, windows, grid."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from fusion_models.config import ModalityName, ModelConfig
from fusion_models.data.cube import CubeData

KM100_PER_DEGREE: Final = 1.11195
RECENT_DAYS: Final = (1, 7, 30, 365)
EVENT_FEATURES: Final = ("log_days_since", "magnitude", "north", "east", "depth_km")
INSAR_FEATURES: Final = ("los_rate", "coherence", "look_east", "look_north", "look_up", "log_age_days")
STRAIN_RATES: Final = ("east_rate", "north_rate", "up_rate", "dilatation_rate", "shear_rate")
SPEED_WINDOWS: Final = (6, 12, 24)
SPEED_KERNELS_KM: Final = (20.0, 40.0)
SPEEDS: Final = tuple(f"log_speed_{n}d_{k:g}km" for n in SPEED_WINDOWS for k in SPEED_KERNELS_KM)
DEFAULTS: Final[dict[str, tuple[str, ...]]] = {
    "waveform": ("waveform_features",),
    "gnss": ("east", "north", "up"),
    "weather": ("water_load",),
}


class SampleSpec(BaseModel):
    """The layout of samples; it travels in the bundle, so that training and live forecasting cannot differ.

    Positions are north and east offsets from the region's centre in 100 km.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    horizons: tuple[int, ...] = Field(description="forecast windows, days")
    latitudes: tuple[float, ...] = Field(description="cell centres, degree")
    longitudes: tuple[float, ...] = Field(description="cell centres, degree")
    modalities: tuple[ModalityName, ...] = Field(description="inputs, in order")
    variables: dict[str, tuple[str, ...]] = Field(
        description="names along the last axis, by modality and `cells`"
    )
    lookback_days: dict[str, int] = Field(description="windows, days")
    n_events: int = Field(description="length of the event sequence")
    n_pairs: int = Field(description="interferograms")
    coarse_cells: int = Field(description="side of the coarse grid for weather")

    @property
    def n_cells(self) -> tuple[int, int]:
        """Number of cells along lat and lon."""
        return len(self.latitudes), len(self.longitudes)


def spec_for(cube: CubeData, config: ModelConfig, horizons: Sequence[int]) -> SampleSpec:
    """Return the layout of samples of `cube`; a group that the cube lacks gets the names it would have."""
    variables: dict[str, tuple[str, ...]] = {
        "events": EVENT_FEATURES,
        "insar": INSAR_FEATURES,
        "strain": STRAIN_RATES + tuple(f"{name}_change" for name in STRAIN_RATES) + SPEEDS,
        "gnss": DEFAULTS["gnss"],
    }
    waveform = cube.daily.get("waveform")
    named = waveform is not None and "feature" in waveform.coords
    variables["waveform"] = (
        tuple(map(str, waveform.coords["feature"].values)) if waveform and named else DEFAULTS["waveform"]
    )
    weather = cube.daily.get("weather")
    variables["weather"] = tuple(sorted(weather.variables)) if weather else DEFAULTS["weather"]
    layers = sorted(map(str, cube.groups["static"].data_vars)) if "static" in cube.groups else []
    variables["cells"] = (
        *(f"log_rate_{h}" for h in horizons),
        *(f"log_rate_{h}_to_{k}" for h, k in pairwise(horizons)),
        *(f"log_count_{d}" for d in RECENT_DAYS),
        *(f"static_{name}" for name in layers),
    )
    return SampleSpec(
        horizons=tuple(int(h) for h in horizons),
        latitudes=tuple(float(v) for v in cube.latitudes),
        longitudes=tuple(float(v) for v in cube.longitudes),
        modalities=config.modalities,
        variables={name: variables[name] for name in (*config.modalities, "cells")},
        lookback_days=config.lookback_days.model_dump(),
        n_events=config.n_events,
        n_pairs=config.n_pairs,
        coarse_cells=config.coarse_cells,
    )
