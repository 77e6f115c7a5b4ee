"""What every test may ask for: the configuration folder, the recorded archive, a browser."""

import os
import shutil
import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    # Its first import warns of an old way to list plug-ins, whatever the filters of the test that happens to be first.
    warnings.simplefilter("ignore")
    import obspy  # noqa: F401

os.environ.setdefault("NO_PROXY", "127.0.0.1,localhost")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(scope="session")
def conf() -> Path:
    return Path(__file__).parents[1] / "conf"


@pytest.fixture(scope="session")
def archive() -> Path:
    """The recorded archive; the test is skipped, and says why, where there is none."""
    path = os.environ.get("QUAKECUBE_ARCHIVE")
    if not path:
        pytest.skip("QUAKECUBE_ARCHIVE is not set: it names the folder of the recorded archive")
    if not Path(path).is_dir():
        pytest.fail(f"QUAKECUBE_ARCHIVE={path!r} is not a folder")
    return Path(path)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; the test is skipped, and says why, where there is none."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Debian's package chromium is not installed")
    return path
