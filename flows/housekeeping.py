"""Flow `housekeeping`: old snapshots that nothing refers to go, if the operator says so; else a list of them."""

from datetime import UTC, datetime, timedelta

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact

from flows.forms import HousekeepingForm
from flows.settings import settings
from tasks.expire import Housekeeping, expire_snapshots
from tasks.regions import load_region


@flow(name="housekeeping", flow_run_name="housekeeping-{config.region}")
def housekeeping(config: HousekeepingForm) -> Housekeeping:
    """Let old snapshots go, or list them, and show why the others stay.

    Registered models, issued forecasts, the latest cube and what serves read as before; opening what went
    ends with UnknownSnapshot. References are those of this state folder and its registry.
    """
    workspace = settings().workspace()
    region = "" if config.region == "all" else load_region(config.region, workspace.conf).name
    older_than = datetime.now(UTC) - timedelta(days=config.keep_days)
    done: Housekeeping = expire_snapshots(workspace, region, older_than, dry_run=config.dry_run)
    gone = sum(len(report.gone) for report in done.repositories)
    size_mib = sum(report.size_bytes for report in done.repositories) / 2**20
    said = f"{gone} snapshots {'would go' if done.dry_run else f'went, {size_mib:.1f} MiB removed'}"
    create_table_artifact(
        key=f"housekeeping-{config.region.replace('_', '-')}",
        table=done.rows(),
        description=f"Snapshots older than {config.keep_days} days: {said}.",
    )
    get_run_logger().info("%s; %d stores", said, len(done.repositories))
    return done
