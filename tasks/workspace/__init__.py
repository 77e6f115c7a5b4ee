"""Where state lives: the folders below QUAKECUBE_HOME, stores elsewhere, the archive and the configuration."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from tasks.cubes.storage import Bucket, identity_of

_CODE = Path(__file__).parents[2]


class Workspace(BaseModel):
    """Folders that a run reads and writes; small, so it travels between tasks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(description="state folder, QUAKECUBE_HOME")
    conf: Path = Field(description="configuration folder")
    archive: Path | None = Field(default=None, description="recorded archive, QUAKECUBE_ARCHIVE")
    tracking_uri: str = Field(
        description="MLflow tracking and registry URI", repr=False
    )  # may hold a password
    dask_address: str | None = Field(default=None, description="scheduler to use instead of a local one")
    threads: int = Field(default=2, ge=1, description="threads of the local Dask cluster and of torch")
    memory_gib: float = Field(default=4.0, gt=0, description="what a cube's maps, and samples, may each take")
    stores: str = Field(
        default="", description="bucket of observations and cubes, see `Bucket`; empty: the state folder"
    )

    @property
    def observations(self) -> Path | str:
        """Observation store: a folder, or the address of a bucket."""
        return self._store("observations")

    @property
    def cubes(self) -> Path | str:
        """Cubes, one repository per region: a folder, or the address of a bucket."""
        return self._store("cubes")

    @property
    def ingest(self) -> Path:
        """What the runs of this machine know of each other's ingests: a lock, and what was read of the archive."""
        return self.home / "observations"

    @property
    def forecasts(self) -> Path:
        """Append-only forecast store."""
        return self.home / "forecasts"

    @property
    def aftershocks(self) -> Path:
        """Append-only store of aftershock forecasts."""
        return self.home / "aftershocks"

    @property
    def reports(self) -> Path:
        """Pages, figures and summaries, one folder per run, `latest` beside them."""
        return self.home / "reports"

    @property
    def tiles(self) -> Path:
        """Daily maps of cubes too large for memory, as training reads them."""
        return self.home / "tiles"

    @property
    def memory_bytes(self) -> int:
        """`memory_gib` in bytes."""
        return int(self.memory_gib * 2**30)

    def runs(self, region: str) -> Path:
        """Return the folder of fitted baselines, bundles and backtests of `region`."""
        return self.home / "runs" / region

    def identity(self) -> dict[str, str]:
        """Return what a kept result depends on besides its arguments: configuration, tracker, and the state's folders.

        Each folder carries a random token; if a folder is deleted, its token goes with it, and results that point
        into it are made again.
        """
        tokens = {
            name: self.token(name) for name in ("observations", "cubes", "runs", "simulated", "mlartifacts")
        }
        rules = sorted(p for p in self.conf.rglob("*.yaml") if p.parent.name != "regions")
        content = {f"{p.parent.name}/{p.name}": p.read_text() for p in rules}
        return tokens | {"home": str(self.home), "tracking_uri": self.tracking_uri, "conf": digest(content)}

    def token(self, name: str) -> str:
        """Return the random token of the state folder or store `name`, made if there is none."""
        place = self._store(name) if name in ("observations", "cubes") else self.home / name
        if not isinstance(place, Path):
            return identity_of(Bucket.parse(place))
        token = place / ".id"
        if not token.is_file():
            token.parent.mkdir(parents=True, exist_ok=True)
            token.write_text(uuid.uuid4().hex)
        return token.read_text()

    def _store(self, name: str) -> Path | str:
        return Bucket.parse(self.stores).below(name).uri if self.stores else self.home / name

    def simulated(self, store_name: str) -> Path:
        """Return the folder of the archive that the simulator writes for a region's world."""
        return self.home / "simulated" / store_name


def digest(value: Mapping[str, object]) -> str:
    """Return 16 hexadecimal digits that identify a JSON-able mapping, whatever its key order."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_digest(*folders: str) -> str:
    """Return the digest of the code in `folders` (default: all libraries), so that outputs of older code are redone."""
    sha = hashlib.sha256()
    for package in folders or ("tasks", "fusion_models"):
        for path in sorted((_CODE / package).rglob("*.py")):
            sha.update(path.relative_to(_CODE).as_posix().encode())
            sha.update(path.read_bytes())
    return sha.hexdigest()[:16]


def folder_fingerprint(path: Path) -> str:
    """Return a digest of the names, sizes and modification times below `path` (a file or a folder).

    File contents are not read: a provider that rewrites a file changes its time.
    """
    sha = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        stat = file.stat()
        sha.update(f"{file.relative_to(path.parent)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return sha.hexdigest()[:16]


def write_json(path: Path, value: Mapping[str, object]) -> Path:
    """Write a mapping as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value, indent=1, default=str) + "\n")
    temporary.replace(path)
    return path


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `target` when the block ends without an error.

    A run that is killed inside leaves `target` untouched; what a former run left half-done is swept away.
    """
    temporary = target.with_name(f".{target.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    yield temporary
    if target.exists():
        shutil.rmtree(target)
    temporary.rename(target)
