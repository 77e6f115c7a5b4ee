"""Train one network, resume it after a kill, and write its bundle."""

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
import xarray as xr
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from fusion_models.bundle import CARD, Bundle, BundleCard, load_bundle, save_bundle
from fusion_models.config import ModelConfig, TrainingConfig
from fusion_models.data.cube import CubeData
from fusion_models.data.datamodule import MEMORY_BYTES, ForecastData, SplitDates
from fusion_models.data.spec import spec_for
from fusion_models.module import FusionModule

OnEpoch = Callable[[int, dict[str, float]], None]


class _Report(pl.Callback):
    def __init__(self, on_epoch: OnEpoch) -> None:
        self.on_epoch, self.told = on_epoch, 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._tell(pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._tell(pl_module)

    def _tell(self, module: pl.LightningModule) -> None:
        if isinstance(module, FusionModule):
            report_history(module.history[self.told :], self.on_epoch)
            self.told = len(module.history)


def report_history(history: list[dict[str, float]], on_epoch: OnEpoch) -> None:
    """Tell `on_epoch(epoch, metrics)` of every entry; epochs count from 1."""
    for entry in history:
        on_epoch(int(entry["epoch"]), {k: v for k, v in entry.items() if k != "epoch"})


def fit(
    cube: CubeData,
    baseline_rates: xr.DataArray,
    counts: xr.DataArray,
    split: SplitDates,
    model_config: ModelConfig,
    training_config: TrainingConfig,
    out: Path,
    on_epoch: OnEpoch | None = None,
    provenance: Mapping[str, str] | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> Path:
    """Return the folder of the trained bundle, `out`/bundle.

    A finished bundle with the same inputs is returned as it is; a run that was killed goes on from its last epoch. In
    both cases `on_epoch` hears of the earlier epochs again. If no epoch beats ETAS in validation, the shrinkage is 0 at
    every horizon and the bundle forecasts what ETAS does.

    Parameters
    ----------
    baseline_rates, counts : DataArray (issue_time, horizon, lat, lon)
        Expected counts of the baseline; observed counts of target events in [issue_time, issue_time + horizon).
    split : SplitDates
        Training and validation by date; windows stay inside their part.
    out : Path
        Folder for checkpoints and bundle.
    on_epoch : callable, optional
        Called with epoch (from 1) and its metrics.
    provenance : mapping, optional
        What else the bundle should tell: `commit`, `baseline` (hash of its parameters).
    memory_bytes : int
        See `ForecastData`.

    Raises
    ------
    ValueError
        If the rates, counts and split do not fit together (see `ForecastData`).
    """
    fingerprint = _fingerprint(
        cube, baseline_rates, counts, split, model_config, training_config, memory_bytes
    )
    target = out / "bundle"
    if (target / CARD).is_file():
        finished = load_bundle(target)
        if finished.card.fingerprint == fingerprint:
            if on_epoch is not None:
                report_history(list(finished.card.history), on_epoch)
            return target
    spec = spec_for(cube, model_config, training_config.horizons)
    with _quiet(training_config.num_threads):
        data = ForecastData(cube, spec, baseline_rates, counts, split, training_config, memory_bytes)
        torch.manual_seed(training_config.seed)
        module = FusionModule(model_config, training_config, spec, data.events_per_sample)
        folder = out / "checkpoints" / fingerprint[:16]
        # At the very end of an epoch: a checkpoint after validation resumes in the middle of Lightning's loops.
        keep = ModelCheckpoint(
            folder, "best", monitor="val_nll", mode="min", save_last=True, save_on_train_epoch_end=True
        )
        stop = EarlyStopping("val_nll", mode="min", patience=training_config.patience)
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            deterministic=True,
            max_epochs=training_config.epochs,
            gradient_clip_val=1.0,
            logger=False,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[keep, stop, *([_Report(on_epoch)] if on_epoch is not None else [])],
        )
        last = folder / "last.ckpt"
        trainer.fit(module, datamodule=data, ckpt_path=str(last) if last.is_file() else None)
        history = list(module.history)
        # Written by this very run in its own folder, hence trusted; the bundle itself holds no pickle.
        best = torch.load(keep.best_model_path, weights_only=False)
    module.load_state_dict(best["state_dict"])
    card = BundleCard(
        model=model_config,
        training=training_config,
        spec=spec,
        scaling=data.scaling,
        shrinkage=tuple(best["quakecube"]["shrinkage"]),
        dispersion=tuple(best["quakecube"]["dispersion"]),
        n_stations=data.n_stations,
        region=cube.region,
        snapshot=cube.snapshot,
        provenance=dict(provenance or {}),
        fingerprint=fingerprint,
        history=tuple(history),
    )
    return save_bundle(target, Bundle(card, module.network))


def _fingerprint(
    cube: CubeData,
    rates: xr.DataArray,
    counts: xr.DataArray,
    split: SplitDates,
    model: ModelConfig,
    training: TrainingConfig,
    memory_bytes: int,
) -> str:
    dates = (split.train_start, split.train_end, split.validation_start, split.validation_end)
    text = json.dumps(
        [cube.region, cube.snapshot, model.model_dump(mode="json"), training.model_dump(mode="json")]
        + [str(day) for day in dates]
        + [memory_bytes]  # fewer samples may tell the scale
    )
    digest = hashlib.sha256(text.encode())
    for array in (rates, counts):
        digest.update(np.ascontiguousarray(array.values).tobytes())
        digest.update(np.ascontiguousarray(array["issue_time"].values).tobytes())
    return digest.hexdigest()


@contextmanager
def _quiet(num_threads: int) -> Iterator[None]:
    """Give torch its threads and its own random state, and spare the reader Lightning's advice."""
    chatter = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
    levels = [logger.level for logger in chatter]
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(num_threads)
    for logger in chatter:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            # Samples are tensors in memory: workers would only copy them; a resumed run has its own folder.
            warnings.filterwarnings("ignore", message=".*does not have many workers")
            warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty")
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
            warnings.filterwarnings("ignore", message=".*The number of training batches")
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(threads)
        for logger, level in zip(chatter, levels, strict=True):
            logger.setLevel(level)
