"""Bad input as a user meets it: one clear message for each, the rest goes on, what is stored stays.

One process ingests a clean archive, then the same with one file of each kind damaged, then without room on the disk
and beside a second writer (bad_input_run.py); the tests read what it printed and left.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

Quakecube = Callable[..., subprocess.CompletedProcess[str]]


class Story(NamedTuple):
    """What the process left: its results, the archive, and what it printed in each phase."""

    left: dict
    archive: Path
    printed: dict[str, str]

    def messages(self, phase: str, group: str) -> list[str]:
        return next(r["messages"] for r in self.left[phase]["reports"] if r["group"] == group)

    def statuses(self, phase: str) -> dict[str, str]:
        return {r["group"]: r["status"] for r in self.left[phase]["reports"]}


@pytest.fixture(scope="module")
def story(
    tmp_path_factory: pytest.TempPathFactory, tiny_conf: Path, state: dict[str, str], prefect_api: str
) -> Story:
    folder = tmp_path_factory.mktemp("bad_input")
    conf, archive, results = folder / "conf", folder / "archive", folder / "results.json"
    shutil.copytree(tiny_conf, conf)
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("bad_input_run.py")),
            str(conf),
            str(archive),
            str(results),
        ],
        env=state
        | {
            "QUAKECUBE_HOME": str(folder / "state"),
            "QUAKECUBE_CONF": str(conf),
            "QUAKECUBE_ARCHIVE": str(archive),
            "PREFECT_API_URL": prefect_api,
            "PYTHONPATH": str(ROOT),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    parts = re.split(r"^=== (\w+)\n", done.stderr, flags=re.MULTILINE)
    return Story(json.loads(results.read_text()), archive, dict(zip(parts[1::2], parts[2::2], strict=True)))


MESSAGES = {
    "mseed": ("waveform/network", "expected whole miniSEED records", "Incomplete"),
    "tenv3": ("gnss/ngl", "expected tenv3 columns", "no column east"),
    "geotiff": ("insar/a058", "expected a GeoTIFF with CRS EPSG:4326", "found no CRS"),
    "netcdf": ("weather/era5", "expected t2m in K", "'degC'"),
    "depth": ("catalog/network", "expected a finite depth or none", "'NaN'"),
    "ids": ("catalog/network", "expected one event for each publicID", "1 given more than once"),
}


@pytest.mark.parametrize("kind", MESSAGES)
@pytest.mark.parametrize("phase", ["again", "fresh"])
def test_a_damaged_file_gives_one_message_that_names_it_what_was_expected_and_found(
    story: Story, phase: str, kind: str
) -> None:
    group, expected, found = MESSAGES[kind]
    path = str(story.archive / story.left["damaged"][kind])
    mine = [m for m in story.messages(phase, group) if m.startswith(path)]
    assert len(mine) == 1
    assert expected in mine[0]
    assert found in mine[0]
    assert len(mine[0]) - len(path) < 150
    assert story.printed[phase].count(path) == 1


def test_a_period_without_data_names_path_and_period(story: Story) -> None:
    (message,) = story.messages("clean", "catalog/old")
    assert message.startswith(str(story.archive / "catalog_old"))
    assert "nothing for region 'recorded' between 2010-01-01 and 2012-07-01" in message
    assert story.statuses("clean")["catalog/old"] == "empty"


def test_a_missing_folder_is_said_at_once(story: Story) -> None:
    (message,) = story.messages("clean", "weather/absent")
    assert message.startswith(str(story.archive / "nowhere"))
    assert "expected the era5 data" in message
    assert story.statuses("clean")["weather/absent"] == "unavailable"
    assert "Retry" not in story.printed["clean"]


def test_an_undamaged_archive_gives_no_other_warning(story: Story) -> None:
    warnings = [line for line in story.printed["clean"].splitlines() if "WARNING" in line]
    assert len(warnings) == 2
    assert all("catalog/old: " in w or "weather/absent: " in w for w in warnings)


def test_the_other_files_of_a_damaged_source_and_the_other_sources_are_stored(story: Story) -> None:
    read = story.left["read"]
    assert read["stations"] == [f"S{k:03d}" for k in range(16) if k != 5]
    assert read["pairs"] == 1
    assert read["hours"] == 365 * 24
    assert read["depths"] == 1
    assert read["events"] == 0
    assert (read["records"], read["gaps"]) == (0, 1), "a record keeps its other channels"
    stored = {group for group, status in story.statuses("fresh").items() if status == "stored"}
    assert stored == {g for g, status in story.statuses("clean").items() if status == "stored"}
    assert len(stored) == 7


def test_a_cube_is_made_of_what_a_damaged_archive_gave(story: Story) -> None:
    cube = story.left["cube"]
    assert {"catalog", "gnss", "insar", "weather", "waveform", "static", "labels"} <= set(cube)
    assert cube["labels"] == {"time": 912, "lat": 10, "lon": 10}


def test_nothing_stored_before_is_harmed_by_damage_a_second_writer_or_a_full_disk(story: Story) -> None:
    assert story.left["harmed"] == {"again": False, "busy": False, "full": False}


def test_damaged_files_do_not_replace_what_they_gave_when_they_were_whole(story: Story) -> None:
    assert story.left["changed"] == ["catalog/network"], "the catalog's files are whole, with other values"
    statuses = story.statuses("again")
    assert {statuses[g] for g in ("gnss/ngl", "insar/a058", "weather/era5", "waveform/network")} == {
        "unchanged"
    }


@pytest.mark.parametrize(
    ("phase", "texts"),
    [
        ("later", ["region 'later'", "no catalog could be read", "between 2040-01-01 and 2042-07-01"]),
        ("unknown", ["unknown region 'atlantis'", "expected one of", "recorded", "conf/regions"]),
        ("busy", ["recorded.lock", "another writer has held this lock for 1 s", "start again"]),
        ("full", [".read/full", "the disk or quota is full", "catalog/network", "free some space"]),
    ],
)
def test_a_run_that_cannot_go_on_ends_with_code_2_and_one_line(
    story: Story, phase: str, texts: list[str]
) -> None:
    lines = [line for line in story.printed[phase].splitlines() if line.startswith("quakecube: ")]
    assert len(lines) == 1
    assert all(text in lines[0] for text in texts), lines[0]
    assert story.left["exit"][phase] == 2


def test_no_phase_prints_a_traceback(story: Story) -> None:
    for phase, text in story.printed.items():
        assert "Traceback" not in text, phase


def test_an_unknown_region_fails_the_flow_with_the_known_ones_named(story: Story) -> None:
    assert "expected one of" in story.left["unknown_flow"]
    assert story.printed["unknown_flow"].count("unknown region 'atlantis'") == 1


def test_a_full_disk_stops_at_the_source_that_found_no_room_and_the_next_run_goes_on_from_it(
    story: Story,
) -> None:
    # What was read could not be noted, so nothing was read. (A store without room: tests/cubes/test_store.py.)
    assert story.left["full_groups"] == []
    statuses = story.statuses("room")
    assert statuses["catalog/network"] == statuses["waveform/network"] == "stored"
    assert story.left["whole_after_full"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--training", "nonsense"), "training: input should be 'demo' or 'full', found 'nonsense'"),
        (("--epochs", "201"), "epochs: input should be less than or equal to 200, found 201"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_runs(
    quakecube: Quakecube, arguments: tuple[str, str], text: str
) -> None:
    done = quakecube("run", "tiny", *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"quakecube: {text}"]
