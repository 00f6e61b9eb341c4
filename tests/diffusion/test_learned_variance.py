"""The learned variance of slide 9, against the formulas of improved DDPM's code, finite differences and quadrature."""

import math
from dataclasses import asdict

import numpy as np
import pytest

from minidiff.classroom.derivations.true_reverse_step import best_prediction, optimal_v
from minidiff.diffusion.ddim import ddim_sample
from minidiff.diffusion.ddpm import ddpm_sample, ddpm_steps
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.gaussian import bits_per_dim
from minidiff.diffusion.guidance import guide_with_classifier, guide_without_classifier
from minidiff.diffusion.learned_variance import L_hybrid, bits_of_random_times
from minidiff.diffusion.losses import draw_training_noise, training_terms
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.diffusion.reverse import learned_variance
from minidiff.diffusion.schedule import make_schedule
from minidiff.diffusion.targets import Prediction, as_eps_theta, v_target
from minidiff.diffusion.vlb import L_0, L_t_minus_1, vlb, vlb_steps
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor, gradients
from minidiff.models import UNet, UNetConfig
from minidiff.optim import Adam

SCHEDULE = make_schedule("linear", 20)


def any_pair(x_t, t):
    return Prediction(0.3 * x_t + 0.1 * np.cos(x_t), 0.5 + 0.4 * np.sin(x_t))


@pytest.fixture
def batch(images):
    """Images at t = 1, 2 and 20, and what a network says of them."""
    x_0, _, eps = images
    t = np.array([1, 2, 20])
    x_t = q_sample(x_0, t, eps, SCHEDULE)
    return x_0, x_t, t, any_pair(x_t, t)


@pytest.mark.checks("learned.bits", "learned.L_hybrid")
def test_the_bound_of_random_times_is_the_mean_of_the_terms_of_each_image(batch):
    x_0, x_t, t, (eps_hat, v) = batch
    nats = [L_0(x_0[:1], x_t[:1], eps_hat[:1], SCHEDULE, learned_variance(v[:1], 1, SCHEDULE))]
    for i in (1, 2):
        at = (x_0[i : i + 1], x_t[i : i + 1], int(t[i]), eps_hat[i : i + 1])
        nats.append(L_t_minus_1(*at, SCHEDULE, learned_variance(v[i : i + 1], int(t[i]), SCHEDULE)))
    bits = bits_of_random_times(x_0, x_t, t, eps_hat, v, SCHEDULE)
    expected = sum(float(n[0]) for n in nats) / 3 / (16 * math.log(2))
    assert bits == pytest.approx(expected, rel=1e-12)
    assert L_hybrid(0.25, bits, 20) == pytest.approx(0.25 + 0.001 * 20 * expected, rel=1e-12)


@pytest.mark.checks("learned.bits")
def test_the_gradient_of_the_bound_reaches_v_alone_and_is_that_of_central_differences(batch):
    x_0, x_t, t, (eps_hat, v) = batch
    eps_tensor, v_tensor = Tensor(eps_hat, requires_grad=True), Tensor(v, requires_grad=True)
    bits = bits_of_random_times(x_0, x_t, t, eps_tensor, v_tensor, SCHEDULE)
    of_eps, of_v = gradients(bits, [eps_tensor, v_tensor])
    assert of_eps is None
    h = 1e-3
    for index in [(0, 0, 0, 0), (0, 0, 2, 3), (1, 0, 1, 1), (2, 0, 3, 0)]:
        step = np.zeros_like(v)
        step[index] = h
        up, down = (bits_of_random_times(x_0, x_t, t, eps_hat, w, SCHEDULE) for w in (v + step, v - step))
        assert of_v[index] == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-12)


def test_white_and_black_pixels_train_v_without_a_nan(images):
    """The outermost bins are open; the derivative of their infinite edge must not be 0 times infinity."""
    x_0 = np.sign(images[0]).astype(np.float32)
    t = np.array([1, 1, 1])
    v = Tensor(np.full(x_0.shape, 0.5, np.float32), requires_grad=True)
    bits = bits_of_random_times(x_0, 0.9 * x_0, t, 0 * x_0, v, SCHEDULE)
    (gradient,) = gradients(bits, [v])
    assert gradient.dtype == np.float32 and np.isfinite(gradient).all() and gradient.any()


@pytest.mark.checks("oracle.v", "oracle.reverse_variance", "learned.bits")
def test_the_bound_has_its_minimum_at_the_variance_of_the_true_reverse_step():
    """Quadrature over q(x_0 | x_t) of the two-mode mixture: the mean of dL/dv is 0 at `optimal_v`, and nowhere near it."""
    mixture, schedule = GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], 0.2), make_schedule("linear", 100)
    z, p = np.polynomial.hermite_e.hermegauss(40)
    for t, x in ((2, 0.7), (10, 0.1), (50, 0.0), (90, -1.0)):
        alpha_bar = schedule.at(t).alpha_bar
        nodes, weights = [], []
        for mean in (-0.8, 0.8):  # q(x_0 | x_t, component) by the product of two Gaussians
            precision = 1 / 0.04 + alpha_bar / (1 - alpha_bar)
            top = (mean / 0.04 + math.sqrt(alpha_bar) * x / (1 - alpha_bar)) / precision
            spread = alpha_bar * 0.04 + 1 - alpha_bar
            evidence = math.exp(-((x - math.sqrt(alpha_bar) * mean) ** 2) / (2 * spread))
            nodes.append(top + z / math.sqrt(precision))
            weights.append(evidence * p)
        x_0, weight = np.concatenate(nodes)[:, None], np.concatenate(weights)
        weight = weight / weight.sum()
        x_t = np.full_like(x_0, x)
        times, eps_hat = np.full(len(x_0), t), mixture.eps_theta(schedule)(x_t, t)
        best = optimal_v(x_t[:1], t, mixture, schedule)
        slopes = {}
        for offset in (0.0, 0.1):
            v = Tensor(np.full_like(x_0, best[0, 0] + offset), requires_grad=True)
            (slope,) = gradients(bits_of_random_times(x_0, x_t, times, eps_hat, v, schedule), [v])
            slopes[offset] = abs((weight * slope[:, 0]).sum()) * len(x_0)
        assert slopes[0.0] < 1e-8 * slopes[0.1]


def test_the_best_learned_variance_beats_both_fixed_ones():
    """Two modes of width 0.05, the exact mean: bits above the entropy, by quadrature over x_0 and eps."""
    schedule, mixture = make_schedule("linear", 100), GaussianMixture([0.5, 0.5], [[-0.8], [0.8]], 0.05)
    (z, p), (noise, q) = (np.polynomial.hermite_e.hermegauss(n) for n in (9, 80))
    x_0 = np.repeat(0.8 + 0.05 * z, 80)[:, None]  # the other mode is its mirror image
    probability = np.outer(p, q).ravel() / (p.sum() * q.sum())

    class Nodes:
        def normal(self, shape, dtype):
            return np.tile(noise, 9)[:, None]

    gap = {}
    for variance in ("beta", "beta_tilde", "learned"):
        bound = vlb(best_prediction(mixture, schedule), x_0, schedule, Nodes(), variance, levels=None)
        gap[variance] = bits_per_dim((probability * (bound + mixture.log_prob(x_0))).sum(), 1)
    assert gap["beta"] == pytest.approx(0.548, abs=0.001)
    assert gap["beta_tilde"] == pytest.approx(0.394, abs=0.001)
    assert gap["learned"] == pytest.approx(0.0108, abs=0.0002)


# ---- the contract -----------------------------------------------------------------------


def test_two_images_are_not_taken_for_a_pair():
    """B = 2: an array of two images unpacks like (eps, v). It is refused, and so are a bare tuple and a v that is missing."""
    for network in (lambda x, t: 0.5 * x, lambda x, t: Prediction(0.5 * x)):
        with pytest.raises(TypeError, match=r"variance 'learned' wants a network that returns Prediction\(eps, v\), got"):
            ddpm_sample(network, (2, 3), SCHEDULE, RNG(0), variance="learned")
    with pytest.raises(TypeError, match=r"must return an array or a Prediction\(eps, v\), got a tuple"):
        ddpm_sample(lambda x, t: (0.5 * x, x), (2, 3), SCHEDULE, RNG(0), variance="learned")
    with pytest.raises(TypeError, match="got ndarray"):
        vlb(lambda x, t: 0.5 * x, np.zeros((2, 3)), SCHEDULE, RNG(0), "learned")
    with pytest.raises(ValueError, match="must return the shape of x_t"):
        ddpm_sample(lambda x, t: Prediction(0.5 * x, x[:, :1]), (2, 3), SCHEDULE, RNG(0), variance="learned")


def test_a_fixed_variance_and_ddim_leave_v_out():
    x_T = RNG(3).normal((2, 3), dtype=np.float64)
    for sample, options in ((ddpm_sample, {"variance": "beta"}), (ddim_sample, {"eta": 1.0})):
        pair, alone = (
            sample(network, x_T, SCHEDULE, RNG(0), **options)
            for network in (any_pair, lambda x, t: any_pair(x, t).eps)
        )
        np.testing.assert_array_equal(pair, alone)


def test_guidance_mixes_the_noises_and_keeps_the_variance_of_the_condition():
    x, t = RNG(0).normal((2, 3), dtype=np.float64), np.array([3, 3])

    def network(x_t, t, y):
        return Prediction((1 + y) * x_t, 0.1 * y + 0 * x_t)

    for s in (3.0, 0.0):
        guided = guide_without_classifier(network, 2, 0, s=s)(x, t)
        np.testing.assert_allclose(guided.eps, x + s * (3 * x - x), rtol=1e-12)
        np.testing.assert_allclose(guided.v, 0.2)
    shifted = guide_with_classifier(any_pair, lambda x_t, t: 0 * x_t + 1, SCHEDULE, 2.0)(x, t)
    expected = any_pair(x, t).eps - 2 * math.sqrt(SCHEDULE.at(3).one_minus_alpha_bar)
    np.testing.assert_allclose(shifted.eps, expected, rtol=1e-12)
    np.testing.assert_array_equal(shifted.v, any_pair(x, t).v)


@pytest.mark.parametrize("prediction", ["eps", "x_0", "mu_tilde", "v"])
def test_every_target_can_have_a_learned_variance(images, prediction):
    """The same network in four dresses gives one and the same step of Algorithm 2."""
    x_T = images[2]

    def dressed(x_t, t):
        eps, v = any_pair(x_t, t)
        now = {name: table[t[0]] for name, table in SCHEDULE.tables.items()}
        x_0 = (x_t - math.sqrt(now["one_minus_alpha_bar"]) * eps) / math.sqrt(now["alpha_bar"])
        mu = (x_t - now["beta"] / math.sqrt(now["one_minus_alpha_bar"]) * eps) / math.sqrt(now["alpha"])
        said = {"eps": eps, "x_0": x_0, "mu_tilde": mu, "v": v_target(x_0, int(t[0]), eps, SCHEDULE)}
        return Prediction(said[prediction], v)

    expected = next(ddpm_steps(any_pair, x_T, SCHEDULE, RNG(0), variance="learned"))
    eps_theta = as_eps_theta(dressed, prediction, SCHEDULE)
    step = next(ddpm_steps(eps_theta, x_T, SCHEDULE, RNG(0), variance="learned"))
    np.testing.assert_allclose(step.sigma_t, expected.sigma_t, rtol=1e-12)
    np.testing.assert_allclose(step.x_prev, expected.x_prev, rtol=1e-10, atol=1e-12)


# ---- a trained network ------------------------------------------------------------------


def in_float64(model, said):
    """The model's answers as float64, kept by t, so that two ways of asking get the same numbers."""

    def eps_theta(x_t, t):
        if int(t[0]) not in said:
            eps, v = model(Tensor(np.float32(x_t)), t)
            said[int(t[0])] = Prediction(np.float64(eps.data), np.float64(v.data))
        return said[int(t[0])]

    return eps_theta


@pytest.fixture(scope="module")
def trained():
    """A small U-Net with two outputs, 40 steps of L_hybrid on three kinds of pixels, and the losses."""
    rng = RNG(0)
    config = UNetConfig(1, 8, (1, 2), (False, False), learned_variance=True, zero_init=True)
    model = UNet(config, rng)
    optimizer = Adam(model.named_parameters(), lr=1e-2)
    x_0 = (np.round(rng.uniform((16, 1, 4, 4)) * 2) / 1 - 1).astype(np.float32)
    losses = []
    for _ in range(40):
        t, eps = draw_training_noise(x_0, SCHEDULE, rng)
        step = training_terms(model, x_0, t, eps, SCHEDULE)
        step.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(step.loss.data))
    return model, x_0, losses


def guided_diffusion(x_0, noises, betas, network, clip):
    """The bound as guided-diffusion computes it, term by term from T - 1 to 0 in its own variables, bits per dimension.

    Written anew from the formulas: log-variances, coefficients of x_start, a network's output in -1..1. Its
    decoder takes a tanh for the normal distribution function, this one math.erf.
    """
    alphas_cumprod = np.cumprod(1 - betas)
    before = np.append(1.0, alphas_cumprod[:-1])
    posterior_variance = betas * (1 - before) / (1 - alphas_cumprod)
    min_log = np.log(np.append(posterior_variance[1], posterior_variance[1:]))
    coefficient_1 = betas * np.sqrt(before) / (1 - alphas_cumprod)
    coefficient_2 = (1 - before) * np.sqrt(1 - betas) / (1 - alphas_cumprod)

    def normal_kl(mean1, logvar1, mean2, logvar2):
        return 0.5 * (-1 + logvar2 - logvar1 + np.exp(logvar1 - logvar2) + (mean1 - mean2) ** 2 * np.exp(-logvar2))

    cdf = np.vectorize(lambda x: 0.5 * (1 + math.erf(x / math.sqrt(2))))
    terms = []
    for t in range(len(betas) - 1, -1, -1):
        noise = noises[len(betas) - 1 - t]
        x_t = np.sqrt(alphas_cumprod[t]) * x_0 + np.sqrt(1 - alphas_cumprod[t]) * noise
        eps, v = network[t + 1]
        values = 2 * v - 1  # what the network gave out
        fraction = (values + 1) / 2
        log_variance = fraction * np.log(betas[t]) + (1 - fraction) * min_log[t]
        x_start = np.sqrt(1 / alphas_cumprod[t]) * x_t - np.sqrt(1 / alphas_cumprod[t] - 1) * eps
        x_start = x_start.clip(-1, 1) if clip else x_start
        mean = coefficient_1[t] * x_start + coefficient_2[t] * x_t
        true_mean = coefficient_1[t] * x_0 + coefficient_2[t] * x_t
        if t > 0:
            loss = normal_kl(true_mean, min_log[t], mean, log_variance)
        else:
            centered, inv_stdv = x_0 - mean, np.exp(-0.5 * log_variance)
            plus, minus = cdf(inv_stdv * (centered + 1 / 255)), cdf(inv_stdv * (centered - 1 / 255))
            inner = np.where(x_0 > 0.999, 1 - minus, plus - minus)
            loss = -np.log(np.where(x_0 < -0.999, plus, inner).clip(1e-12))
        terms.append(loss.mean() / math.log(2))
    prior = normal_kl(np.sqrt(alphas_cumprod[-1]) * x_0, np.log(1 - alphas_cumprod[-1]), 0.0, 0.0)
    return [prior.mean() / math.log(2), *terms]


@pytest.mark.checks("learned.bits", "reverse.learned_variance", "vlb.total")
@pytest.mark.parametrize("clip", [None, 1.0])
def test_the_bound_of_a_trained_network_is_that_of_guided_diffusion(trained, clip):
    """Bar: 1e-9, for every term."""
    model, x_0, losses = trained
    assert np.mean(losses[-5:]) < 0.8 * losses[0]
    x_0, said = np.float64(x_0), {}
    options = {"variance": "learned", "clip": clip}
    steps = list(vlb_steps(in_float64(model, said), x_0, SCHEDULE, RNG(5), **options))
    assert max(np.abs(pair.v - 0.5).max() for pair in said.values()) > 0.01  # it has learned something
    theirs = guided_diffusion(x_0, [s.eps for s in steps[1:]], SCHEDULE.tables["beta"][1:], said, clip)
    np.testing.assert_allclose([s.bits for s in steps], theirs, rtol=1e-9, atol=1e-12)
    assert sum(s.bits for s in steps) == pytest.approx(sum(theirs), rel=1e-9)


def test_a_trained_network_samples_with_its_variance(trained):
    model, _, _ = trained

    def eps_theta(x_t, t):
        eps, v = model(Tensor(x_t), t)
        return Prediction(eps, v)

    steps = list(ddpm_steps(eps_theta, (4, 1, 4, 4), SCHEDULE, RNG(0), variance="learned", clip=1.0))
    assert steps[0].sigma_t.shape == (4, 1, 4, 4) and steps[0].sigma_t.dtype == np.float32
    low, high = (math.sqrt(SCHEDULE.tables[name][10]) for name in ("beta_tilde", "beta"))
    assert low * 0.8 < steps[10].sigma_t.mean() < high * 1.2
    assert np.isfinite(steps[-1].x_prev).all()


def test_the_option_of_the_network_is_in_its_config():
    model = UNet(UNetConfig(1, 8, (1,), (False,), learned_variance=True))
    again = UNet(UNetConfig(**asdict(model.config)))
    assert again.config.learned_variance and again.final.weight.shape[0] == 2
    older = {name: value for name, value in asdict(UNetConfig()).items() if name != "learned_variance"}
    assert UNetConfig(**older) == UNetConfig()  # a checkpoint from before the option
    x = Tensor(np.zeros((2, 1, 4, 4), np.float32))
    assert isinstance(again(x, np.array([1, 2])), Prediction)
    assert again(x, np.array([1, 2])).v.shape == (2, 1, 4, 4)
