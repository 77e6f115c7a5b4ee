"""The one reader of the environment: state folder, archive, servers (prefix QUAKECUBE_)."""

import json
import os
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.cubes.storage import Bucket, probe
from tasks.workspace import Workspace


class Settings(BaseSettings):
    """Paths and addresses; secrets and URIs come from the environment only."""

    model_config = SettingsConfigDict(env_prefix="QUAKECUBE_", extra="ignore", frozen=True)

    home: Path = Field(default=Path(".quakecube"), description="state folder")
    conf: Path | None = Field(default=None, description="configuration folder; default: the one of the code")
    archive: Path | None = Field(default=None, description="folder of recorded data")
    tracking_uri: str | None = Field(
        default=None, repr=False, description="MLflow; default: SQLite in the state folder"
    )
    dask_address: str | None = Field(default=None, description="Dask scheduler; default: a local cluster")
    threads: int = Field(default=2, ge=1, description="threads of the local Dask cluster and of torch")
    memory_gib: float = Field(
        default=4.0, gt=0, description="memory for a cube's maps, and for samples; more are read as needed"
    )
    stores: str = Field(
        default="", description="s3://bucket/prefix of observations and cubes; default: the state folder"
    )
    s3_endpoint: str = Field(
        default="",
        validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        description="address of an object store that is not Amazon's",
    )
    s3_region: str = Field(
        default="",
        validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"),
        description="its region",
    )
    prefect_port: int = Field(default=4200, description="Prefect server and UI on 127.0.0.1")
    mlflow_port: int = Field(default=5000, description="MLflow UI on 127.0.0.1")

    @property
    def conf_dir(self) -> Path:
        """The configuration folder: as set, of the checkout, or of the installed package."""
        if self.conf is not None:
            return self.conf.resolve()
        here = Path(__file__).resolve().parent
        checkout = here.parent / "conf"
        return checkout if checkout.is_dir() else here / "conf"

    @property
    def prefect_url(self) -> str:
        """Address of the Prefect server that `quakecube up` starts."""
        return f"http://127.0.0.1:{self.prefect_port}"

    @property
    def mlflow_url(self) -> str:
        """Address of the MLflow server that `quakecube up` starts."""
        return f"http://127.0.0.1:{self.mlflow_port}"

    def workspace(self) -> Workspace:
        """Return folders and stores as tasks need them.

        Raises
        ------
        ValueError
            If QUAKECUBE_STORES names no bucket.
        StoreUnsafe, StoreUnreachable
            If it names one that would lose commits, or that cannot be asked (see `probe`).
        """
        stores = ""
        if self.stores:
            place = Bucket.parse(self.stores, endpoint=self.s3_endpoint, region=self.s3_region)
            probe(place)
            stores = place.uri
        home = self.home.resolve()
        home.mkdir(parents=True, exist_ok=True)
        return Workspace(
            home=home,
            conf=self.conf_dir,
            archive=None if self.archive is None else self.archive.resolve(),
            tracking_uri=self.tracking_uri or f"sqlite:///{home / 'mlflow.db'}",
            dask_address=self.dask_address,
            threads=self.threads,
            memory_gib=self.memory_gib,
            stores=stores,
        )


@cache
def settings() -> Settings:
    """Return the settings of this process."""
    return Settings()


def answers(url: str) -> bool:
    """Return whether `url` on loopback answers 200 within two seconds, past any proxy."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, TimeoutError):
        return False


def prepare_environment(current: Settings) -> None:
    """Set what Prefect and MLflow read when they are imported; call it before importing a flow.

    A Prefect server that `quakecube up` started from the same state folder is used; otherwise Prefect starts an
    embedded one on the same database. The telemetry of both is switched off.
    """
    home = current.home.resolve()
    (home / "prefect").mkdir(parents=True, exist_ok=True)  # Prefect makes one level only
    defaults = {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # On disk, so that a place in a limit outlives a killed server no longer than its lease.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_CLI_COLORS": "false",
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MPLBACKEND": "Agg",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    servers = home / "servers" / "servers.json"
    if "PREFECT_API_URL" not in os.environ and servers.is_file():
        url = str(json.loads(servers.read_text())["prefect"])
        if answers(f"{url}/api/health"):
            os.environ["PREFECT_API_URL"] = f"{url}/api"
