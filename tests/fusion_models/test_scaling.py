import numpy as np
import pytest
import torch

from fusion_models.bundle import Bundle, BundleCard, predict_batch
from fusion_models.data.asof import as_of
from fusion_models.data.samples import stack_samples
from fusion_models.data.spec import spec_for
from fusion_models.network import FusionNetwork
from fusion_models.scaling import fit_scaling


@pytest.fixture
def awake(world, model_config, training_config):
    """A bundle whose network corrects at random, and the samples it was scaled on."""
    torch.manual_seed(0)
    spec = spec_for(world.cube, model_config, (1, 7, 30))
    network = FusionNetwork(model_config, spec).eval()
    torch.nn.init.normal_(network.head.out.weight, std=0.5)
    times = world.baseline_rates["issue_time"].values[60:160:5]
    rates = world.baseline_rates.sel(issue_time=times).values
    rates = rates * np.linspace(0.5, 2.0, len(times))[:, None, None, None]
    arrays = stack_samples(spec, [as_of(world.cube, time) for time in times], rates)
    card = BundleCard(
        model=model_config,
        training=training_config,
        spec=spec,
        scaling=fit_scaling(arrays),
        shrinkage=(1.0, 1.0, 1.0),
        dispersion=(),
        n_stations={},
        region="toy",
        snapshot="snapshot-1",
        provenance={},
        fingerprint="",
        history=(),
    )
    return Bundle(card, network), arrays


def test_a_value_beyond_training_counts_as_the_largest_seen():
    values = np.random.default_rng(0).normal(size=(200, 10, 1))
    scaling = fit_scaling({"gnss.values": values})

    scaled, _ = scaling.apply("gnss", np.array([[50.0], [1e6], [-1e6]]))

    assert scaled[0] == scaled[1] == pytest.approx(scaling.high["gnss"][0])
    assert scaled[2] == pytest.approx(scaling.low["gnss"][0])


def test_within_training_the_correction_is_believed_and_far_beyond_it_is_etas(awake):
    bundle, arrays = awake
    support = bundle.card.scaling.support(arrays["baseline_rates"])

    np.testing.assert_allclose(support, 1.0)
    assert bundle.card.scaling.support(1e3 * arrays["baseline_rates"]).max() < 1e-6


def test_after_a_mainshock_larger_than_training_the_forecast_is_the_baselines(awake):
    bundle, arrays = awake
    hot = dict(arrays) | {"baseline_rates": 1e4 * arrays["baseline_rates"]}

    np.testing.assert_allclose(predict_batch(bundle, hot), hot["baseline_rates"], rtol=1e-6)
    assert not np.allclose(predict_batch(bundle, arrays), arrays["baseline_rates"], rtol=0.05)


def test_a_scaling_without_baseline_rates_cannot_tell_its_support():
    scaling = fit_scaling({"gnss.values": np.ones((20, 3, 1))})

    with pytest.raises(ValueError, match="baseline rates"):
        scaling.support(np.ones((1, 1, 2, 2)))
