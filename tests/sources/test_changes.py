"""What is new in a source, what it is read with, and what is kept of that."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.regions import Provider
from tasks.sources.changes import inventory, link_view, portions
from tasks.sources.opera_series import Pair, Series, touched_by
from tasks.sources.read_log import ReadLog
from tests.sources.specimens.stages import WRITERS

FILES = [
    "metadata/E.tif",
    "i/20200101_20200113/a.los.tif",
    "i/20191201_20200113/b.los.tif",
    "i/20200113_20200125/c.los.tif",
]
ALL_AT_ONCE = 1 << 40


def put(folder: Path, *names: str, content: str = "x") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def read(
    provider: Provider, folder: Path, log: ReadLog, *, is_first: bool = False
) -> list[Collection[str] | None]:
    """Take everything that there is to read; return what was shown for it."""
    found = portions(provider, folder, log, is_first=is_first, most_bytes=ALL_AT_ONCE)
    for portion in found:
        log.keep(portion.stamps, portion.keys)
    return [portion.names for portion in found]


@pytest.fixture
def log(tmp_path: Path) -> ReadLog:
    return ReadLog(tmp_path / "log" / "one.sqlite", "one")


def test_a_new_pair_is_read_with_the_others_of_its_day_and_the_look_vectors(tmp_path, log) -> None:
    put(tmp_path / "a", *FILES[:2], FILES[3])
    assert read("los_geotiff", tmp_path / "a", log, is_first=True) == [None]
    assert read("los_geotiff", tmp_path / "a", log) == []
    put(tmp_path / "a", FILES[2])

    assert read("los_geotiff", tmp_path / "a", log) == [{FILES[0], FILES[1], FILES[2]}]


def test_other_look_vectors_and_another_reader_ask_for_everything(tmp_path, log) -> None:
    put(tmp_path / "a", *FILES)
    read("los_geotiff", tmp_path / "a", log, is_first=True)
    put(tmp_path / "a", FILES[0], content="other")

    assert read("los_geotiff", tmp_path / "a", log) == [None]
    assert read("los_geotiff", tmp_path / "a", ReadLog(log.path, "two")) == [None]


def test_metadata_of_a_new_station_ask_for_nothing_of_the_others(tmp_path, log) -> None:
    put(tmp_path / "a", "stations/QS.W0.xml", "2020-01-01/QS.W0..HNZ.mseed", "2020-01-02/QS.W0..HNZ.mseed")
    read("miniseed", tmp_path / "a", log, is_first=True)
    put(tmp_path / "a", "stations/QS.W1.xml", "2020-01-02/QS.W1..HNZ.mseed")
    (names,) = read("miniseed", tmp_path / "a", log)
    assert names == {"stations/QS.W0.xml", "stations/QS.W1.xml", "2020-01-02/QS.W1..HNZ.mseed"}

    put(tmp_path / "a", "stations/QS.W0.xml", content="another response")
    (names,) = read("miniseed", tmp_path / "a", log)
    assert names is not None
    assert {name for name in names if "mseed" in name} == {
        "2020-01-01/QS.W0..HNZ.mseed",
        "2020-01-02/QS.W0..HNZ.mseed",
    }


TABLES: dict[Provider, tuple[str, tuple[str, str], tuple[str, str]]] = {
    # what changes with each issue of the table, and what does when a station moves
    "isd_lite": ("isd-history.csv", ("20250820", "20250821"), ("+35.400", "+35.401")),
    "cwu_csv": ("cwu.final_nam14.vel", (" -2.0 ", " -3.0 "), ("36.09", "36.08")),
    "geonet": ("stations.json", ("174.8", "175.0"), ("35.67", "35.68")),
}


@pytest.mark.parametrize("provider", TABLES)
def test_a_table_of_places_that_is_written_anew_asks_for_the_stations_that_moved(
    provider: Provider, tmp_path, log
) -> None:
    WRITERS[provider](tmp_path, 0)
    read(provider, tmp_path / "data", log, is_first=True)
    name, of_others, moved = TABLES[provider]
    path = tmp_path / "data" / name
    path.write_text(path.read_text().replace(*of_others))
    assert read(provider, tmp_path / "data", log) == []

    path.write_text(path.read_text().replace(*moved))
    (found,) = portions(provider, tmp_path / "data", log, is_first=False, most_bytes=ALL_AT_ONCE)
    assert 0 < len(found.stamps) <= len(log.seen()) / 2


@settings(deadline=None)
@given(
    st.sets(st.integers(0, 8), min_size=1, max_size=9),
    st.sets(st.integers(0, 8), max_size=9),
    st.integers(1, 100),
)
def test_channels_of_a_station_in_a_folder_are_never_parted(
    tmp_path_factory: pytest.TempPathFactory, there: set[int], new: set[int], most_bytes: int
) -> None:
    top = tmp_path_factory.mktemp("a")
    log = ReadLog(top / "log.sqlite", "one")
    files = [f"2020-01-0{k // 3}/QS.W0{k % 3}..HN{c}.mseed" for k in range(9) for c in "ZNE"]
    put(top / "a", *(name for k, name in enumerate(files) if k // 3 in there))
    read("miniseed", top / "a", log, is_first=True)
    put(top / "a", *(name for k, name in enumerate(files) if k // 3 in new), content="longer")
    found = portions("miniseed", top / "a", log, is_first=False, most_bytes=most_bytes)

    shown = [
        set(portion.names or [files[3 * k + c] for k in there | new for c in range(3)]) for portion in found
    ]
    for names in shown:
        assert {k // 3 for k, name in enumerate(files) if name in names} <= new
        assert all(sum(files[3 * k + c] in names for c in range(3)) in (0, 3) for k in range(9))
    assert set().union(*shown) == {name for k, name in enumerate(files) if k // 3 in new}
    assert sum(len(portion.stamps) for portion in found) == 3 * len(new)
    assert all(len(p.stamps) == 1 or sum(s[0] for s in p.stamps.values()) <= most_bytes for p in found)


def test_the_view_shows_the_wanted_files_with_their_times_and_what_lies_beside_the_folder(
    tmp_path: Path,
) -> None:
    put(tmp_path / "archive" / "insar" / "a058", *FILES)
    put(tmp_path / "archive", "dem.tif", "insar/stations/x.xml", "insar/a058.txt")
    there = inventory(tmp_path / "archive" / "insar" / "a058")
    link_view(tmp_path / "archive", "insar/a058", {FILES[0], FILES[3]}, tmp_path / "view")

    shown = inventory(tmp_path / "view" / "insar" / "a058")
    assert shown == {name: there[name] for name in (FILES[0], FILES[3])}
    beside = [tmp_path / "view" / name for name in ("dem.tif", "insar/stations/x.xml", "insar/a058.txt")]
    assert all(path.is_file() for path in beside)


def test_the_log_holds_for_the_reader_that_wrote_it(log) -> None:
    assert log.seen() == {}
    log.keep({"f": [1, 2, 0]}, {"f": {"a", "b"}})
    log.keep({"g": [3, 4, 0]}, {"g": {"b"}})
    log.keep({"f": [1, 5, 0]}, {"f": {"a"}})

    assert ReadLog(log.path, "one").seen() == {"f": [1, 5, 0], "g": [3, 4, 0]}
    assert (log.holders({"b", "z"}), log.keys_of({"f"})) == ({"g"}, {"a"})
    assert ReadLog(log.path, "two").seen() == {}
    assert ReadLog(log.path, "two").holders({"a"}) == set()


DAYS = st.integers(0, 6)


@given(st.lists(st.tuples(DAYS, DAYS), min_size=2, max_size=8, unique=True), st.data())
def test_a_series_changes_only_where_a_changed_product_is_a_term(spans, data) -> None:
    """By brute force: the displacement of a pair is the sum of the values of the products that make it."""
    pairs = [Pair("F1", at(a), at(b)) for a, b in spans if a < b]
    changed = data.draw(st.sets(st.sampled_from(pairs))) if pairs else set()
    before, after = (
        {pair: made(Series(some), pair) for pair in some}
        for some in ([p for p in pairs if p not in changed], pairs)
    )
    touched, needed = touched_by({p.key for p in changed}, [p.key for p in pairs])

    differing = {p for p, terms in after.items() if p in changed or before[p] != terms}
    assert {p.key for p in differing} <= touched
    for pair in (p for p in pairs if p.key in touched):
        assert made(Series(p for p in pairs if p.key in needed), pair) == after[pair]


def at(day: int) -> np.datetime64:
    return np.datetime64("2019-01-01T13:52:07", "ns") + np.timedelta64(12 * day, "D")


def made(series: Series, pair: Pair) -> list[object]:
    return [series.terms(pair, is_consecutive=kind) for kind in (False, True)]
