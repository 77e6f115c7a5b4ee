"""Every file in conf/ is read by its own model, and the rules of the house hold in the tree."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from fusion_models.config import load_model, load_training
from tasks.regions import load_region, load_vocabulary
from tasks.scoring import load_scoring
from tasks.simulation import load_simulation

ROOT = Path(__file__).parents[1]
LOADERS = {
    "regions": load_region,
    "models": load_model,
    "training": load_training,
    "simulation": load_simulation,
    "scoring": lambda name, conf: load_scoring(conf, name),
    "conf": lambda _name, conf: load_vocabulary(conf),
}
FILES = sorted((ROOT / "conf").rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=[f"{p.parent.name}/{p.stem}" for p in FILES])
def test_every_configuration_file_loads(path: Path) -> None:
    assert LOADERS[path.parent.name](path.stem, ROOT / "conf") is not None


@pytest.mark.parametrize("name", ["simulated", "ridgecrest"])
def test_the_parts_of_a_split_are_a_lookback_and_a_horizon_apart(name: str) -> None:
    split = load_region(name, ROOT / "conf").split
    lookback = max(
        max(days.gnss, days.waveform, days.weather, 2 * days.strain + days.strain_change)
        for days in (
            load_model(path.stem, ROOT / "conf").lookback_days for path in (ROOT / "conf/models").iterdir()
        )
    )
    needed = lookback + max(load_scoring(ROOT / "conf").horizons_days)
    assert (split.validation_start - split.train_end).days >= needed
    assert (split.test_start - split.validation_end).days >= needed


def test_every_dependency_has_a_pin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    names = {re.split(r"[<>=!~ ]", w)[0].lower().replace("_", "-") for w in wanted}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    assert names - pinned == set()


def test_no_file_names_a_path_of_a_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not listed:
        pytest.skip("not a git checkout: the tracked files cannot be listed")
    pattern = re.compile(r"/(root|home|work)/[a-z]")
    guilty = [
        name
        for name in listed.splitlines()
        if (ROOT / name).suffix in (".py", ".md", ".yaml", ".toml")
        and pattern.search((ROOT / name).read_text())
    ]
    assert guilty == []
