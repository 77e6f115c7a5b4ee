"""Who is asked for observations, and how: a source, its live service, and what is known of providers."""

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

Modality = Literal["catalog", "gnss", "gnss_highrate", "insar", "weather", "waveform", "static"]
Provider = Literal[
    "quakeml",
    "scedc",
    "scedc_m3",
    "comcat",
    "relocated",
    "tenv3",
    "cwu_csv",
    "gnss_mseed",
    "los_geotiff",
    "quadtree",
    "mintpy",
    "era5",
    "uscrn",
    "raider",
    "miniseed",
    "raster",
    "pos",
    "geonet",
    "licsar",
    "hyp3",
    "aria",
    "opera",
    "open_meteo",
    "isd_lite",
    "uscrn_hourly",
    "sds",
]
ServiceKind = Literal[
    "files",
    "fdsn_event",
    "fdsn_waveforms",
    "fdsn_records",
    "ngl",
    "earthscope",
    "geonet",
    "licsar",
    "hyp3",
    "asf",
    "cds",
    "arco",
    "open_meteo",
    "noaa",
]
SECRET: Final = "secret_in_address"


class Frozen(BaseModel):
    """Configuration: no unknown keys, and nothing that changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Service(Frozen):
    """How a provider is asked over the network; the answers land as files that the source's reader reads."""

    kind: ServiceKind = Field(description="module in tasks/sources/services/ that knows the protocol")
    urls: tuple[str, ...] = Field(min_length=1, description="base URLs, in order of preference")
    requests_per_second: float = Field(default=2.0, gt=0, description="what the provider may be asked")
    timeout_s: float = Field(default=30.0, gt=0, description="patience with silence, seconds")
    slowest_bytes_per_s: float = Field(
        default=1000.0, ge=0, description="a body that comes more slowly, after that patience, is broken off"
    )
    largest_bytes: int = Field(default=16 << 30, gt=0, description="a larger body is refused")
    credential: str = Field(
        default="",
        description="name of the environment variable or Prefect secret with the token, never the token",
    )
    credential_scheme: Literal["header", "digest"] = Field(
        default="header",
        description="how the credential travels: as a header, or as `user:password` by HTTP digest, for which FDSN "
        "dataselect has the method queryauth",
    )
    credential_header: str = Field(default="Authorization", description="HTTP header of the token")
    credential_prefix: str = Field(
        default="Bearer ", description="what stands before the token in the header"
    )
    options: dict[str, str | float | int | bool] = Field(
        default_factory=dict, description="what this service needs besides (see its docstring)"
    )

    @field_validator("urls")
    @classmethod
    def _without_credentials(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if any("@" in urlsplit(url).netloc for url in urls):
            raise PydanticCustomError(
                SECRET,
                "an address must not hold user or password; name them with credential and credential_scheme",
            )
        if any(urlsplit(url).query or urlsplit(url).fragment for url in urls):
            raise PydanticCustomError(
                SECRET,
                "an address must not hold a query; a key travels with credential and credential_header",
            )
        return urls


class SourceConfig(Frozen):
    """One provider of one modality; its observations form the group `<modality>/<name>`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="short name, unique in a modality")
    modality: Modality = Field(description="kind of observation")
    provider: Provider = Field(description="reader in tasks/sources/ that understands the format")
    path: str = Field(description="file or folder below the region's archive")
    latency_days: float = Field(
        default=0.0,
        ge=0,
        description="delay between the end of a value's period and its release, days; if a region file does not say, "
        "the vocabulary's for the provider",
    )
    options: dict[str, str | float | int | bool] = Field(
        default_factory=dict, description="what this reader needs besides (see its docstring)"
    )
    service: Service | None = Field(
        default=None, description="the live service; asked where no archive is given"
    )

    @property
    def group(self) -> str:
        """Name of the observation store's group."""
        return f"{self.modality}/{self.name}"


class Vocabulary(Frozen):
    """What is known of providers, whatever the region."""

    latency_days: dict[Provider, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="delay between the end of a value's period and its release, days"
    )
