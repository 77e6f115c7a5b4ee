"""Stage: align a region's observations into a cube, audit it for look-ahead, and commit it."""

from pydantic import Field

from tasks.cubes.clock import known_part
from tasks.cubes.cluster import dask_cluster
from tasks.cubes.proof import Proof
from tasks.cubes.shares import observed_share
from tasks.cubes.store import CubeRef, CubeStore, ObservationStore, open_cube
from tasks.cubes.update import follow, reader
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
    """Bring the cube of `region` up to the snapshot `observations`; return its reference.

    It ends with the last whole day that the catalogs tell of, or where the region file says, if that is earlier.
    """
    store = ObservationStore(workspace.observations, region.store_name)
    cubes = CubeStore(workspace.cubes, region.store_name)
    region = known_part(region, store.asked_until(observations))
    proof = Proof(region, reader(store, observations))
    with (
        dask_cluster(workspace.dask_address, workspace.threads) as client,
        dask_progress(f"align {region.name}", client),
    ):
        ref = follow(region, store, observations, cubes, proof)
    groups = open_cube(ref)
    return CubeReport(
        ref=ref,
        shape={str(k): int(v) for k, v in groups["labels"].sizes.items()},
        modalities=observed_share(groups),
        audited=[str(t) for t in proof.times],
    )
