"""One encoder per modality: (values, mask, positions) -> Tokens; nothing observed gives masked tokens."""

from typing import Protocol

from torch import Tensor, nn

from fusion_models.config import ModalityName, ModelConfig
from fusion_models.encoders.events import EventEncoder
from fusion_models.encoders.gnss import GnssEncoder
from fusion_models.encoders.raster import RasterEncoder
from fusion_models.encoders.waveform import WaveformEncoder
from fusion_models.encoders.weather import WeatherEncoder
from fusion_models.tokens import Tokens


class Encoder(Protocol):
    """What every encoder promises."""

    def __call__(self, values: Tensor, mask: Tensor, positions: Tensor) -> Tokens:
        """Return tokens with a place each; a token is masked if nothing of it was observed."""
        ...


def make_encoder(modality: ModalityName, n_variables: int, config: ModelConfig) -> nn.Module:
    """Return a fresh encoder for `modality` with `n_variables` along its last axis."""
    if modality == "events":
        return EventEncoder(n_variables, config.width)
    if modality == "waveform":
        return WaveformEncoder(n_variables, config.channels, config.width)
    if modality == "gnss":
        return GnssEncoder(n_variables, config.channels, config.width, config.heads)
    if modality == "weather":
        return WeatherEncoder(n_variables, config.channels, config.width)
    return RasterEncoder(n_variables, config.channels, config.width, config.coarse_cells)
