from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tasks.sources.changes import UNITS, ReadLog, inventory, link_view, to_read

FILES = [
    "metadata/E.tif",
    "i/20200101_20200113/a.los.tif",
    "i/20191201_20200113/b.los.tif",
    "i/20200113_20200125/c.los.tif",
]


def stamped(names: list[str], **changes: int) -> dict[str, list[int]]:
    return {name: [1, changes.get(name[-9], 0)] for name in names}


def test_a_new_pair_is_read_with_the_others_of_its_day_and_the_look_vectors() -> None:
    names = to_read("los_geotiff", stamped(FILES), stamped([FILES[0], FILES[1], FILES[3]]))

    assert names == {FILES[0], FILES[1], FILES[2]}


def test_nothing_new_asks_for_nothing_and_a_changed_companion_for_all() -> None:
    seen = stamped(FILES)

    assert to_read("los_geotiff", seen, seen) == set()
    assert to_read("los_geotiff", seen | {FILES[0]: [2, 2]}, seen) is None
    assert to_read("los_geotiff", seen, {}) is None
    assert to_read("era5", seen | {"x": [1, 1]}, seen) is None


@given(st.sets(st.integers(0, 8), max_size=9), st.sets(st.integers(0, 8), max_size=9))
def test_channels_of_a_station_in_a_folder_are_never_parted(there: set[int], changed: set[int]) -> None:
    files = [f"2020-01-0{k // 3}/QS.W0{k % 3}..HN{c}.mseed" for k in range(9) for c in "ZNE"]
    seen = {name: [1, 1] for k, name in enumerate(files) if k // 3 in there}
    now = {name: [1, 2 if k // 3 in changed and k % 3 == 0 else 1] for k, name in enumerate(files)}
    names = to_read("miniseed", now, seen)
    expected = {k for k in range(9) if k not in there or k in changed}

    if not seen:
        assert names is None
    else:
        assert names == {name for k, name in enumerate(files) if k // 3 in expected}


def test_the_view_shows_the_wanted_files_with_their_times(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / "archive" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "archive" / name).write_text(name)
    there = inventory(tmp_path / "archive")
    link_view(tmp_path / "archive", {FILES[0], FILES[3]}, tmp_path / "view")

    shown = inventory(tmp_path / "view")
    assert shown == {name: there[name] for name in (FILES[0], FILES[3])}
    assert len(list((tmp_path / "view").glob("i/*/*.los.tif"))) == 1


def test_the_log_holds_for_the_reader_that_wrote_it(tmp_path: Path) -> None:
    log = ReadLog(tmp_path / "a" / "log.json", "one")
    assert log.seen() == {}
    log.keep({"f": [1, 2]})

    assert ReadLog(log.path, "one").seen() == {"f": [1, 2]}
    assert ReadLog(log.path, "two").seen() == {}


def test_every_unit_rule_belongs_to_a_provider() -> None:
    from typing import get_args

    from tasks.regions import Provider

    assert set(UNITS) <= set(get_args(Provider))
