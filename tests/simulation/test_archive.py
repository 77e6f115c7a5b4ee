"""The archive is whole or absent, the same for the same seed, and every source of the region reads it."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import yaml

from tasks.regions import Region
from tasks.simulation import SimulationConfig, World, archive, load_simulation, write_archive
from tasks.simulation.catalog import write_catalog
from tasks.simulation.gnss import simulate_gnss
from tasks.sources import open_source


def test_every_source_of_the_region_reads_its_part(small_region: Region, small_archive: Path) -> None:
    for source in small_region.sources:
        fetched = open_source(source.provider)(source, small_archive, small_region, small_region.window)
        assert not fetched.invalid, source.group
        assert all(size > 0 for size in fetched.dataset.sizes.values()), source.group


def test_read_positions_are_those_of_the_network(
    small_world: World, small_region: Region, small_archive: Path
) -> None:
    source = next(s for s in small_region.sources if s.modality == "gnss")
    dataset = open_source("tenv3")(source, small_archive, small_region, small_region.window).dataset
    network = simulate_gnss(small_world)
    read = dataset["east"].sel(station="S007").to_numpy()
    truth = network.position[:, 7, 0]
    np.testing.assert_array_equal(np.isnan(read), np.isnan(truth))
    np.testing.assert_allclose(read - np.nanmean(read), truth - np.nanmean(truth), atol=2e-6)


def test_same_seed_writes_the_same_catalog(small_world: World, small_archive: Path, tmp_path: Path) -> None:
    write_catalog(small_world, tmp_path)
    name = "catalog/2012.xml"
    first, second = (hashlib.sha256((r / name).read_bytes()).hexdigest() for r in (small_archive, tmp_path))
    assert first == second


def test_existing_folder_is_never_written_over(small_world: World, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="something already"):
        write_archive(small_world, tmp_path)


def test_failed_writing_leaves_nothing(
    small_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(world: World, root: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive, "write_catalog", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_archive(small_world, tmp_path / "archive")
    assert list(tmp_path.iterdir()) == []


def test_every_simulation_in_conf_loads(conf: Path) -> None:
    for path in (conf / "simulation").glob("*.yaml"):
        assert isinstance(load_simulation(path.stem, conf), SimulationConfig)


def test_unknown_simulation_names_those_there_are(conf: Path) -> None:
    with pytest.raises(KeyError, match="demo"):
        load_simulation("nowhere", conf)


def test_wrong_field_is_named_with_its_file(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "simulation").mkdir()
    settings = yaml.safe_load((conf / "simulation" / "demo.yaml").read_text())
    settings["seismicity"]["branching_ratio"] = 1.5
    (tmp_path / "simulation" / "bad.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ValueError, match=r"(?s)bad\.yaml.*branching_ratio"):
        load_simulation("bad", tmp_path)
