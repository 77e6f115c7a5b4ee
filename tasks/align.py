"""Stage: align a region's observations into a cube, audit it for look-ahead, and commit it."""

from pydantic import BaseModel, Field

from tasks.cubes.audit import audit_cube
from tasks.cubes.build import build_groups
from tasks.cubes.cluster import dask_cluster
from tasks.cubes.shares import observed_share
from tasks.cubes.store import CubeRef, CubeStore, ObservationStore
from tasks.progress import dask_progress
from tasks.regions import Region
from tasks.reports.summary import write_json
from tasks.stage import stage
from tasks.workspace import Workspace


class CubeReport(BaseModel):
    """A committed cube and what it holds."""

    ref: CubeRef
    shape: dict[str, int] = Field(description="length of time, lat, lon")
    modalities: dict[str, float] = Field(description="modality -> share observed")
    audited: list[str] = Field(description="issue times at which the cube was rebuilt from what was known")

    def save(self, workspace: Workspace, region: Region) -> None:
        """Remember this as the cube that later flows take: the one last asked for, not the one last written."""
        write_json(workspace.runs(region.store_name) / "cube.json", self.model_dump(mode="json"))

    @classmethod
    def load(cls, workspace: Workspace, region: Region) -> "CubeReport":
        """Return the cube last asked for, or raise ValueError saying which flow makes it."""
        path = workspace.runs(region.store_name) / "cube.json"
        if not path.is_file():
            raise ValueError(
                f"region {region.name!r} has no cube in {workspace.cubes}; run the flow build-cube first"
            )
        return cls.model_validate_json(path.read_text())


@stage("align-cube", run_name="align-{region.name}")
def align_cube(workspace: Workspace, region: Region, observations: str) -> CubeReport:
    """Build the cube of `region` from the snapshot `observations`; return its reference."""
    store = ObservationStore(workspace.observations, region.store_name)
    with (
        dask_cluster(workspace.dask_address, workspace.threads) as client,
        dask_progress(f"align {region.name}", client) as told,
    ):
        told.doing = "build"
        groups = build_groups(region, lambda group: store.read(group, observations))
        told.doing = "audit"
        audited = audit_cube(region, lambda group: store.read(group, observations), groups)
        told.doing = "commit"
        ref = CubeStore(workspace.cubes, region.store_name).write(groups, f"observations {observations}")
    labels = groups["labels"]
    return CubeReport(
        ref=ref,
        shape={str(k): int(v) for k, v in labels.sizes.items()},
        modalities=observed_share(groups),
        audited=[str(t) for t in audited],
    )
