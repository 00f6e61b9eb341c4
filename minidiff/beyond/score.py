"""The score, grad log q(x_t), and why a network that predicts noise has learned it."""

from __future__ import annotations

from minidiff.diffusion.equation import equation
from minidiff.engine.elementwise import sqrt, sum_per_image


@equation("score.from_eps", "Song et al. 2011.13456 sec. 3; Vincent 2011", errata=5)
def score_from_eps(eps_hat, t, schedule):
    """score = -eps_hat / sqrt(1 - alpha_bar_t)

    eps_hat: (B, ...);  t: int or (B,) in 1..T  ->  grad log q(x_t), (B, ...)"""
    now = schedule.at(t, like=eps_hat)
    score = -eps_hat / sqrt(now.one_minus_alpha_bar)
    return score


@equation("score.conditional", "Vincent 2011 sec. 4.2")
def conditional_score(x_t, x_0, t, schedule):
    """score = -(x_t - sqrt(alpha_bar_t) x_0) / (1 - alpha_bar_t)

    Gradient of log q(x_t | x_0): it needs the image, not the distribution of images.
    x_t, x_0: (B, ...);  t: int or (B,) in 1..T  ->  (B, ...)"""
    now = schedule.at(t, like=x_t)
    noise = x_t - sqrt(now.alpha_bar) * x_0
    score = -noise / now.one_minus_alpha_bar
    return score


@equation("score.explicit_loss", "Hyvarinen 2005 eq. 2")
def explicit_loss(score_hat, score):
    """loss = |score_hat - score|^2, to the score of q(x_t) itself

    both: (B, ...)  ->  (B,). Nobody has that score, but for a mixture."""
    error = score_hat - score
    loss = sum_per_image(error**2)
    return loss


@equation("score.denoising_loss", "Vincent 2011 eq. 11")
def denoising_loss(score_hat, x_t, x_0, t, schedule):
    """loss = |score_hat - grad log q(x_t | x_0)|^2

    Its mean is that of `explicit_loss` and a constant, which no network changes: the
    mean of |grad log q(x_t | x_0)|^2 less that of |grad log q(x_t)|^2.
    score_hat, x_t, x_0: (B, ...);  t: int or (B,) in 1..T  ->  (B,)"""
    error = score_hat - conditional_score(x_t, x_0, t, schedule)
    loss = sum_per_image(error**2)
    return loss
