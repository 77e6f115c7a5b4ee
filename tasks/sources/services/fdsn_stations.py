"""FDSN station: which channels there are in reach and when, and their responses as StationXML."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
from lxml import etree

from tasks.sources.contract import SourceDataInvalid
from tasks.sources.options import number_option
from tasks.sources.services import Ask
from tasks.sources.services.fdsn import address, ask_first, put_changed, text_of
from tasks.sources.services.mirroring import asked_within, bring_each
from tasks.sources.stations import distance_km
from tasks.sources.xml_entities import refuse_doctype

logger = logging.getLogger(__name__)

_COLUMNS: Final = 17
_FIRST: Final = np.datetime64("1900-01-01", "us")
_EVER: Final = np.datetime64("2200-01-01", "us")
_KM_PER_DEGREE: Final = 111.19


class Epoch(NamedTuple):
    """A channel from `start` to `end` (datetime64[ns]); `row` is all that the text of the service says of it."""

    station: str
    location: str
    channel: str
    start: np.datetime64
    end: np.datetime64
    row: str

    @property
    def nslc(self) -> str:
        """`NET.STA.LOC.CHA`."""
        return f"{self.station}.{self.location}.{self.channel}"


def bring_epochs(ask: Ask) -> list[Epoch]:
    """Return the channels in reach that the option `channels` wants, as the service last said; asked once a day.

    Raises
    ------
    SourceUnavailable, SourceDenied
        If the service does not answer.
    SourceDataInvalid
        If it answers something else.
    ValueError
        If the option is missing or is no list of `NET.STA.LOC.CHA`.
    """
    patterns = [p.strip() for p in str(ask.service.options.get("channels", "")).split(",") if p.strip()]
    if not patterns or any(len(p.split(".")) != 4 for p in patterns):
        raise ValueError(
            f"source {ask.config.group}: service option 'channels' must list NET.STA.LOC.CHA, found {patterns}"
        )
    epochs: dict[Epoch, None] = {}
    for pattern in patterns:
        safe = pattern.replace("*", "+").replace("?", "_")
        name, key = f"stations/{safe}.txt", f"channels {pattern}"
        if not asked_within(ask, key):
            content = _channel_text(ask, pattern)
            parse_epochs(content, _shown(ask))
            put_changed(ask, key, name, content)
        if ask.landing.path(name).is_file():
            epochs |= dict.fromkeys(parse_epochs(ask.landing.path(name).read_bytes(), name, ask))
    return list(epochs)


def bring_responses(ask: Ask, epochs: Iterable[Epoch]) -> None:
    """Bring `stations/NET.STA.xml` of each station, again when its epochs changed or after `metadata_days`.

    Raises
    ------
    SourceUnavailable, SourceDenied, SourceDataInvalid
        As `bring_each`.
    """
    rows: dict[str, set[str]] = defaultdict(set)
    for epoch in epochs:
        rows[epoch.station].add(epoch.row)
    digests = {
        station: hashlib.sha256("\n".join(sorted(own)).encode()).hexdigest()[:16]
        for station, own in rows.items()
    }
    bring_each(digests, lambda station: _bring_response(ask, station, digests[station]))


def parse_epochs(content: bytes, where: str, ask: Ask | None = None) -> list[Epoch]:
    """Return the channels of a text answer of level channel; of an `Ask` those in its radius and window.

    Raises
    ------
    SourceDataInvalid
        Naming `where`: if a line has other columns, or a place or time is none.
    """
    epochs = []
    for line in content.decode(errors="replace").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != _COLUMNS:
            raise SourceDataInvalid(where, f"{_COLUMNS} columns of level channel", f"{line[:60]!r}")
        try:
            latitude, longitude = float(cells[4]), float(cells[5])
            start, end = _time(cells[15]), _time(cells[16] or str(_EVER))
        except ValueError as error:
            raise SourceDataInvalid(where, "a place and times of an epoch", str(error)) from error
        if not (abs(latitude) <= 90 and abs(longitude) <= 360):
            raise SourceDataInvalid(where, "a place in degrees", f"{latitude:g}, {longitude:g}")
        network, station, location, channel = cells[:4]
        if not all(code.isalnum() for code in (network, station, channel, location or "0")):
            raise SourceDataInvalid(where, "codes of letters and digits", f"{'.'.join(cells[:4])!r}"[:60])
        if ask is not None:
            reach = number_option(ask.config, "radius_km", 150.0)
            if distance_km(ask.region, latitude, longitude) > reach:
                continue
            if start >= ask.window.end or end <= ask.window.start:
                continue
        epochs.append(Epoch(f"{network}.{station}", location, channel, start, end, line.strip()))
    return epochs


def _time(text: str) -> np.datetime64:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    time = np.datetime64(moment, "us")
    # open epochs end in 2599 or so, beyond the range of nanoseconds
    inside: np.datetime64 = min(max(time, _FIRST), _EVER).astype("datetime64[ns]")
    return inside


def _channel_text(ask: Ask, pattern: str) -> bytes:
    network, station, location, channel = pattern.split(".")
    box = ask.region.bounds
    reach = number_option(ask.config, "radius_km", 150.0)
    params = {
        "network": network, "station": station, "location": location or "--", "channel": channel,
        "level": "channel", "format": "text",
        "latitude": f"{(box.south + box.north) / 2:g}", "longitude": f"{(box.west + box.east) / 2:g}",
        "maxradius": f"{reach / _KM_PER_DEGREE + 0.01:.3f}",
        "starttime": text_of(ask.window.start), "endtime": text_of(ask.window.end),
    }  # fmt: skip
    response = ask_first(ask, "station", params)
    return b"" if response is None else bytes(response.content)


def _bring_response(ask: Ask, station: str, digest: str) -> None:
    key, name = f"{station} response {digest}", f"stations/{station}.xml"
    days = float(ask.service.options.get("metadata_days", 30.0))
    if ask.landing.path(name).is_file() and asked_within(ask, key, days):
        return
    network, code = station.split(".")
    params = {"network": network, "station": code, "level": "response", "format": "xml"}
    response = ask_first(ask, "station", params)
    content = b"" if response is None else bytes(response.content)
    if content:
        _check_station_xml(content, _shown(ask))
    put_changed(ask, key, name, content)


def _check_station_xml(content: bytes, where: str) -> None:
    refuse_doctype(content, where)
    try:
        root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        raise SourceDataInvalid(where, "well-formed StationXML", str(error)) from error
    if etree.QName(root).localname != "FDSNStationXML":
        raise SourceDataInvalid(where, "StationXML", f"<{etree.QName(root).localname}>"[:60])


def _shown(ask: Ask) -> str:
    return ask.http.shown(address(ask.service.urls[0], "station"))
