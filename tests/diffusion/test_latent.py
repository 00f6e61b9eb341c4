import math

import numpy as np
import pytest

from minidiff.diffusion import latent
from minidiff.diffusion.forward import q_sample
from minidiff.diffusion.gaussian import kl_gaussians
from minidiff.diffusion.losses import L_simple, training_terms
from minidiff.engine.tensor import Tensor
from minidiff.nn.attention import MultiHeadAttention


@pytest.fixture
def codes(rng):
    return rng.normal((20, 3), dtype=np.float64), rng.normal((7, 3), dtype=np.float64)


@pytest.mark.checks("vq.nearest")
def test_nearest_code_by_looking_at_all_of_them(codes):
    z_e, codebook = codes
    expected = [min(range(7), key=lambda j, z=z: math.dist(z, codebook[j])) for z in z_e]
    np.testing.assert_array_equal(latent.nearest_code(z_e, codebook), expected)
    np.testing.assert_array_equal(latent.nearest_code(Tensor(z_e), Tensor(codebook)), expected)
    with pytest.raises(ValueError, match=r"z_e and codebook must agree in their last size D, got \(20, 3\) and \(7, 4\)"):
        latent.nearest_code(z_e, np.zeros((7, 4)))


@pytest.mark.checks("vq.straight_through")
def test_straight_through_gives_the_code_forward_and_the_identity_backward(codes):
    z_e, codebook = codes
    encoder, e = Tensor(z_e, requires_grad=True), codebook[latent.nearest_code(z_e, codebook)]
    code = Tensor(e, requires_grad=True)
    z_q = latent.straight_through(encoder, code)
    np.testing.assert_allclose(z_q.data, e, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(latent.straight_through(z_e, e), e, rtol=1e-12, atol=1e-15)
    weight = np.arange(60.0).reshape(20, 3)
    (z_q * Tensor(weight)).sum().backward()
    np.testing.assert_array_equal(encoder.grad, weight)
    assert code.grad is None


@pytest.mark.checks("vq.codebook_loss", "vq.commitment_loss", "vq.loss")
def test_vq_losses_have_one_value_and_two_gradients(codes):
    """Both are the same distance; the gradient goes to the codes in one and to the encoder in the other."""
    z_e, codebook = codes
    e = codebook[latent.nearest_code(z_e, codebook)]
    distance = sum((a - b) ** 2 for a, b in zip(z_e.ravel().tolist(), e.ravel().tolist(), strict=True)) / 60
    assert latent.codebook_loss(z_e, e) == pytest.approx(distance, rel=1e-12)
    assert latent.commitment_loss(z_e, e) == pytest.approx(0.25 * distance, rel=1e-12)
    parts = L_simple(z_e, 0.9 * z_e), latent.codebook_loss(z_e, e), latent.commitment_loss(z_e, e, beta=2.0)
    assert latent.vq_loss(*parts) == pytest.approx(0.01 * (z_e**2).mean() + 3 * distance, rel=1e-12)
    encoder, code = Tensor(z_e, requires_grad=True), Tensor(e, requires_grad=True)
    latent.codebook_loss(encoder, code).backward()
    assert encoder.grad is None
    np.testing.assert_allclose(code.grad, 2 * (e - z_e) / 60, rtol=1e-12)
    code.grad = None
    latent.commitment_loss(encoder, code).backward()
    assert code.grad is None
    np.testing.assert_allclose(encoder.grad, 0.25 * 2 * (z_e - e) / 60, rtol=1e-12)


@pytest.mark.checks("vq.ema")
def test_ema_codes_move_to_the_mean_of_what_chose_them(codes):
    z_e, codebook = codes
    k = latent.nearest_code(z_e, codebook)
    N, m = np.full(7, 2.0), 2 * codebook
    new_N, new_m, new_codebook = latent.ema_codebook(N, m, z_e, k, gamma=0.9)
    for i in range(7):
        chosen = [z_e[j] for j in range(20) if k[j] == i]
        count = 0.9 * 2 + 0.1 * len(chosen)
        total = 0.9 * 2 * codebook[i] + 0.1 * sum(chosen, np.zeros(3))
        assert new_N[i] == pytest.approx(count, rel=1e-12)
        np.testing.assert_allclose(new_m[i], total, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(new_codebook[i], total / count, rtol=1e-12, atol=1e-12)
    for _ in range(3000):
        N, m, codebook = latent.ema_codebook(N, m, z_e, k, gamma=0.99)
    for i in set(k.tolist()):
        np.testing.assert_allclose(codebook[i], z_e[k == i].mean(axis=0), rtol=1e-9)


@pytest.mark.checks("vq.perplexity")
def test_perplexity_counts_the_codes_in_use():
    assert latent.perplexity(np.zeros(50, int), 8) == 1
    assert latent.perplexity(np.arange(64) % 8, 8) == pytest.approx(8, rel=1e-12)
    assert latent.perplexity(np.array([0, 0, 0, 1]), 8) == pytest.approx(4 / 27**0.25, rel=1e-12)


def test_perplexity_does_not_wait_for_the_gpu(cuda):
    k = cuda[0].asarray(np.array([0, 0, 3, 1]))
    before = dict(cuda[1].transfers)
    effective = latent.perplexity(k, 8)
    assert cuda[1].transfers == before
    assert float(effective) == pytest.approx(latent.perplexity(np.array([0, 0, 3, 1]), 8), rel=1e-12)


@pytest.mark.checks("vae.kl")
def test_kl_of_the_autoencoder_is_the_kl_of_gaussians(rng):
    mu, log_variance = rng.normal((3, 2, 2), dtype=np.float64), rng.normal((3, 2, 2), dtype=np.float64)
    expected = kl_gaussians(mu, np.exp(log_variance), 0.0, 1.0).reshape(3, -1).sum(axis=1)
    np.testing.assert_allclose(latent.kl_to_standard_normal(mu, log_variance), expected, rtol=1e-12)
    mean = Tensor(mu, requires_grad=True)
    latent.kl_to_standard_normal(mean, Tensor(log_variance)).sum().backward()
    np.testing.assert_allclose(mean.grad, mu, rtol=1e-12)


@pytest.mark.checks("ldm.scale")
def test_scaled_latents_have_unit_variance(rng):
    z = 5.49 * rng.normal((4, 2, 3, 3), dtype=np.float64) + 1
    assert np.var(z * latent.latent_scale(z)) == pytest.approx(1, rel=1e-12)


@pytest.mark.checks("ldm.projections")
def test_projections_apply_the_slide_s_matrices_to_every_token(rng):
    phi, tau = rng.normal((2, 4, 5), dtype=np.float64), rng.normal((2, 3, 6), dtype=np.float64)
    attention = MultiHeadAttention(5, 1, bias=False, kdim=6, vdim=6, rng=rng)
    weights = attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight
    for weight in weights:
        weight.data = weight.data.astype(np.float64)
    W_Q, W_K, W_V = (weight.data for weight in weights)
    Q, K, V = (tokens.data[:, 0] for tokens in attention.projections(Tensor(phi), Tensor(tau), Tensor(tau)))
    np.testing.assert_allclose(Q[1, 3], W_Q @ phi[1, 3], rtol=1e-12)
    np.testing.assert_allclose(K[0, 2], W_K @ tau[0, 2], rtol=1e-12)
    np.testing.assert_allclose(V[1, 0], W_V @ tau[1, 0], rtol=1e-12)


@pytest.mark.checks("ldm.loss")
def test_L_LDM_is_the_squared_error_at_z_t_with_the_condition(linear, images):
    z_0, t, eps = images
    condition = np.array([0.1, 0.2, 0.3])[:, None, None, None]
    z_t = q_sample(z_0, t, eps, linear)
    loss = training_terms(
        lambda z, t, tau: z * tau + t[:, None, None, None] / 1000, z_0, t, eps, linear, tau=condition
    ).loss
    expected = ((eps - (z_t * condition + t[:, None, None, None] / 1000)) ** 2).mean()
    assert loss == pytest.approx(expected, rel=1e-12)


@pytest.mark.checks("ldm.sample")
def test_decoding_undoes_the_scale(rng):
    z = 3 * rng.normal((2, 4), dtype=np.float64)
    scale = latent.latent_scale(z)
    np.testing.assert_allclose(latent.decode_latent(z * scale, scale, lambda latents: 2 * latents), 2 * z, rtol=1e-12)
