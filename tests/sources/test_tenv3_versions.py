import os

import numpy as np
import pytest

from tasks.sources import SourceDataInvalid
from tasks.sources.tenv3 import parse
from tests.sources.services.servers.gnss import tenv3

DAY, HALF_DAY = np.timedelta64(24, "h"), np.timedelta64(12, "h")


@pytest.fixture
def published(tmp_path):
    """40 days from 1 July 2019 in a file of 8 August, 06:00."""
    path = tmp_path / "P570.tenv3"
    path.write_text(tenv3("P570", "2019-07-01", np.linspace(0, 0.039, 40)[:, None] * [1, 0, 0]))
    stamp = int(np.datetime64("2019-08-08T06:00", "s").astype(int))
    os.utime(path, (stamp, stamp))
    return path


def test_a_files_date_tells_rapid_rows_from_final_ones(published, fetch):
    data = fetch("gnss", "tenv3", "", latency_days=1, availability="modified_time").dataset
    end = data.time.values + HALF_DAY
    known = data.available_time.values[:, 0]
    was_final = end + 15 * DAY <= np.datetime64("2019-08-08T06:00")
    assert 0 < was_final.sum() < 40
    np.testing.assert_array_equal((known - end)[was_final], 15 * DAY)
    rapid = known[~was_final] - end[~was_final]
    assert (rapid[:-3] == DAY).all()
    # the file itself is the latest moment at which its rows were known, the end of a day the earliest
    assert known[37] == np.datetime64("2019-08-08T06:00")
    assert known[39] == end[39]
    assert (known >= end).all()
    assert data.attrs["vintage"] == "reconstructed"


def test_without_the_option_every_row_waits_as_long(published, fetch):
    data = fetch("gnss", "tenv3", "", latency_days=15).dataset
    end = data.time.values + HALF_DAY
    np.testing.assert_array_equal(data.available_time.values[:, 0] - end, 15 * DAY)


def test_a_rewritten_file_with_another_first_row_is_the_same_motion(tmp_path):
    enu = np.random.default_rng(1).normal(0, 0.01, (5, 3))
    before, after = tmp_path / "before.tenv3", tmp_path / "after.tenv3"
    before.write_text(tenv3("P570", "2019-07-01", enu))
    after.write_text(tenv3("P570", "2019-07-01", enu + np.array([0.8, -0.5, 0.02])))
    np.testing.assert_allclose(parse(before)[0].values, parse(after)[0].values, atol=2e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("__east(m)", "__east(mm)", r"columns in metres \(m\), found east\(mm\)"),
        ("_ant(m)", "_east(m)", "each once"),
        (" 1234 0.", " 1234 nan0.", "numbers in column east"),
        (" 1234 0.", " nan 0.", "numbers in column e0 between"),
        (" 1234 0.", " 1234 9e9", "numbers in column east between"),
        (" 0.000700 ", " -0.000700 ", "numbers in column sig_e between 0"),
        (" 35.77 ", " 135.77 ", "numbers in column latitude between -90"),
        (" 58665 ", " 1e300 ", "one day in YYMMMDD and MJD"),
        ("19JUL01", "19JUL32", "dates like 19JUL06"),
    ],
)
def test_values_that_cannot_be_are_refused(tmp_path, old, new, message):
    path = tmp_path / "P570.tenv3"
    text = tenv3("P570", "2019-07-01", np.zeros((2, 3)))
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(SourceDataInvalid, match=message):
        parse(path)
