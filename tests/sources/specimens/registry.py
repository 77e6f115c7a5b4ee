"""The specimens of all readers."""

from typing import Final

from tests.sources.specimens import catalogs, gnss, insar, waveforms, weather
from tests.sources.specimens.specimen import Specimen

ALL: Final[dict[str, Specimen]] = {
    **catalogs.SPECIMENS,
    **gnss.SPECIMENS,
    **insar.SPECIMENS,
    **weather.SPECIMENS,
    **waveforms.SPECIMENS,
}
