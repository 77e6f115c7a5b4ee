"""Stage: let old snapshots go that nothing refers to, and say of the others why they stay."""

from datetime import datetime

from prefect import task
from pydantic import BaseModel, Field

from fusion_models.data.tiles import forget_tiles
from tasks.cubes.housekeeping import YOUNG, Expired, expire_store, stores_of
from tasks.progress import progress
from tasks.tracking.registry import registered_cubes
from tasks.workspace import Workspace
from tasks.workspace.references import references_of_files

_ROWS = 200


class Housekeeping(BaseModel):
    """What went, or would go, and what stayed."""

    dry_run: bool
    older_than: datetime = Field(description="younger snapshots stay")
    repositories: list[Expired]
    tiles: int = Field(description="files of map tiles that went with their cubes")
    absent: dict[str, str] = Field(description="snapshots that are in no store -> who refers to them")

    def rows(self) -> list[dict[str, str]]:
        """Return a table: of each store what goes, why the rest stays, and how many are young."""
        went = "would go" if self.dry_run else "went"
        rows = []
        for report in self.repositories:
            told = [s for s in report.snapshots if s.stays_for != YOUNG]
            for s in sorted(told, key=lambda s: bool(s.stays_for))[:_ROWS]:
                verdict = "stays" if s.stays_for else went
                why = s.stays_for or "no model, forecast or kept result refers to it"
                rows.append(_row(report.repository, s.id, f"{s.written:%Y-%m-%d %H:%M}", verdict, why))
            for count, verdict in (
                (max(0, len(told) - _ROWS), "not shown"),
                (len(report.snapshots) - len(told), "stay"),
            ):
                if count:
                    why = f"younger than {self.older_than:%Y-%m-%d %H:%M}" if verdict == "stay" else ""
                    rows.append(_row(report.repository, f"{count} more", "", verdict, why))
        return rows + [_row("none", snapshot, "", "absent", by) for snapshot, by in self.absent.items()]


def _row(store: str, snapshot: str, written: str, verdict: str, why: str) -> dict[str, str]:
    return {"store": store, "snapshot": snapshot, "written": written, "verdict": verdict, "why": why}


@task(name="expire-snapshots", task_run_name="expire-snapshots-{region}")
def expire_snapshots(
    workspace: Workspace, region: str, older_than: datetime, *, dry_run: bool
) -> Housekeeping:
    """Expire the stores of `region` (empty: all of them) up to `older_than`; a dry run changes nothing.

    Every reference is gathered before anything goes.

    Raises
    ------
    ValueError
        If a registered model or an issued forecast does not say what it refers to.
    StoreBusy
        If a writer holds a store; what was done before is done, and the next run goes on.
    """
    keep = references_of_files(workspace) | registered_cubes(workspace.tracking_uri)
    stores = stores_of((workspace.observations, workspace.cubes), region)
    reports: list[Expired] = []
    with progress("housekeeping", len(stores), "store") as told:
        for name in told.over(stores):
            reports += expire_store(
                workspace.observations, workspace.cubes, name, keep, older_than, dry_run=dry_run
            )
    here = {s.id for report in reports for s in report.snapshots}
    gone = [snapshot for report in reports for snapshot in report.gone]
    return Housekeeping(
        dry_run=dry_run,
        older_than=older_than,
        repositories=reports,
        tiles=0 if dry_run else len(forget_tiles(workspace.tiles, gone)),
        absent={} if region else {snapshot: by for snapshot, by in keep.items() if snapshot not in here},
    )
