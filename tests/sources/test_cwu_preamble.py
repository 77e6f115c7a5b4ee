import numpy as np
import pytest

from tasks.sources import SourceDataInvalid

WITH_PREAMBLE = """PBO Station Position Time Series.
Format Version, 1.2.0
Reference Frame, NAM14
4-character ID, P570
Reference position, 35.6673494123 North Latitude, -118.2600401942 East Longitude, 810.87213 meters elevation
Date, North (mm), East (mm), Vertical (mm), North Std. Deviation (mm), East Std. Deviation (mm), Vertical Std. Deviation (mm), Quality,
2019-07-01,0.00,0.00,0.00,1.1,1.2,3.3,repro,
2019-07-02,1.50,-2.00,3.00,1.4,1.5,3.6,final,
"""  # noqa: E501


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "position.P570.cwu.nam14.csv"
    path.write_text(WITH_PREAMBLE)
    return path


def test_place_and_deviations_come_from_a_file_that_has_them(path, fetch):
    data = fetch("gnss", "cwu_csv", "").dataset.isel(station=0)
    assert float(data.latitude) == pytest.approx(35.6673494)
    assert float(data.elevation_m) == pytest.approx(810.87213)
    np.testing.assert_allclose(data.east.values, [0, -0.002])
    np.testing.assert_allclose(data.sigma_east.values, [0.0012, 0.0015])
    np.testing.assert_allclose(data.sigma_north.values, [0.0011, 0.0014])
    np.testing.assert_allclose(data.sigma_up.values, [0.0033, 0.0036])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (", North (mm),", ", North (m),", r"columns Date, North \(mm\)"),
        (",1.50,", ",1e999,", "finite millimetres"),
        (",1.4,", ",-1.4,", "not negative"),
        ("35.6673494123 North", "95.6673494123 North", "degrees in the reference"),
        ("35.6673494123 North", "35.66.7 North", "numbers in the reference"),
        ("2019-07-02,1.50,-2.00,", "2019-07-02,", "8 fields as in the header"),
        ("\n2019-07-02,", "\n2019-07-32,", "dates and millimetres"),
    ],
)
def test_a_damaged_file_says_what_was_expected(path, fetch, old, new, message):
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SourceDataInvalid, match=message):
        fetch("gnss", "cwu_csv", "")
