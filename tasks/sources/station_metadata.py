"""StationXML beside the records: where a station lies, where its channels point and what they respond to."""

from pathlib import Path

import numpy as np
import obspy
from obspy.core.inventory import Channel, Inventory

from tasks.sources.contract import SourceDataInvalid
from tasks.sources.mseed_segments import Segment
from tasks.sources.response import Gain, inverse_response
from tasks.sources.xml_entities import refuse_doctype


def find_metadata(folder: Path, station: str, top: Path) -> Path:
    """Return `NET.STA.xml` beside the records, or in `stations/` of a folder from there up to the one above `top`.

    Raises
    ------
    SourceDataInvalid
        If there is none.
    """
    candidates = [folder / f"{station}.xml"]
    above = folder
    while True:
        candidates.append(above / "stations" / f"{station}.xml")
        if above in (top.parent, above.parent):
            break
        above = above.parent
    for path in candidates:
        if path.is_file():
            return path
    raise SourceDataInvalid(folder, f"StationXML {station}.xml beside the records or in stations/", "none")


class StationReader:
    """Station metadata and inverse responses, each read once."""

    def __init__(self) -> None:
        self._inventories: dict[Path, Inventory] = {}
        self._gains: dict[tuple[Path, str, str, float, int], Gain] = {}

    def _inventory(self, path: Path) -> Inventory:
        if path not in self._inventories:
            refuse_doctype(path.read_bytes(), path)
            try:
                self._inventories[path] = obspy.read_inventory(str(path), format="STATIONXML")
            # obspy hands on whatever its XML and number parsing met
            except Exception as error:
                raise SourceDataInvalid(path, "StationXML", f"{type(error).__name__}: {error}") from error
        return self._inventories[path]

    def place(self, path: Path, station: str) -> tuple[float, float, float]:
        """Return latitude, longitude (degree) and elevation (m).

        Raises
        ------
        SourceDataInvalid
            If the file is no StationXML or describes other stations.
        """
        network, code = station.split(".")
        for one in self._inventory(path).select(network=network, station=code).networks:
            for found in one.stations:
                return float(found.latitude), float(found.longitude), float(found.elevation)
        raise SourceDataInvalid(path, f"station {station}", "others")

    def channel(self, path: Path, segment: Segment) -> Channel:
        """Return the channel's epoch at the segment's start.

        Raises
        ------
        SourceDataInvalid
            If the station has no such channel then.
        """
        network, code = segment.station.split(".")
        found = self._inventory(path).select(
            network=network,
            station=code,
            location=segment.location,
            channel=segment.channel,
            time=obspy.UTCDateTime(ns=segment.start),
        )
        for one in found.networks:
            for station in one.stations:
                for channel in station.channels:
                    return channel
        name = f"{segment.station}.{segment.location}.{segment.channel}"
        raise SourceDataInvalid(
            path, f"channel {name} at {obspy.UTCDateTime(ns=segment.start)}", "no such epoch"
        )

    def gain(self, path: Path, segment: Segment, channel: Channel) -> Gain:
        """Return the inverse response of the channel at the segment's sampling rate.

        Raises
        ------
        SourceDataInvalid
            If the channel has no usable response.
        """
        opened = channel.start_date.ns if channel.start_date else 0
        key = (path, segment.location, segment.channel, segment.rate_hz, opened)
        if key not in self._gains:
            if channel.response is None:
                raise SourceDataInvalid(path, f"a response of {segment.station} {segment.channel}", "none")
            try:
                self._gains[key] = inverse_response(channel.response, segment.rate_hz)
            except (ValueError, TypeError, obspy.core.util.obspy_types.ObsPyException) as error:
                expected = f"a usable response of {segment.station} {segment.channel}"
                raise SourceDataInvalid(path, expected, str(error)) from error
        return self._gains[key]


def direction_of(channel: Channel) -> tuple[float, float, float]:
    """Return how much of the channel points up, north and east (azimuth clockwise from north, dip positive down)."""
    code = channel.code[-1]
    dip = channel.dip if channel.dip is not None else (-90.0 if code == "Z" else 0.0)
    azimuth = channel.azimuth if channel.azimuth is not None else (90.0 if code == "E" else 0.0)
    flat = np.cos(np.radians(dip))
    return (
        float(-np.sin(np.radians(dip))),
        float(flat * np.cos(np.radians(azimuth))),
        float(flat * np.sin(np.radians(azimuth))),
    )
