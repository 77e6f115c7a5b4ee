"""Worlds of a test's size: the demo's law over eight years of truth, and one year with an archive."""

from datetime import date
from pathlib import Path

import pytest

from tasks.regions import Region, load_region
from tasks.simulation import SimulationConfig, World, load_simulation, simulate_world, write_archive


@pytest.fixture(scope="session")
def demo_region(conf: Path) -> Region:
    return load_region("simulated", conf)


@pytest.fixture(scope="session")
def demo_config(conf: Path) -> SimulationConfig:
    return load_simulation("demo", conf)


@pytest.fixture(scope="session")
def demo_world(demo_region: Region, demo_config: SimulationConfig) -> World:
    return simulate_world(demo_region, demo_config, seed=1)


@pytest.fixture(scope="session")
def small_region(demo_region: Region) -> Region:
    dates = {"start": date(2012, 1, 1), "catalog_start": date(2012, 1, 1), "end": date(2013, 1, 1)}
    return demo_region.model_copy(update=dates)


@pytest.fixture(scope="session")
def small_config(demo_config: SimulationConfig) -> SimulationConfig:
    update = {"events_max": 3, "stations": 4, "continuous_days": 1, "continuous_stations": 1}
    return demo_config.model_copy(update={"waveforms": demo_config.waveforms.model_copy(update=update)})


@pytest.fixture(scope="session")
def small_world(small_region: Region, small_config: SimulationConfig) -> World:
    return simulate_world(small_region, small_config, seed=3)


@pytest.fixture(scope="session")
def small_archive(small_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("simulated") / "archive"
    write_archive(small_world, root)
    return root
