import numpy as np
import pytest
import torch

from fusion_models.config import PROVIDER_KINDS
from fusion_models.data.asof import as_of
from fusion_models.data.batches import to_inputs
from fusion_models.data.samples import stack_samples
from fusion_models.data.spec import spec_for
from fusion_models.losses import negative_binomial_loss, poisson_loss
from fusion_models.network import FusionNetwork, hide
from fusion_models.scaling import fit_scaling
from fusion_models.tokens import Inputs

KINDS = ["concat", "gated", "cross_attention"]


@pytest.fixture(params=KINDS)
def network(request, world, model_config):
    """A network whose head is awake: its last layer is random instead of zero."""
    torch.manual_seed(0)
    config = model_config.model_copy(update={"kind": request.param})
    network = FusionNetwork(config, spec_for(world.cube, config, (1, 7, 30)))
    torch.nn.init.normal_(network.head.out.weight, std=0.3)
    return network


@pytest.fixture
def inputs(world, network):
    times = world.baseline_rates["issue_time"].values[60:160:5]
    views = [as_of(world.cube, time) for time in times]
    arrays = stack_samples(network.spec, views, world.baseline_rates.sel(issue_time=times).values)
    return to_inputs(arrays, fit_scaling(arrays), network.spec)


@pytest.mark.parametrize("kind", KINDS)
def test_the_untrained_network_is_etas_exactly(kind, world, model_config, inputs):
    config = model_config.model_copy(update={"kind": kind})
    fresh = FusionNetwork(config, spec_for(world.cube, config, (1, 7, 30)))

    assert torch.equal(fresh(inputs), torch.zeros(20, 3, 6, 6))


def test_the_correction_is_bounded(network, inputs):
    with torch.no_grad():
        network.head.out.weight.mul_(1e4)

    assert network(inputs).abs().max() <= network.head.bound


@pytest.mark.parametrize("modality", ["gnss", "waveform"])
def test_the_order_of_stations_changes_nothing(modality, network, inputs):
    values, mask, positions = inputs[modality]
    order = torch.randperm(values.shape[2], generator=torch.Generator().manual_seed(4))
    shuffled = dict(inputs) | {modality: Inputs(values[:, :, order], mask[:, :, order], positions[:, order])}

    torch.testing.assert_close(network(shuffled), network(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("modality", ["gnss", "waveform"])
def test_a_masked_station_changes_nothing(modality, network, inputs):
    values, mask, positions = inputs[modality]
    extra = Inputs(
        torch.cat([values, torch.zeros_like(values[:, :, :1])], dim=2),
        torch.cat([mask, torch.zeros_like(mask[:, :, :1])], dim=2),
        torch.cat([positions, torch.zeros_like(positions[:, :1])], dim=1),
    )

    torch.testing.assert_close(
        network(dict(inputs) | {modality: extra}), network(inputs), rtol=1e-4, atol=1e-5
    )


def test_with_nothing_observed_outputs_and_gradients_are_finite(network, inputs):
    blind = dict(inputs)
    for kind in PROVIDER_KINDS:
        blind = hide(blind, network.spec, kind, torch.ones(20, dtype=torch.bool))
    assert not any(blind[name].mask.any() for name in network.spec.modalities)

    delta = network(blind)
    delta.square().sum().backward()

    assert torch.isfinite(delta).all()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(g).all() for g in gradients)


def test_encoders_mask_the_tokens_of_what_was_not_observed(network, inputs):
    for name, encoder in network.encoders.items():
        values, mask, positions = inputs[name]
        tokens = encoder(torch.zeros_like(values), torch.zeros_like(mask), positions)
        assert not tokens.mask.any(), name
        assert not tokens.embedding.any(), name
        assert tokens.own_mask is None or not tokens.own_mask.any(), name


def test_a_hidden_kind_of_provider_has_no_influence(network, inputs):
    hidden = torch.arange(20) < 10
    noisy = dict(inputs)
    for name in PROVIDER_KINDS["gnss"]:
        values, mask, positions = inputs[name]
        noisy[name] = Inputs(values + 3.0 * mask, mask, positions)

    plain = network(hide(inputs, network.spec, "gnss", hidden))
    spoilt = network(hide(noisy, network.spec, "gnss", hidden))

    assert torch.equal(plain[:10], spoilt[:10])
    assert not torch.allclose(plain[10:], spoilt[10:])


def test_a_strained_pixel_reaches_its_own_cell_first(network, inputs):
    values, mask, positions = inputs["strain"]
    raised = values.clone()
    raised[:, :, 0, 0] += 5.0

    change = (
        (network(dict(inputs) | {"strain": Inputs(raised, mask, positions)}) - network(inputs))
        .abs()
        .mean(dim=(0, 1))
    )

    assert change[0, 0] > 3 * change[5, 5]


def test_the_poisson_loss_is_the_information_loss_against_the_baseline():
    rate, count = torch.tensor([[[[2.0]]]]), torch.tensor([[[[3.0]]]])
    delta = torch.full((1, 1, 1, 1), 0.4)

    def nll(mean):
        return -torch.distributions.Poisson(mean).log_prob(count)

    torch.testing.assert_close(poisson_loss(delta, rate, count), nll(rate * torch.exp(delta)) - nll(rate))
    assert poisson_loss(torch.zeros_like(delta), rate, count) == 0


def test_the_negative_binomial_loss_differs_from_the_distribution_by_terms_of_count_alone():
    rate = torch.tensor([0.3, 2.0, 5.0])[None, None, None]
    delta = torch.tensor([0.1, -0.5, 1.0])[None, None, None]
    count = torch.full((1, 1, 1, 3), 4.0)
    dispersion = 0.7
    size, mean = 1 / dispersion, rate * torch.exp(delta)
    truth = -torch.distributions.NegativeBinomial(torch.tensor(size), probs=mean / (mean + size)).log_prob(
        count
    )

    loss = negative_binomial_loss(delta, rate, count, torch.tensor([np.log(dispersion)], dtype=torch.float32))

    # Left out: lgamma(count + 1), and rate - count * log(rate), which the baseline's Poisson value holds too.
    torch.testing.assert_close(loss, truth - torch.lgamma(count + 1) + count * torch.log(rate) - rate)
