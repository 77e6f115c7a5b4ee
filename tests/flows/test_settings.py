"""The environment is read in one place, and a wrong command gets one line."""

import json
import shutil
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from flows.settings import Settings, prepare_environment

CONF = Path(__file__).parents[2] / "conf"


def test_state_and_tracking_default_to_the_home_folder(tmp_path: Path) -> None:
    workspace = Settings(home=tmp_path / "state").workspace()
    assert workspace.tracking_uri == f"sqlite:///{tmp_path / 'state' / 'mlflow.db'}"
    assert (workspace.conf / "regions" / "simulated.yaml").is_file()


def test_the_environment_sets_home_archive_and_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUAKECUBE_HOME", str(tmp_path))
    monkeypatch.setenv("QUAKECUBE_ARCHIVE", str(tmp_path / "archive"))
    monkeypatch.setenv("QUAKECUBE_PREFECT_PORT", "14200")
    current = Settings()
    assert current.workspace().archive == tmp_path / "archive"
    assert current.prefect_url == "http://127.0.0.1:14200"


def test_stores_in_a_bucket_take_endpoint_and_region_from_the_environment(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    careless_store: Callable[[frozenset[str]], tuple[str, dict[str, bytes]]],
) -> None:
    url, _ = careless_store(frozenset({"If-None-Match", "If-Match"}))
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "never-to-be-seen",
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "eu-1",
        "QUAKECUBE_HOME": str(tmp_path),
        "QUAKECUBE_STORES": "s3://bucket/observatory/",
    }.items():
        monkeypatch.setenv(name, value)
    workspace = Settings().workspace()
    assert workspace.observations == f"s3://bucket/observatory/observations?endpoint={url}&region=eu-1"
    assert workspace.cubes == f"s3://bucket/observatory/cubes?endpoint={url}&region=eu-1"
    assert workspace.forecasts == tmp_path / "forecasts"
    assert "never-to-be-seen" not in workspace.model_dump_json()


def test_stores_that_are_no_bucket_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUAKECUBE_STORES", str(tmp_path / "elsewhere"))
    with pytest.raises(ValueError, match=r"elsewhere': expected s3://bucket/prefix"):
        Settings(home=tmp_path).workspace()


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"true")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.mark.parametrize("alive", [True, False])
def test_a_running_server_is_used_and_a_dead_one_is_not(
    alive: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.environ", {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Healthy)
    url = f"http://127.0.0.1:{server.server_port}"
    (tmp_path / "servers").mkdir()
    (tmp_path / "servers" / "servers.json").write_text(json.dumps({"prefect": url}))
    if alive:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    else:
        server.server_close()
    import os

    prepare_environment(Settings(home=tmp_path))
    assert os.environ.get("PREFECT_API_URL") == (f"{url}/api" if alive else None)
    if alive:
        server.shutdown()
        server.server_close()


def test_an_unknown_region_is_named_with_the_known_ones(quakecube) -> None:
    done = quakecube("run", "atlantis")
    assert done.returncode == 2
    assert "unknown region 'atlantis'" in done.stderr
    assert "ridgecrest" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_region_with_neither_services_nor_an_archive_says_how_to_name_one(
    quakecube, tmp_path: Path
) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    path = tmp_path / "conf" / "regions" / "ridgecrest.yaml"
    region = yaml.safe_load(path.read_text())
    region["sources"] = [
        {key: value for key, value in source.items() if key != "service"} for source in region["sources"]
    ]
    path.write_text(yaml.safe_dump(region))

    done = quakecube("run", "ridgecrest", QUAKECUBE_CONF=str(tmp_path / "conf"))
    assert done.returncode == 2
    assert "QUAKECUBE_ARCHIVE" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_benchmark_is_named_with_the_known_ones(quakecube) -> None:
    done = quakecube("bench", "nothing")
    assert done.returncode == 2
    assert "simulated" in done.stderr
