"""Samples drawn batch by batch are the samples held in memory."""

import numpy as np
import pytest
import torch

from fusion_models.data.datamodule import ForecastData
from fusion_models.data.sets import DrawnSamples, HeldSamples, Issues, draw, scaled
from fusion_models.data.spec import spec_for


def data_of(world, dates, model_config, training_config, memory_bytes):
    spec = spec_for(world.cube, model_config, training_config.horizons)
    return ForecastData(
        world.cube, spec, world.baseline_rates, world.counts, dates, training_config, memory_bytes
    )


def test_a_drawn_batch_is_the_held_one_to_the_last_bit(world, dates, model_config, training_config):
    held = data_of(world, dates, model_config, training_config, 1 << 30)
    spec = spec_for(world.cube, model_config, training_config.horizons)
    rates, counts = (a.isel(issue_time=slice(20, 60)) for a in (world.baseline_rates, world.counts))
    issues = Issues(rates["issue_time"].values, rates.values, counts.values)
    whole = HeldSamples(scaled(draw(world.cube, spec, issues), issues, spec, held.scaling))
    drawn = DrawnSamples(world.cube, spec, issues, held.scaling)

    assert len(whole) == len(drawn) == 40
    for rows in ([0, 1, 2], [39, 7, 7]):
        one, other = whole[rows], drawn[rows]
        assert set(one.inputs) == set(other.inputs)
        for name, part in one.inputs.items():
            assert all(torch.equal(a, b) for a, b in zip(part, other.inputs[name], strict=True)), name
        assert all(torch.equal(a, b) for a, b in zip(one[1:], other[1:], strict=True))


@pytest.mark.parametrize(("memory_bytes", "is_held"), [(1 << 30, True), (1 << 19, False)])
def test_what_does_not_fit_is_drawn_and_every_issue_time_is_still_seen(
    memory_bytes, is_held, world, dates, model_config, training_config
):
    data = data_of(world, dates, model_config, training_config, memory_bytes)

    days = [day for batch in data.train_dataloader() for day in batch.day.tolist()]
    assert data.is_held == is_held
    assert sorted(days) == sorted(set(days))
    assert len(days) == data.n_training == 76
    reference = data_of(world, dates, model_config, training_config, 1 << 30)
    # Fewer samples tell the scale, but of the same distribution; the rates' range is that of all.
    assert data.scaling.cell_log_rate == reference.scaling.cell_log_rate
    np.testing.assert_allclose(data.scaling.scale["strain"], reference.scaling.scale["strain"], rtol=0.2)
