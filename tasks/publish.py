"""Stage: publish a run as a page, figures and summary.json; and the small marks that the Prefect UI shows."""

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from matplotlib import image
from prefect import task
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from tasks.regions import Region
from tasks.register import Recorded
from tasks.reports.summary import page, point_latest
from tasks.workspace import Workspace, write_json

_MAX_BYTES = 150_000


def report_progress(key: str, percent: float, stage: str, artifact: UUID | None = None) -> UUID:
    """Show how far a flow is, in percent, as a progress artifact; return its id for the next call."""
    if artifact is None:
        created = create_progress_artifact(percent, key=key.replace("_", "-"), description=f"now: {stage}")
        return created if isinstance(created, UUID) else UUID(str(created))
    update_progress_artifact(artifact, percent, description=f"now: {stage}")
    return artifact


def image_link(path: Path) -> str:
    """Return a Markdown image with the picture inside, since the UI shows no local files.

    A picture above 150 kB is halved in size until it fits: artifacts are kept small.
    """
    data = path.read_bytes()
    pixels = None
    while len(data) > _MAX_BYTES:
        pixels = (image.imread(io.BytesIO(data)) if pixels is None else pixels)[::2, ::2]
        buffer = io.BytesIO()
        image.imsave(buffer, pixels, format="png")
        data = buffer.getvalue()
    return f"![{path.stem}](data:image/png;base64,{base64.b64encode(data).decode()})"


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows of text as a Markdown table; "None." where there are none."""
    if not rows:
        return "None."
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    # a bar or a line break of a provider's name would end the cell
    cells = [[value.replace("|", "\\|").replace("\n", " ") for value in row.values()] for row in rows]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in cells])


def run_page(folder: Path) -> str:
    """Return the run's page in `folder` as the Prefect UI can show it: pictures inside the text."""
    text = (folder / "report.md").read_text()
    return re.sub(r"!\[[^]]*\]\(([^)]+)\)", lambda match: image_link(folder / match[1]), text)


@task(name="publish-report", task_run_name="publish-{region.name}")
def publish_report(
    workspace: Workspace, region: Region, recorded: Recorded, forecast_path: str, runtime_s: float
) -> str:
    """Gather the run in reports/<time>-<region>/ and point reports/latest to it; return summary.json's path."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    folder = workspace.reports / f"{stamp}-{region.name}"
    folder.mkdir(parents=True, exist_ok=True)
    scored = Path(recorded.backtest)
    scorecard = json.loads((scored / "scorecard.json").read_text())
    figures = []
    for figure in [Path(forecast_path).parent / "map.png", *sorted((scored / "figures").glob("*.png"))]:
        target = folder / ("forecast.png" if figure.name == "map.png" else figure.name)
        target.write_bytes(figure.read_bytes())
        figures.append(target)
    summary = {
        "region": region.name,
        "runtime_s": round(runtime_s, 1),
        "cube": {"snapshot": recorded.cube.ref.snapshot, "shape": recorded.cube.shape},
        "modalities": recorded.cube.modalities,
        "scores": scorecard["scores"],
        "mlflow": {
            "run_id": recorded.run_id,
            "model_version": recorded.model_version,
            "experiment_id": recorded.experiment_id,
            "promoted": recorded.promoted,
            "promotion": recorded.reason,
        },
        "forecast": {"path": forecast_path},
        "split": region.split.model_dump(mode="json"),
        "seed": recorded.seed,
        "left_out": scorecard.get("left_out", []),
    }
    for bound in ("oracle", "clairvoyant"):
        if bound in scorecard:
            summary[bound] = {horizon: row["igpe_vs_etas"] for horizon, row in scorecard[bound].items()}
            summary[f"{bound}_scores"] = scorecard[bound]
    if "share_of_oracle" in scorecard:
        summary["share_of_oracle"] = scorecard["share_of_oracle"]
    latest = workspace.reports / "latest"
    summary["paths"] = {
        "report": str(latest / "report.md"),
        "summary": str(latest / "summary.json"),
        "forecast": forecast_path,
        "scorecard": str(scored / "index.html"),
        **{f.stem: str(latest / f.name) for f in figures},
    }
    notes = [
        f"Cube snapshot `{recorded.cube.ref.snapshot}`; MLflow run `{recorded.run_id}`, model version "
        f"{recorded.model_version or 'none'}; {recorded.reason}",
        f"Test period {region.split.test_start} to {region.split.test_end}; seed {recorded.seed}.",
        "These are probabilities scored against traditional methods, not predictions of single earthquakes.",
    ]
    (folder / "report.md").write_text(
        page(region.title, f"Issued {stamp}Z.", scorecard["scores"], figures, notes)
    )
    write_json(folder / "summary.json", summary)
    point_latest(folder)
    return str(latest / "summary.json")
