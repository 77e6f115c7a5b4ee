"""What a network is and how it is trained, read from conf/models and conf/training."""

from pathlib import Path
from typing import Final, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

ModalityName = Literal["events", "waveform", "gnss", "strain", "insar", "weather"]

PROVIDER_KINDS: Final[dict[str, tuple[ModalityName, ...]]] = {
    "seismic": ("events", "waveform"),
    "gnss": ("gnss", "strain"),
    "insar": ("insar",),
    "weather": ("weather",),
}
"""What falls away together when a kind of provider is missing; the recent counts of a cell go with `seismic`."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LookbackDays(_Frozen):
    """Length of the window that each daily modality shows, days."""

    waveform: int = Field(default=30, ge=8, le=365, description="days of waveform features")
    gnss: int = Field(default=60, ge=16, le=730, description="days of station positions")
    strain: int = Field(default=30, ge=1, le=365, description="age at which a strain map is too old, days")
    strain_change: int = Field(
        default=45, ge=1, le=365, description="days between the two strain maps compared"
    )
    weather: int = Field(default=30, ge=4, le=365, description="days of weather")


class ModelConfig(_Frozen):
    """A fusion network."""

    kind: Literal["concat", "gated", "cross_attention"] = Field(description="fusion by name")
    modalities: tuple[ModalityName, ...] = Field(
        default=("events", "waveform", "gnss", "strain", "insar", "weather"), description="inputs to encode"
    )
    width: int = Field(default=24, ge=4, le=512, description="length of every embedding")
    channels: int = Field(default=16, ge=4, le=256, description="channels inside convolutions")
    heads: int = Field(default=2, ge=1, le=16, description="attention heads; divides width")
    lookback_days: LookbackDays = Field(default=LookbackDays(), description="windows by modality, days")
    n_events: int = Field(default=32, ge=1, le=4096, description="latest events in the sequence")
    n_pairs: int = Field(default=2, ge=1, le=64, description="latest interferograms")
    coarse_cells: int = Field(default=5, ge=1, le=64, description="side of the coarse grid of raster tokens")
    max_log_correction: float = Field(
        default=4.0, gt=0, le=10, description="bound of |log(rate / ETAS rate)|"
    )


class TrainingConfig(_Frozen):
    """How a network is trained."""

    epochs: int = Field(ge=1, le=1000, description="most epochs")
    batch_size: int = Field(ge=1, le=4096, description="issue times per step")
    learning_rate: float = Field(gt=0, le=1, description="AdamW step size")
    weight_decay: float = Field(ge=0, le=1, description="AdamW decoupled weight decay")
    modality_dropout: float = Field(
        ge=0, lt=1, description="probability to hide a kind of provider in a sample"
    )
    likelihood: Literal["poisson", "negative_binomial"] = Field(description="likelihood of the training loss")
    regulariser: float = Field(default=0.0, ge=0, description="weight of the mean squared log correction")
    patience: int = Field(ge=1, description="epochs without a better validation score before stopping")
    seed: int = Field(default=0, ge=0, description="seed of weights, order and dropout; a run's own in flows")
    horizons: tuple[int, ...] = Field(default=(1, 7, 30), min_length=1, description="forecast windows, days")
    issue_step_days: int = Field(default=1, ge=1, description="least distance of two issue times, days")
    num_threads: int = Field(
        default=1, ge=1, le=256, description="threads for torch; the workspace's in flows"
    )


_Config = TypeVar("_Config", ModelConfig, TrainingConfig)


def load_model(name: str, conf: Path) -> ModelConfig:
    """Return the network in `conf`/models/`name`.yaml.

    Raises
    ------
    KeyError
        If there is no such file; the message lists those there are.
    ValueError
        If the file does not describe a network; the message names the file and each wrong field.
    """
    return _load(ModelConfig, name, conf / "models")


def load_training(name: str, conf: Path) -> TrainingConfig:
    """Return the training in `conf`/training/`name`.yaml; raises as `load_model`."""
    return _load(TrainingConfig, name, conf / "training")


def _load(model: type[_Config], name: str, folder: Path) -> _Config:
    path = folder / f"{name}.yaml"
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if name not in known:
        raise KeyError(f"unknown configuration {name!r}: expected one of {known} (files in {folder})")
    try:
        return model.model_validate(yaml.safe_load(path.read_text()))
    except (ValidationError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: not a valid {model.__name__}: {error}") from error
