"""Flow `build_cube`: the stored observations of a region as one aligned, audited cube."""

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact

from flows.forms import CubeForm
from flows.settings import settings
from tasks.align import CubeReport, align_cube
from tasks.cubes.store import ObservationStore
from tasks.simulation import region_of_world


@flow(name="build-cube", flow_run_name="build-cube-{config.region}")
def build_cube(config: CubeForm) -> CubeReport:
    """Align what the observation store holds; the cube's snapshot id is what later stages take."""
    workspace = settings().workspace()
    region = region_of_world(config.region, workspace.conf, config.seed)
    snapshot = ObservationStore(workspace.observations, region.store_name).snapshot()
    if snapshot is None:
        raise ValueError(
            f"region {region.name!r} has no observations in {workspace.observations}; run the flow ingest first"
        )
    report: CubeReport = align_cube(workspace, region, str(snapshot))
    report.save(workspace, region)
    shares = "\n".join(f"| {name} | {share:.1%} |" for name, share in report.modalities.items())
    create_markdown_artifact(
        key=f"cube-{region.name.replace('_', '-')}",
        markdown=(
            f"# Cube of {region.title}\n\nSnapshot `{report.ref.snapshot}`, {report.shape}, audited at "
            f"{', '.join(report.audited)}.\n\n| modality | share observed |\n|---|---|\n{shares}\n"
        ),
    )
    get_run_logger().info("cube %s %s", report.ref.snapshot, report.shape)
    return report
