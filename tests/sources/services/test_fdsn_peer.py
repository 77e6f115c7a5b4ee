"""Waveforms from portable-fdsnws-dataselect, somebody else's server, over HTTP: real records, and its real fault.

The environment variable QUAKECUBE_PEERS names a virtual environment of its own with `portable-fdsnws-dataselect==2.0.2`
and `mseedindex==3.0.8`: they would change this one's pymseed.
"""

import os
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import numpy as np
import obspy
import obspy.clients.filesystem.tests as archive_tests
import obspy.core.tests as core_tests
import pytest
import requests
from obspy import UTCDateTime

from tasks.sources import open_source
from tests.sources.services.servers.fdsn import Node, inventory_of, noise
from tests.sources.services.test_fdsn_waveforms import ask_in, mirror

BIN = Path(os.environ.get("QUAKECUBE_PEERS", "/nonexistent")) / "bin"
ANMO = Path(archive_tests.__file__).parent / (
    "data/tsindex_data/IU/2018/001/IU.ANMO.10.BHZ.2018.001_first_minute.mseed"
)
METADATA = Path(core_tests.__file__).parent / "data/IU_ANMO_BH.xml"
Z = "CI.CLC..BHZ"

pytestmark = pytest.mark.skipif(
    not (BIN / "portable-fdsnws-dataselect").exists(),
    reason="QUAKECUBE_PEERS names no environment with portable-fdsnws-dataselect",
)


@pytest.fixture
def peer(tmp_path):
    """Start the server on miniSEED files; with `is_patched` its index has no time index, which it misreads."""
    children = []

    def start(files: list[Path], is_patched: bool) -> str:
        folder = tmp_path / "peer"
        folder.mkdir()
        index = folder / "ts.sqlite"
        subprocess.run([BIN / "mseedindex", "-sqlite", index, *files], check=True, capture_output=True)
        if is_patched:
            with sqlite3.connect(index) as database:
                database.execute("UPDATE tsindex SET timeindex=NULL")
            database.close()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = folder / "server.ini"
        config.write_text(
            f"[index_db]\npath = {index}\ntable = tsindex\nsummary_table = tsindex_summary\n"
            f"[server]\ninterface = 127.0.0.1\nport = {port}\nrequest_limit = 1000000000\nmaxsectiondays = 10\n"
            f"[logging]\npath = {folder}/server.log\nlevel = INFO\n"
        )
        program = BIN / "portable-fdsnws-dataselect"
        subprocess.run([program, "-i", config], check=True, capture_output=True)
        children.append(
            subprocess.Popen(
                [program, config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
            )
        )
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                requests.get(f"{url}/fdsnws/dataselect/1/version", timeout=1)
                return url
            except requests.ConnectionError:
                time.sleep(0.05)
        raise TimeoutError((folder / "server.log").read_text())

    yield start
    for child in children:
        child.terminate()
        child.wait(10)


def test_real_records_become_ground_velocity(peer, serve, tmp_path):
    stations = serve(Node(inventory=obspy.read_inventory(str(METADATA))))
    url = peer([ANMO], is_patched=True)
    ask = ask_in(
        tmp_path,
        stations.url,
        url,
        start="2018-01-01",
        end="2018-01-03",
        now="2018-02-01",
        channels="IU.ANMO.10.BHZ",
    )
    options = {"radius_km": 3000, "step_minutes": 1440, "offset_minutes": 0}
    ask = ask._replace(config=ask.config.model_copy(update={"options": options}))
    mirror(ask)

    states = [ask.landing.ledger.get(f"IU.ANMO.10.BHZ/2018-01-0{day}") for day in (1, 2)]
    assert [(e.state, e.message) for e in states] == [("got", "shortfall: 60.00 of 86400 s"), ("empty", "")]
    (landed,) = obspy.read(str(ask.landing.path(states[0].name)))
    (original,) = obspy.read(str(ANMO))
    assert landed.stats.starttime == original.stats.starttime
    np.testing.assert_array_equal(landed.data, original.data)

    data, invalid = open_source("sds")(ask.config, ask.landing.root, ask.region, ask.window)
    assert not invalid
    original.detrend("demean")
    original.remove_response(
        obspy.read_inventory(str(METADATA)), output="VEL", pre_filt=(0.05, 0.1, 8.0, 9.5), water_level=60,
        taper=True, taper_fraction=2 / 60,
    )  # fmt: skip
    ours = data.velocity.values[0, 0, 200:1000]
    # samples lie 19.5 ms after our grid of 50 ms
    times = np.arange(1200)[200:1000] / 20.0 - 0.0195
    theirs = np.interp(times, np.arange(2400) / 40.0, original.data)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.98
    assert ours.std() == pytest.approx(theirs.std(), rel=0.05)


@pytest.mark.parametrize("is_patched", [True, False])
def test_a_day_that_ends_inside_a_file_is_whole_or_its_shortfall_is_recorded(
    peer, serve, tmp_path, is_patched
):
    whole = noise(Z, "2019-07-06T23:30", 3600, 20.0)
    file = tmp_path / "across.mseed"
    whole.write(str(file), format="MSEED", reclen=512)
    stations = serve(Node(inventory=inventory_of([Z])))
    ask = ask_in(tmp_path, stations.url, peer([file], is_patched), channels=Z)
    mirror(ask)

    before, after = (ask.landing.ledger.get(f"{Z}/2019-07-{day}") for day in ("06", "07"))
    assert (before.state, after.state) == ("got", "got")
    (found,) = obspy.read(str(ask.landing.path(before.name)))
    if is_patched:
        assert before.message == "shortfall: 1800.00 of 86400 s"
        np.testing.assert_array_equal(
            found.data, whole.slice(endtime=UTCDateTime("2019-07-06T23:59:59.96")).data
        )
        (rest,) = obspy.read(str(ask.landing.path(after.name)))
        np.testing.assert_array_equal(rest.data, whole.slice(UTCDateTime("2019-07-07")).data)
    else:
        # release 2.0.2 drops what follows the first record of a file that goes on beyond the request
        seconds = float(before.message.split()[1])
        assert 0 < seconds < 60
        assert found.stats.npts == round(seconds * 20)
