"""A tiny simulated region, derived from the demo's configuration, and a state folder for the flows' tests."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def write_tiny_conf(source: Path, target: Path) -> Path:
    """Copy the configuration and add region `tiny`: 10 x 10 cells, two and a half years, few instruments."""
    shutil.copytree(source, target)
    region = yaml.safe_load((source / "regions" / "simulated.yaml").read_text())
    region |= {
        "name": "tiny",
        "title": "Tiny simulated region",
        "bounds": {"south": 38.5, "north": 39.5, "west": 28.5, "east": 29.5},
        "start": "2010-01-01",
        "end": "2012-07-01",
        "catalog_start": "2010-01-01",
        "etas_start": "2010-03-01",
        "aftershock_magnitude": 4.0,
        "simulation": "tiny",
        "split": {
            "train_start": "2010-06-01",
            "train_end": "2011-06-01",
            "validation_start": "2011-09-01",
            "validation_end": "2011-12-01",
            "test_start": "2012-03-01",
            "test_end": "2012-07-01",
        },
    }
    (target / "regions" / "tiny.yaml").write_text(yaml.safe_dump(region, sort_keys=False))
    world = yaml.safe_load((source / "simulation" / "demo.yaml").read_text())
    world["name"] = "tiny"
    world["gnss"]["stations_per_side"] = 4
    world["insar"] |= {"step_deg": 0.05, "repeat_days": 24}
    world["waveforms"] |= {"stations": 4, "events_max": 5, "continuous_days": 1, "continuous_stations": 2}
    (target / "simulation" / "tiny.yaml").write_text(yaml.safe_dump(world, sort_keys=False))
    return target


@pytest.fixture(scope="session")
def tiny_conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_conf(ROOT / "conf", tmp_path_factory.mktemp("conf") / "conf")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory, tiny_conf: Path) -> dict[str, str]:
    """Environment of a state folder of its own, shared by the flows' tests so that stages are reused."""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "QUAKECUBE_"))
    }
    return environment | {
        "QUAKECUBE_HOME": str(tmp_path_factory.mktemp("home") / "state"),
        "QUAKECUBE_CONF": str(tiny_conf),
        "QUAKECUBE_PREFECT_PORT": str(free_port()),
        "QUAKECUBE_MLFLOW_PORT": str(free_port()),
        "NO_PROXY": "127.0.0.1,localhost",
        "COLUMNS": "120",
    }


Quakecube = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def quakecube(state: dict[str, str]) -> Quakecube:
    """Run the command as a user would, in a process of its own."""

    def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments],
            env=state | environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return call


@pytest.fixture(scope="session")
def first_run(quakecube: Quakecube) -> subprocess.CompletedProcess[str]:
    """The pipeline, once, on the tiny region."""
    done = quakecube("run", "tiny", "--epochs", "2")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


@pytest.fixture(scope="session")
def machine_room(quakecube: Quakecube, first_run: object, state: dict[str, str]) -> Iterator[dict[str, str]]:
    """Servers, worker and deployments, up on loopback, after a finished run."""
    done = quakecube("up")
    assert done.returncode == 0, done.stdout + done.stderr
    yield {
        "prefect": f"http://127.0.0.1:{state['QUAKECUBE_PREFECT_PORT']}",
        "mlflow": f"http://127.0.0.1:{state['QUAKECUBE_MLFLOW_PORT']}",
    }
    assert quakecube("down").returncode == 0
