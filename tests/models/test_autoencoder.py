"""Both autoencoders: shapes, terms, and which part of the network feels which loss."""

from dataclasses import asdict

import numpy as np
import pytest
from support.gradients import directional_errors

import minidiff as md
from minidiff import optim
from minidiff.diffusion.gaussian import kl_gaussians
from minidiff.diffusion.latent import codebook_loss, commitment_loss, vq_loss
from minidiff.engine.backend import to_cpu
from minidiff.models.autoencoder import AUTOENCODERS, Autoencoder, KLAutoencoder, VQAutoencoder
from minidiff.models.autoencoder_blocks import Decoder, Encoder, ResidualConv

BOTH = pytest.mark.parametrize("make", [VQAutoencoder, KLAutoencoder])


def small(make, **settings):
    codes = {"n_codes": 5} if make is VQAutoencoder else {}
    return make(make.Config(**{"n_channels": 8, "z_channels": 2, **codes, **settings}), md.RNG(0))


def images(*shape, dtype=np.float32):
    return md.RNG(1).uniform(shape, dtype) * 2 - 1


def noise(*shape, dtype=np.float32):
    return md.RNG(2).normal(shape, dtype)


def terms_of(model, batch=3):
    return model.terms(md.Tensor(images(batch, 1, 8, 12)), noise(batch, 2, 2, 3))


# -- blocks ------------------------------------------------------------------------------------------------------------------------------


def in_float64(network):
    """Its parameters, a bit away from where they begin, and a function that puts Tensors in their place."""
    modules, parameters = dict(network.named_modules()), dict(network.named_parameters())
    values = [p.data.astype(np.float64) + 0.1 * md.RNG(7).normal(p.shape, dtype=np.float64) for p in parameters.values()]

    def put(tensors):
        for name, tensor in zip(parameters, tensors, strict=True):
            path, _, attribute = name.rpartition(".")
            setattr(modules[path], attribute, tensor)

    return values, put


@pytest.mark.parametrize(
    "network, shape",
    [(ResidualConv(4, md.RNG(0)), (2, 4, 3, 3)), (Encoder(1, 8, 2, md.RNG(0)), (1, 1, 8, 8)), (Decoder(1, 8, 2, md.RNG(0)), (1, 2, 2, 2))],
    ids=["ResidualConv", "Encoder", "Decoder"],
)
def test_gradients_of_the_networks(network, shape):
    """In float64, with respect to the input and to each parameter."""
    values, put = in_float64(network)

    def forward(tensors):
        put(tensors[1:])
        return network.forward(tensors[0])

    errors = directional_errors(forward, [noise(*shape, dtype=np.float64), *values], md.RNG(5), step=2e-4)
    assert len(errors) == 1 + len(values) and max(errors) <= 1e-7


def test_gradient_of_the_whole_loss_of_the_kl_autoencoder():
    """The VQ autoencoder's can't be checked so: its gradient is, by design, not the derivative of its loss."""
    model = small(KLAutoencoder, kl_weight=0.5)
    values, put = in_float64(model)
    names = [name for name, _ in model.named_parameters()]
    x, eps = images(1, 1, 8, 8, dtype=np.float64), noise(1, 2, 2, 2, dtype=np.float64)
    some = {name: values[names.index(name)] for name in ("encoder.down1.weight", "encoder.conv_out.weight", "decoder.conv_in.weight")}

    def loss(tensors):
        changed = dict(zip(some, tensors, strict=True))
        put([changed.get(name, md.Tensor(value)) for name, value in zip(names, values, strict=True)])
        return 100 * model.terms(md.Tensor(x), eps).loss

    assert max(directional_errors(loss, list(some.values()), md.RNG(5), step=2e-4)) <= 1e-7


def test_a_residual_block_begins_as_x_plus_something():
    block = ResidualConv(4, md.RNG(0))
    x = noise(2, 4, 3, 3)
    assert np.abs(block(x).data - x).max() > 1e-3
    block.conv2.load_state_dict({name: 0 * array for name, array in block.conv2.state_dict().items()})
    np.testing.assert_array_equal(block(x).data, x)


# -- one interface -----------------------------------------------------------------------------------------------------------------------


@BOTH
def test_28x28_becomes_7x7_and_28x28_again(make):
    model = make(rng=md.RNG(0))
    z = model.encode(images(1, 1, 28, 28))
    assert z.shape == (1, 4, 7, 7) == (1, *model.latent_shape(28, 28))
    assert model.decode(z).shape == model(images(1, 1, 28, 28)).shape == (1, 1, 28, 28)
    colour = small(make, image_channels=3)
    assert colour.encode(images(2, 3, 8, 12)).shape == (2, *colour.latent_shape(8, 12)) == (2, 2, 2, 3)
    assert colour(images(2, 3, 8, 12)).shape == (2, 3, 8, 12)


@BOTH
def test_config_makes_the_same_network_again(make):
    changed = {"beta": 0.5, "ema": True} if make is VQAutoencoder else {"kl_weight": 0.1}
    model = small(make, **changed)
    again = AUTOENCODERS[model.regularizer](make.Config(**asdict(model.config)), md.RNG(9))
    assert type(again) is make and again.config == model.config and changed.items() <= asdict(model.config).items()
    again.load_state_dict(model.state_dict())
    for name, value in terms_of(model):
        np.testing.assert_array_equal(*(to_cpu(getattr(v, "data", v)) for v in (value, terms_of(again)[name])), err_msg=name)


@BOTH
def test_one_seed_gives_one_network_and_each_image_is_by_itself(make):
    model, x = small(make), images(3, 1, 8, 8)
    for a, b in zip(model.parameters(), small(make).parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    np.testing.assert_allclose(model(x[1:2]).data[0], model(x).data[1], atol=1e-5)


@pytest.mark.parametrize("make, settings", [(VQAutoencoder, {}), (VQAutoencoder, {"ema": True}), (KLAutoencoder, {})])
def test_a_training_step_stays_on_its_device(strict, make, settings):
    """In a library that refuses to mix with NumPy: the same numbers, and the host reads nothing but the range of the codes' indices."""
    results, reads = {}, {"cpu": 0, "strict": 4 if make is VQAutoencoder else 0}
    for device in ("cpu", "strict"):
        model = small(make, **settings).to(device)
        optimizer = optim.AdamW(model.named_parameters(), lr=1e-2, eps=1e-2)
        x = md.Tensor(images(2, 1, 8, 8), device=device)
        eps = md.Tensor(noise(2, 2, 2, 2), device=device).data
        for _ in range(2):
            strict.ndarray.host_reads = 0
            model.zero_grad()
            model.terms(x, eps).loss.backward()
            optimizer.step()
            with md.no_grad():
                x_hat = model(x)
            assert strict.ndarray.host_reads == reads[device] and x_hat.device == device
        results[device] = [to_cpu(a) for a in model.state_dict().values()]
    for ours, theirs in zip(results["cpu"], results["strict"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


# -- quantised ---------------------------------------------------------------------------------------------------------------------------


def test_terms_of_the_vq_autoencoder_are_the_equation():
    model = small(VQAutoencoder, beta=0.5)
    step = terms_of(model)
    assert step.names == ("x", "z_e", "k", "e", "x_hat", "reconstruction", "commitment", "codebook", "loss")
    x, x_hat, z_e, e = (step[name].data.astype(np.float64) for name in ("x", "x_hat", "z_e", "e"))
    np.testing.assert_array_equal(e, model.quantizer.codebook.data[step.k])
    np.testing.assert_allclose(x_hat, model(step.x).data, atol=1e-6)
    np.testing.assert_allclose(step.reconstruction.item(), ((x - x_hat) ** 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(step.codebook.item(), ((z_e - e) ** 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(step.commitment.item(), 0.5 * ((z_e - e) ** 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(step.loss.item(), vq_loss(((x - x_hat) ** 2).mean(), codebook_loss(z_e, e), commitment_loss(z_e, e, 0.5)), rtol=1e-5)


def test_with_running_means_there_is_no_codebook_loss():
    step = terms_of(small(VQAutoencoder, ema=True))
    assert "codebook" not in step.names
    np.testing.assert_allclose(step.loss.item(), step.reconstruction.item() + step.commitment.item(), rtol=1e-6)


def test_the_encoder_gets_the_gradient_that_the_decoder_passes_down():
    """Straight through, in the whole network: equal to the bit."""
    model, x = small(VQAutoencoder), md.Tensor(images(2, 1, 8, 8))
    z_e = model.encode(x).retain_grad()
    z_q = model.quantizer(z_e).z_q.retain_grad()
    ((model.decoder(z_q) - x) ** 2).mean().backward()
    assert np.abs(z_q.grad).max() > 0
    np.testing.assert_array_equal(z_e.grad, z_q.grad)
    assert model.quantizer.codebook.grad is None


@pytest.mark.parametrize("ema", [False, True])
def test_each_loss_reaches_only_what_it_should(ema):
    model = small(VQAutoencoder, ema=ema)
    reached = {"reconstruction": {"encoder", "decoder"}, "commitment": {"encoder"}}
    if not ema:
        reached["codebook"] = {"quantizer"}
    reached["loss"] = set().union(*reached.values())
    for term, expected in reached.items():
        model.zero_grad()
        terms_of(model)[term].backward()
        with_gradient = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        wanted = {name for name, _ in model.named_parameters() if name.partition(".")[0] in expected}
        assert with_gradient == wanted, term


def test_the_vq_layer_belongs_to_the_decoder():
    """Diffusion works on z_e; a latent that is a little off is decoded as its code is."""
    model, z = small(VQAutoencoder), noise(1, 2, 2, 2)
    quantized = model.quantizer(md.Tensor(z)).z_q.data
    assert np.abs(z - quantized).max() > 0.1
    np.testing.assert_allclose(model.decode(md.Tensor(z)).data, model.decoder(md.Tensor(quantized)).data, atol=1e-5)


# -- KL-regularised ----------------------------------------------------------------------------------------------------------------------


def test_terms_of_the_kl_autoencoder_are_the_equation():
    model = small(KLAutoencoder, kl_weight=0.3)
    step = terms_of(model)
    assert step.names == ("x", "mu", "log_variance", "z", "x_hat", "reconstruction", "kl", "loss")
    x, mu, log_variance, z, x_hat = (step[name].data.astype(np.float64) for name in step.names[:5])
    np.testing.assert_allclose(z, mu + np.exp(log_variance / 2) * noise(3, 2, 2, 3), atol=1e-5)
    np.testing.assert_allclose(x_hat, model.decode(step.z).data, atol=1e-6)
    kl = kl_gaussians(mu, np.exp(log_variance), 0.0, 1.0).reshape(3, -1).sum(axis=1).mean()
    np.testing.assert_allclose(step.kl.item(), kl, rtol=1e-4)
    np.testing.assert_allclose(step.loss.item(), ((x - x_hat) ** 2).mean() + 0.3 * kl / 96, rtol=1e-5)  # 96 pixels
    np.testing.assert_array_equal(model.encode(step.x).data, step.mu.data)


def test_the_variance_stays_finite_after_a_wild_step():
    model = small(KLAutoencoder)
    model.encoder.conv_out.bias.assign(np.float32([0, 0, 1e4, -1e4]))
    step = terms_of(model)
    assert step.log_variance.data.max() == 20 and step.log_variance.data.min() == -30
    assert np.isfinite(step.loss.item())


def test_every_parameter_of_the_kl_autoencoder_gets_a_gradient():
    model = small(KLAutoencoder)
    terms_of(model).loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


# -- what is refused ---------------------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "shape, message",
    [
        ((1, 1, 27, 28), "height and width must be multiples of 4, got 27x28"),
        ((1, 1, 8, 6), "height and width must be multiples of 4, got 8x6"),
        ((2, 3, 8, 8), r"x must be \(B, 1, H, W\), got shape \(2, 3, 8, 8\)"),
        ((1, 8, 8), r"x must be \(B, 1, H, W\), got shape \(1, 8, 8\)"),
    ],
)
def test_images_that_do_not_fit(make, shape, message):
    model = small(make)
    for use in (model.encode, model, lambda x: model.terms(x, noise(1))):
        with pytest.raises(ValueError, match=f"{make.__name__}: {message}"):
            use(md.Tensor(images(*shape)))


@BOTH
@pytest.mark.parametrize(
    "settings, message",
    [
        ({"n_channels": 10}, "n_channels must be a multiple of 4 and at least 8, got 10"),
        ({"n_channels": 4}, "n_channels must be a multiple of 4 and at least 8, got 4"),
        ({"n_channels": 8.0}, "n_channels must be a multiple of 4 and at least 8, got 8.0"),
        ({"image_channels": 0}, "image_channels must be an int >= 1, got 0"),
        ({"z_channels": 1.5}, "z_channels must be an int >= 1, got 1.5"),
    ],
)
def test_impossible_settings(make, settings, message):
    with pytest.raises(ValueError, match=f"Autoencoder: {message}"):
        small(make, **settings)


def test_the_interface_names_what_a_subclass_lacks():
    for call in (lambda a: a.encode(None), lambda a: a.decode(None), lambda a: a.terms(None, None)):
        with pytest.raises(TypeError, match=r"Autoencoder has no (en|de)code\(\)|Autoencoder has no terms\(\)"):
            call(Autoencoder())
