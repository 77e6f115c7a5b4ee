from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.sources import SourceDataInvalid
from tasks.sources.ngl_steps import read_steps

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
STEPS = """P570 10APR04 2  363.078   283.102 6.72 usp000ha5w
P570 19JUL06 2  562.341    59.812 7.10 ci38457511
P570 08JAN15 1  Antenna_Type_Changed
P571 19JUL06 2  562.341    70.100 7.10 ci38457511
"""


def write(folder, text):
    path = folder / "steps.txt"
    path.write_text(text)
    return path


def test_both_kinds_are_read_in_the_order_of_time(tmp_path):
    table, complaints = read_steps(write(tmp_path, STEPS), {"P570"})
    assert not complaints
    assert table["kind"].tolist() == ["equipment", "earthquake", "earthquake"]
    assert table["magnitude"].tolist()[1:] == [6.72, 7.1]
    assert table["text"].iloc[0] == "Antenna_Type_Changed"
    assert table["event_id"].tolist() == ["", "usp000ha5w", "ci38457511"]
    assert table["time"].iloc[2] == np.datetime64("2019-07-06")
    assert (table["available_time"] - table["time"]).unique().tolist() == [np.timedelta64(1, "D")]


@settings(max_examples=40, deadline=None)
@given(st.dates(date(1980, 1, 1), date(2079, 12, 31)), st.floats(5, 9.5), st.floats(0, 1))
def test_what_is_written_by_the_laboratorys_rule_is_read_back(tmp_path_factory, day, magnitude, share):
    threshold = 10 ** (magnitude / 2 - 0.8)
    stamp = f"{day:%y}{MONTHS[day.month - 1]}{day:%d}"
    line = f"S001 {stamp} 2 {threshold:8.3f} {share * threshold:8.3f} {magnitude:.2f} qs1\n"
    table, complaints = read_steps(write(tmp_path_factory.mktemp("steps"), line))
    assert not complaints
    row = table.iloc[0]
    assert row["time"].date() == day
    assert (row["magnitude"], row["distance_km"]) == (
        pytest.approx(magnitude, abs=0.006),
        pytest.approx(share * threshold, abs=0.001),
    )


def test_bad_lines_are_named_and_the_others_read(tmp_path):
    bad = "P570 19XXX06 1 a\nP570 19JUL06 3 b\nP570 19JUL06 2 562.341 59.8\nP570 19JUL06 2 59.812 562.341 7.10 x\n"
    table, complaints = read_steps(write(tmp_path, STEPS + bad))
    assert len(table) == 4
    messages = [str(c) for c in complaints]
    for part in ("dates like 19JUL06", "in line 6", "in line 7", "a threshold of"):
        assert any(part in message for message in messages)
    with pytest.raises(SourceDataInvalid):
        read_steps(write(tmp_path, "<html>\n"))
