"""Stage: align a region's observations into a cube, audit it for look-ahead, and commit it."""

from pydantic import Field

from tasks.cubes.audit import audit_cube
from tasks.cubes.build import build_groups
from tasks.cubes.cluster import dask_cluster
from tasks.cubes.shares import observed_share
from tasks.cubes.store import CubeRef, ObservationStore, open_cube
from tasks.cubes.stream import stream_cube
from tasks.progress import dask_progress
from tasks.regions import Region
from tasks.stage import stage
from tasks.workspace import Workspace
from tasks.workspace.kept import Kept


class CubeReport(Kept):
    """A committed cube and what it holds."""

    file_name = "cube.json"
    made_by = "build-cube"

    ref: CubeRef
    shape: dict[str, int] = Field(description="length of time, lat, lon")
    modalities: dict[str, float] = Field(description="modality -> share observed")
    audited: list[str] = Field(description="issue times at which the cube was rebuilt from what was known")


@stage("align-cube", run_name="align-{region.name}")
def align_cube(workspace: Workspace, region: Region, observations: str) -> CubeReport:
    """Build the cube of `region` from the snapshot `observations`; return its reference."""
    store = ObservationStore(workspace.observations, region.store_name)
    with (
        dask_cluster(workspace.dask_address, workspace.threads) as client,
        dask_progress(f"align {region.name}", client) as told,
    ):
        told.doing = "build"
        groups = build_groups(region, lambda group: store.read(group, observations, first=True))
        told.doing = "audit"
        audited = audit_cube(region, lambda group: store.read(group, observations, first=True), groups)
        told.doing = "commit"
        ref = stream_cube(workspace.cubes, region.store_name, groups, f"observations {observations}")
    labels = groups["labels"]
    return CubeReport(
        ref=ref,
        shape={str(k): int(v) for k, v in labels.sizes.items()},
        modalities=observed_share(open_cube(ref)),
        audited=[str(t) for t in audited],
    )
