"""Likelihoods of counts, written relative to the baseline so that zero means "as good as ETAS"."""

import torch
from jaxtyping import Float
from torch import Tensor

Field = Float[Tensor, "batch horizon lat lon"]


def poisson_loss(delta: Field, rate: Field, count: Field) -> Float[Tensor, "batch horizon lat lon"]:
    """Return the Poisson negative log-likelihood of rate * exp(delta) less that of `rate`, nats per cell.

    The factorial and log(rate) cancel, so a cell with a rate of almost zero does no harm. Its sum over cells and issue
    times, divided by the number of events, is minus the information gain per event of Rhoades et al. (2011, eq. 1).
    """
    return rate * torch.expm1(delta) - count * delta


def negative_binomial_loss(
    delta: Field, rate: Field, count: Field, log_dispersion: Float[Tensor, " horizon"]
) -> Float[Tensor, "batch horizon lat lon"]:
    """Return the negative-binomial negative log-likelihood (up to terms of `count` alone), nats per cell.

    Mean m = rate * exp(delta), variance m + a m^2 with dispersion a = exp(log_dispersion); less the Poisson value of
    `rate`. Heavier tails than Poisson: one aftershock swarm does not pull the mean along.
    """
    size = torch.exp(-log_dispersion)[:, None, None]
    mean = rate * torch.exp(delta)
    log_tail = torch.lgamma(count + size) - torch.lgamma(size) - count * torch.log(size)
    return (count + size) * torch.log1p(mean / size) - count * delta - log_tail - rate
