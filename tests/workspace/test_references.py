"""Every file that names a snapshot keeps it."""

import json
from pathlib import Path

import pytest

from tasks.workspace import Workspace, write_json
from tasks.workspace.references import references_of_files

CUBE, OLD, SOURCE = "ZY3M8B1T0Q2X4C5V6N7P", "0123456789ABCDEFGHJK", "KKKK8B1T0Q2X4C5V6N7P"


@pytest.fixture
def workspace(tmp_path: Path, conf: Path) -> Workspace:
    return Workspace(home=tmp_path, conf=conf, tracking_uri="sqlite://")


def test_nothing_is_referred_to_in_an_empty_state_folder(workspace: Workspace) -> None:
    assert references_of_files(workspace) == {}


def test_forecasts_kept_results_their_bundles_and_latest_reports_name_snapshots(workspace: Workspace) -> None:
    write_json(workspace.forecasts / "tiny" / "2020_ab" / "manifest.json", {"data_snapshot": CUBE})
    bundle = workspace.runs("tiny") / "gated-1"
    write_json(bundle / "bundle.json", {"snapshot": OLD})
    write_json(workspace.runs("tiny") / "serving.json", {"champion": str(bundle), "text": "no folder"})
    write_json(workspace.reports / "quality" / "latest" / "quality.json", {"snapshot": SOURCE})
    assert references_of_files(workspace) == {
        CUBE: "forecast tiny 2020_ab",
        OLD: "network gated-1",
        SOURCE: "report quality/latest/quality.json",
    }


def test_a_bundle_that_no_kept_result_names_keeps_nothing(workspace: Workspace) -> None:
    write_json(workspace.runs("tiny") / "gated-1" / "bundle.json", {"snapshot": OLD})
    write_json(workspace.runs("tiny") / "cube.json", {"ref": {"snapshot": CUBE}})
    assert references_of_files(workspace) == {CUBE: "kept tiny/cube.json"}


def test_a_forecast_that_does_not_say_its_cube_is_named(workspace: Workspace) -> None:
    manifest = workspace.forecasts / "tiny" / "2020_ab" / "manifest.json"
    write_json(manifest, {"data_snapshot": json.dumps(None)})
    with pytest.raises(ValueError, match=f"{manifest}: expected the snapshot of a cube, found none"):
        references_of_files(workspace)
