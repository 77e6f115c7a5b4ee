"""The region model: bounds, grid, period, split by date and the list of sources, read from YAML."""

from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
import yaml
from pydantic import Field, ValidationError, model_validator

from tasks.regions.source import SECRET, Frozen, SourceConfig, Vocabulary

# Names of the USGS: regimes of Garcia et al. (2012), and parts of California (values: generic_aftershocks.py).
AftershockRegime = Literal[
    "ANSR-ABSLDEC",
    "ANSR-ABSLOCB",
    "ANSR-ABSLSHC",
    "ANSR-DEEPCON",
    "ANSR-HOTSPOT",
    "ANSR-OCEANBD",
    "ANSR-SHALCON",
    "SCR-GENERIC",
    "SCR-ABVSLAB",
    "SOR-GENERIC",
    "SOR-ABVSLAB",
    "SZ-GENERIC",
    "SZ-INLBACK",
    "SZ-ONSHORE",
    "SZ-OUTERTR",
    "CAL-SCSN",
    "CAL-NCSS",
    "CAL-MENDOCINO",
    "CAL-HYDROTHERMAL",
    "CAL-RJ1989",
]


class UnknownRegion(KeyError):
    """The named region has no file in the configuration folder."""

    def __str__(self) -> str:
        """Return the message without the quotes that KeyError adds."""
        return str(self.args[0])


class TimeWindow(NamedTuple):
    """Half-open interval [start, end) of UTC datetime64[ns]."""

    start: np.datetime64
    end: np.datetime64


class Bounds(Frozen):
    """A box in degrees, WGS 84; south and west edges belong to it, north and east do not."""

    south: float = Field(ge=-90, le=90, description="southern edge, degree north")
    north: float = Field(ge=-90, le=90, description="northern edge, degree north")
    west: float = Field(ge=-180, le=180, description="western edge, degree east")
    east: float = Field(ge=-180, le=180, description="eastern edge, degree east")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not (self.south < self.north and self.west < self.east):
            raise ValueError(
                f"bounds must satisfy south < north and west < east, found {self!r}; "
                "a box across the 180 degree meridian has to be split in two"
            )
        return self

    def grown(self, margin_deg: float) -> "Bounds":
        """Return the box with `margin_deg` degrees added on each side."""
        return Bounds(
            south=max(-90.0, self.south - margin_deg),
            north=min(90.0, self.north + margin_deg),
            west=max(-180.0, self.west - margin_deg),
            east=min(180.0, self.east + margin_deg),
        )


class MagnitudeConversion(Frozen):
    """Magnitudes of some types become magnitudes of another: slope * magnitude + intercept."""

    types: tuple[str, ...] = Field(min_length=1, description="magnitude types as the provider writes them")
    to: str = Field(description="the type that results")
    slope: float = Field(default=1.0, gt=0, description="of the regression")
    intercept: float = Field(default=0.0, description="of the regression, magnitude units")
    standard_error: float = Field(default=0.0, ge=0, description="scatter of the regression, magnitude units")
    sources: tuple[str, ...] = Field(
        default=(), description="names of catalog sources it holds for; empty: all"
    )
    smallest: float = Field(default=-5.0, description="smallest magnitude that is converted")
    largest: float = Field(default=10.0, description="largest magnitude that is converted")
    reference: str = Field(description="paper or regression that it comes from")


class Split(Frozen):
    """Split by date; each part is half-open, and the gaps hold lookback plus horizon."""

    train_start: date = Field(description="first training issue day")
    train_end: date = Field(description="end of training (exclusive); statistics end here")
    validation_start: date = Field(description="first validation issue day")
    validation_end: date = Field(description="end of validation (exclusive)")
    test_start: date = Field(description="first test issue day")
    test_end: date = Field(description="end of test (exclusive); no window reaches past it")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        days = list(self.__dict__.values())
        if days != sorted(days):
            raise ValueError(f"split dates must not decrease, found {days}")
        return self


class Region(Frozen):
    """Everything that the system has to know about one region."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="short name, used in paths")
    title: str = Field(description="name for people")
    bounds: Bounds = Field(description="the box that is forecast")
    resolution_deg: float = Field(gt=0, le=1, description="cell size, degree")
    margin_deg: float = Field(default=0.5, ge=0, description="events this far outside still trigger, degree")
    start: date = Field(description="first day of the cube")
    end: date = Field(description="end of the cube (exclusive)")
    catalog_start: date = Field(description="first day of the catalog that feeds histories")
    etas_start: date = Field(description="first day of the ETAS fit; before it events only trigger")
    magnitude_completeness: float = Field(
        description="smallest magnitude fitted, triggering and forecast; fixed on the training period"
    )
    magnitude_conversions: tuple[MagnitudeConversion, ...] = Field(
        default=(),
        description="how magnitude types are brought to one, before completeness; none: as provided",
    )
    magnitude_max: float = Field(default=8.0, description="upper cut-off of Gutenberg-Richter")
    aftershock_magnitude: float = Field(
        default=5.0, description="a new event of this magnitude or larger starts an aftershock forecast"
    )
    aftershock_regime: AftershockRegime = Field(
        default="ANSR-SHALCON",
        description="whose published aftershock parameters Reasenberg-Jones starts from; default: active shallow crust",
    )
    split: Split = Field(description="train, validate, test by date")
    simulation: str | None = Field(
        default=None, description="file in conf/simulation that makes this region's archive, if simulated"
    )
    world: str = Field(
        default="", pattern=r"^[0-9a-z]*$", description="which simulated world; empty for recorded regions"
    )
    sources: list[SourceConfig] = Field(min_length=1, description="providers to ask")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        groups = [s.group for s in self.sources]
        if len(set(groups)) != len(groups):
            raise ValueError(f"region {self.name!r} names a source twice: {sorted(groups)}")
        for extent in (self.bounds.north - self.bounds.south, self.bounds.east - self.bounds.west):
            cells = extent / self.resolution_deg
            if abs(cells - round(cells)) > 1e-6:
                raise ValueError(
                    f"region {self.name!r}: {extent:g} degrees are not a whole number of "
                    f"{self.resolution_deg:g} degree cells"
                )
        return self

    @property
    def store_name(self) -> str:
        """Name of the region's repositories and folders: worlds of different seeds must never mix."""
        return f"{self.name}-{self.world}" if self.world else self.name

    @property
    def latitudes(self) -> np.ndarray:
        """Cell centres (lat,), degree, ascending."""
        n = round((self.bounds.north - self.bounds.south) / self.resolution_deg)
        return np.round(self.bounds.south + (np.arange(n) + 0.5) * self.resolution_deg, 6)

    @property
    def longitudes(self) -> np.ndarray:
        """Cell centres (lon,), degree, ascending."""
        n = round((self.bounds.east - self.bounds.west) / self.resolution_deg)
        return np.round(self.bounds.west + (np.arange(n) + 0.5) * self.resolution_deg, 6)

    @property
    def window(self) -> TimeWindow:
        """The cube's period."""
        return TimeWindow(np.datetime64(self.start, "ns"), np.datetime64(self.end, "ns"))

    @property
    def catalog_window(self) -> TimeWindow:
        """The period of the catalog, which starts earlier than the cube."""
        return TimeWindow(np.datetime64(self.catalog_start, "ns"), np.datetime64(self.end, "ns"))


def load_region(name: str, conf: Path) -> Region:
    """Return the region `name` from `conf`/regions/`name`.yaml.

    Raises
    ------
    UnknownRegion
        If there is no such file; the message lists the regions there are.
    ValueError
        If the file does not describe a region; the message names the file and each wrong field.
    """
    folder = conf / "regions"
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if name not in known:
        raise UnknownRegion(f"unknown region {name!r}: expected one of {known} (files in {folder})")
    path = folder / f"{name}.yaml"
    vocabulary = load_vocabulary(conf)
    try:
        content = yaml.safe_load(path.read_text())
        for source in content.get("sources", []) if isinstance(content, dict) else []:
            if isinstance(source, dict) and source.get("provider") in vocabulary.latency_days:
                source.setdefault("latency_days", vocabulary.latency_days[source["provider"]])
        return Region.model_validate(content)
    except ValidationError as error:
        # what stands in the file is shown, but not an address with a password
        is_secret = any(found["type"] == SECRET for found in error.errors(include_input=False))
        told = "; ".join(
            f"{'.'.join(map(str, found['loc']))}: {found['msg']}"
            for found in error.errors(include_input=False)
        )
        raise ValueError(f"{path}: not a valid region: {told if is_secret else error}") from (
            None if is_secret else error
        )
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not a valid region: {error}") from error


def load_vocabulary(conf: Path) -> Vocabulary:
    """Return what `conf`/vocabulary.yaml says of the providers; nothing where there is no such file.

    Raises
    ------
    ValueError
        If the file is not valid; the message names it.
    """
    path = conf / "vocabulary.yaml"
    try:
        return Vocabulary.model_validate(yaml.safe_load(path.read_text()) if path.is_file() else {})
    except (ValidationError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: not a valid vocabulary: {error}") from error
