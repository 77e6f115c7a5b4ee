"""A broadband seismometer and its digitizer: ground velocity to counts, and the StationXML that undoes it."""

import numpy as np
from numpy.typing import NDArray
from obspy import UTCDateTime
from obspy.core.inventory import Channel, Inventory, Network, Site, Station
from obspy.core.inventory.response import (
    CoefficientsTypeResponseStage,
    InstrumentSensitivity,
    PolesZerosResponseStage,
    Response,
)

from tasks.simulation.geometry import Floats

ZEROS = (0j, 0j)
POLES = (-0.037 + 0.037j, -0.037 - 0.037j)
SENSOR_V_S_M = 1500.0
DIGITIZER_COUNTS_V = 4.0e5
FULL_SCALE_COUNTS = 2**23 - 1
REFERENCE_HZ = 1.0
NETWORK = "QS"
AZIMUTH_DIP = {"Z": (0.0, -90.0), "N": (0.0, 0.0), "E": (90.0, 0.0)}


def _poles_and_zeros(frequency: Floats) -> NDArray[np.complex128]:
    s = 2j * np.pi * frequency
    out = np.ones_like(s)
    for zero in ZEROS:
        out = out * (s - zero)
    for pole in POLES:
        out = out / (s - pole)
    return np.asarray(out)


def normalization() -> float:
    """Return A0, which makes the poles and zeros 1 at the reference frequency."""
    return float(1 / np.abs(_poles_and_zeros(np.array([REFERENCE_HZ])))[0])


def to_counts(velocity: Floats, rate_hz: float) -> NDArray[np.int32]:
    """Return counts (..., sample) of ground velocity, m s-1, clipped at the digitizer's 24 bits."""
    samples = velocity.shape[-1]
    frequency = np.fft.rfftfreq(2 * samples, 1 / rate_hz)
    gain = SENSOR_V_S_M * DIGITIZER_COUNTS_V * normalization()
    spectrum = np.fft.rfft(velocity, n=2 * samples) * _poles_and_zeros(frequency) * gain
    counts = np.fft.irfft(spectrum, n=2 * samples)[..., :samples]
    return np.clip(np.round(counts), -FULL_SCALE_COUNTS, FULL_SCALE_COUNTS).astype(np.int32)


def response(rate_hz: float) -> Response:
    """Return the full response: poles and zeros of the sensor, then the digitizer's gain."""
    sensor = PolesZerosResponseStage(
        1, SENSOR_V_S_M, REFERENCE_HZ, "M/S", "V", "LAPLACE (RADIANS/SECOND)", REFERENCE_HZ, ZEROS, POLES,
        normalization_factor=normalization(),
    )  # fmt: skip
    digitizer = CoefficientsTypeResponseStage(
        2, DIGITIZER_COUNTS_V, REFERENCE_HZ, "V", "COUNTS", "DIGITAL", numerator=[1.0], denominator=[],
        decimation_input_sample_rate=rate_hz, decimation_factor=1, decimation_offset=0,
        decimation_delay=0.0, decimation_correction=0.0,
    )  # fmt: skip
    total = InstrumentSensitivity(SENSOR_V_S_M * DIGITIZER_COUNTS_V, REFERENCE_HZ, "M/S", "COUNTS")
    return Response(instrument_sensitivity=total, response_stages=[sensor, digitizer])


def station_inventory(
    code: str,
    latitude: float,
    longitude: float,
    elevation_m: float,
    start: UTCDateTime,
    bands: dict[str, float],
) -> Inventory:
    """Return the StationXML inventory of one station; `bands` maps the first two channel letters to the rate in Hz."""
    channels = [
        Channel(
            code=band + component,
            location_code="",
            latitude=latitude,
            longitude=longitude,
            elevation=elevation_m,
            depth=0.0,
            azimuth=AZIMUTH_DIP[component][0],
            dip=AZIMUTH_DIP[component][1],
            sample_rate=rate,
            start_date=start,
            response=response(rate),
        )
        for band, rate in bands.items()
        for component in "ZNE"
    ]
    station = Station(
        code=code,
        latitude=latitude,
        longitude=longitude,
        elevation=elevation_m,
        site=Site(name=f"Simulated {code}"),
        start_date=start,
        creation_date=start,
        channels=channels,
    )
    network = Network(code=NETWORK, stations=[station], start_date=start)
    return Inventory(networks=[network], source="QuakeCube joint simulator")
