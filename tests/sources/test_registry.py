from pathlib import Path
from typing import get_args

import pytest

from tasks.regions import Provider, load_region
from tasks.sources import open_source


@pytest.mark.parametrize("provider", get_args(Provider))
def test_every_provider_has_a_reader(provider):
    assert callable(open_source(provider))


def test_an_unknown_provider_is_refused_with_the_list():
    with pytest.raises(ValueError, match=r"unknown provider 'usgs': expected one of \['aria'"):
        open_source("usgs")


def test_ridgecrest_keeps_a_gap_of_lookback_and_horizon_between_its_splits(conf: Path):
    region = load_region("ridgecrest", conf)
    split = region.split
    assert (split.validation_start - split.train_end).days >= 90
    assert (split.test_start - split.validation_end).days >= 90
    assert {s.modality for s in region.sources} == {
        "catalog", "gnss", "gnss_highrate", "insar", "weather", "waveform", "static",
    }  # fmt: skip
