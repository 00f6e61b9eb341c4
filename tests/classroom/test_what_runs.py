"""What is shown is what runs: every equation fires in a sampler, a training loop or an evaluation, or is a derivation step.

Each program below runs for a step or two, on a tiny network, while `sys.setprofile` notes which functions are called.
The operations run as their definitions: kernels are another form of the same.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from minidiff import use_kernels
from minidiff.beyond import (
    any_schedule,
    consistency_steps,
    exact_consistency,
    guide_in_interval,
    likelihood_steps,
    repaint_steps,
    straight_schedule,
    zero_terminal,
)
from minidiff.beyond.flow_ode import drift_divergence
from minidiff.beyond.score import score_from_eps
from minidiff.classroom.index import all_equations
from minidiff.classroom.tables.after_the_deck import EVERYTHING
from minidiff.classroom.tables.derivations import DERIVATIONS
from minidiff.data import Captions, Loader, make_digits
from minidiff.data.points import swiss_roll
from minidiff.diffusion.ddim import ddim_sample, ddim_steps
from minidiff.diffusion.ddpm import ddpm_steps
from minidiff.diffusion.forward import forward_steps
from minidiff.diffusion.guidance import guide_with_classifier, guide_without_classifier, shift_mean
from minidiff.diffusion.inversion import ddim_invert, slerp
from minidiff.diffusion.oracle import GaussianMixture, classifier_gradient
from minidiff.diffusion.schedule import make_schedule
from minidiff.diffusion.targets import as_eps_theta
from minidiff.engine.random import RNG
from minidiff.evaluation.metrics import bits_per_dimension
from minidiff.models import (
    KLAutoencoder,
    KLConfig,
    PointDenoiser,
    PointDenoiserConfig,
    TextUNet,
    TextUNetConfig,
    UNet,
    UNetConfig,
    VQAutoencoder,
    VQConfig,
)
from minidiff.optim import AdamW
from minidiff.sampling.latents import TrainedAutoencoder, scale_of
from minidiff.sampling.solvers import SamplerSettings, sampler_steps
from minidiff.training.autoencoder_trainer import AutoencoderTrainer
from minidiff.training.text_condition import with_captions
from minidiff.training.trainer import Trainer, TrainerSettings
from minidiff.training.workers import Workers

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DIGITS = make_digits(60, seed=0)
MIXTURE = GaussianMixture([0.5, 0.5], [[-0.8, 0.1], [0.8, 0.2]], 0.2)
SCHEDULE = make_schedule("linear", 4)
ORACLE = MIXTURE.eps_theta(SCHEDULE)


def sample(steps):
    """The generator to its end: T = 4."""
    for _ in steps:
        pass


def gradient(x_t, t):
    return classifier_gradient(x_t, t, 1, MIXTURE, SCHEDULE)


def conditional(x_t, t, y):
    return 0.5 * x_t + 0.1 * y


def ddpm(**options):
    return lambda: sample(ddpm_steps(ORACLE, (2, 2), SCHEDULE, RNG(0), **options))


def ddim(**options):
    return lambda: sample(ddim_steps(ORACLE, (2, 2), SCHEDULE, RNG(0), **options))


def predicting(prediction):
    return lambda: sample(ddim_steps(as_eps_theta(lambda x, t: 0.5 * x, prediction, SCHEDULE), (2, 2), SCHEDULE, RNG(0)))


def between_two_noises():
    x_T = slerp(RNG(0).normal((2, 2)), RNG(1).normal((2, 2)), 0.5)
    ddim_sample(ORACLE, x_T, SCHEDULE)


def latent_sample():
    """LDM sampling with the first phase's autoencoder, untrained."""
    model = VQAutoencoder(VQConfig(n_channels=8), RNG(0))
    z = ddim_sample(lambda z, t: 0.5 * z, (1, 4, 7, 7), SCHEDULE, RNG(0))
    TrainedAutoencoder(model, scale_of(z), {}).decode(z)


def likelihood():
    """Of points of the mixture."""

    def score(x, t):
        return score_from_eps(ORACLE(x, max(t, 1)), max(t, 1), SCHEDULE)

    sample(likelihood_steps(score, lambda x, t: drift_divergence(x, t, MIXTURE, SCHEDULE), np.ones((2, 2)), SCHEDULE))


def by_name(sampler, prediction="eps", schedule=SCHEDULE, **settings):
    """sample_mnist.py --sampler"""
    settings = SamplerSettings(sampler, steps=4, **settings)
    return lambda: sample(sampler_steps(lambda x, t: 0.5 * x, prediction, schedule, (2, 2), RNG(0), settings))


def consistency():
    f = exact_consistency(GaussianMixture([1.0], [[0.5]], 0.3), SCHEDULE)
    sample(consistency_steps(f, (2, 1), SCHEDULE, RNG(0), steps=2))


def repaint():
    sample(repaint_steps(ORACLE, (2, 2), np.zeros(2, np.float32), np.ones(2, np.float32), SCHEDULE, RNG(0)))


SAMPLERS = {
    "consistency": consistency, "inpainting": repaint,
    "forward": lambda: sample(forward_steps(np.zeros((2, 2)), SCHEDULE, RNG(0))),
    "DDPM": ddpm(clip=1.0),
    "DDPM with beta": ddpm(variance="beta"),
    "DDPM with a classifier": ddpm(guide=shift_mean(gradient)),
    "DDPM with a learned variance": lambda: sample(ddpm_steps(learned, (2, 2), SCHEDULE, RNG(0), variance="learned")),
    "DDIM": ddim(steps=3, eta=0.5),
    "DDIM with sigma_hat": ddim(eta="sigma_hat"),
    "DDIM there and back": lambda: ddim_invert(ORACLE, np.ones((2, 2)), SCHEDULE),
    "DDIM between two noises": between_two_noises,
    "DDIM with a classifier": lambda: sample(
        ddim_steps(guide_with_classifier(ORACLE, gradient, SCHEDULE), (2, 2), SCHEDULE, RNG(0))
    ),
    **{f"classifier-free, {name}": lambda name=name: sample(
        ddim_steps(guide_without_classifier(conditional, 1, 0, **{name: 2.0}), (2, 2), SCHEDULE, RNG(0))
    ) for name in "sw"},
    **{f"DDIM, a network that predicts {what}": predicting(what) for what in ("x_0", "mu_tilde", "v")},
    "LDM": latent_sample,
    "the likelihood by the ODE": likelihood,
    "guidance in an interval": lambda: sample(ddim_steps(guide_in_interval(conditional, 1, 0, 3.0, 1, 2), (2, 2), SCHEDULE, RNG(0))),
    **{name: by_name(name) for name in ("heun", "dpm++", "sa", "flow-euler", "flow-heun")},
    "flow-heun, a network that predicts velocity": by_name("flow-heun", "velocity", straight_schedule(4)),
    "ddim from pure noise": by_name("ddim", "v", zero_terminal(SCHEDULE)),
    "heun, times uniform in log-SNR": by_name("heun", spacing="log-snr"),
}  # fmt: skip


def learned(x_t, t):
    from minidiff.diffusion.targets import Prediction

    return Prediction(0.5 * x_t, 0 * x_t + 0.5)


def one_step(trainer):
    with Workers(trainer.model, 1) as workers:
        next(trainer.steps(workers))


def digits_loader(rng):
    return Loader(DIGITS.images, DIGITS.labels, 4, rng)


def pixels(prediction="eps", schedule="cosine", weighting=None, zero_terminal=False, **config):
    """train_mnist_ddpm.py"""

    def run():
        rng = RNG(0)
        model = UNet(UNetConfig(1, 8, (1, 2), (False, True), n_heads=1, **config), rng)
        optimizer = AdamW(model.named_parameters())
        plan = any_schedule(schedule, 10, zero_terminal)
        plan.check()
        one_step(Trainer(model, plan, digits_loader(rng), optimizer, rng, TrainerSettings(prediction=prediction, weighting=weighting)))

    return run


def points():
    """swiss_roll.py"""
    rng = RNG(0)
    model = PointDenoiser(PointDenoiserConfig(n_hidden=16), rng)
    loader = Loader(swiss_roll(8), None, 4, rng, value_range=None)
    one_step(Trainer(model, make_schedule("linear", 10), loader, AdamW(model.named_parameters()), rng))


def words():
    """train_mnist_ldm.py; inpaint_mnist.py has a picture in place of the words"""
    rng, captions = RNG(0), Captions.of(DIGITS)
    model = TextUNet(TextUNetConfig(
        {"image_channels": 4, "n_channels": 8, "ch_mults": (1,), "is_attn": (True,), "n_heads": 2},
        {"n_words": len(captions.vocabulary), "max_length": captions.max_words, "d": 8, "n_heads": 2, "n_layers": 1},
    ), rng)  # fmt: skip
    facts = captions.facts(DIGITS.images, DIGITS.labels)
    loader = Loader(rng.normal((60, 4, 7, 7)), facts, 4, rng, n_classes=None, value_range=None)
    optimizer = AdamW(model.named_parameters())
    one_step(Trainer(model, make_schedule("cosine", 10), loader, optimizer, rng, prepare=with_captions(captions, 0.3)))


def autoencoder(model):
    """train_mnist_vqvae.py"""

    def run():
        rng = RNG(0)
        parameters = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        one_step(AutoencoderTrainer(model, digits_loader(rng), AdamW(parameters), rng))

    return run


TRAINING = {
    "train_mnist_ddpm.py": [
        pixels(), pixels("v"), pixels("mu_tilde", "linear"), pixels(learned_variance=True), pixels("v", zero_terminal=True),
        pixels("velocity", "straight"), *(pixels("velocity", weighting=scheme) for scheme in ("min_snr", "p2", "edm")),
    ],
    "train_mnist_ldm.py": [words],
    "train_mnist_vqvae.py": [
        autoencoder(VQAutoencoder(VQConfig(n_channels=8), RNG(0))),
        autoencoder(VQAutoencoder(VQConfig(n_channels=8, ema=True), RNG(0))),
        autoencoder(KLAutoencoder(KLConfig(n_channels=8), RNG(0))),
    ],
    "swiss_roll.py": [points],
}
SAME_LOOP = {
    "inpaint_mnist.py": "the loop of train_mnist_ldm.py with another `prepare`",
    "train_classifier.py": "cross-entropy: no equation of the slides",
    "guided_mnist.py": "cross-entropy on x_t: forward.q_sample",
}


def evaluation():
    bits_per_dimension(lambda x_t, t: 0.5 * x_t, DIGITS.images[:2], SCHEDULE, RNG(0))


RUNS = {
    **SAMPLERS,
    **{f"{file} {i}": run for file, runs in TRAINING.items() for i, run in enumerate(runs, 1)},
    "evaluate.py": evaluation,
}


def fired(run):
    """The ids of the equations whose functions are called in `run`."""
    ids = {}
    for id, equation in all_equations().items():
        ids.setdefault(equation.function.__code__, set()).add(id)
    seen = set()

    def watch(frame, event, argument):
        if event == "call" and frame.f_code in ids:
            seen.update(ids[frame.f_code])

    before = sys.getprofile()
    with use_kernels("reference"):
        sys.setprofile(watch)
        try:
            run()
        finally:
            sys.setprofile(before)
    return seen


@pytest.fixture(scope="module")
def by_run():
    return {name: fired(run) for name, run in RUNS.items()}


def test_every_equation_runs_or_is_a_derivation_step(by_run):
    runs = set().union(*by_run.values())
    silent = [id for id in all_equations() if id not in runs and id not in DERIVATIONS]
    assert not silent, f"no program calls {', '.join(silent)}"


def test_a_derivation_step_is_marked_only_where_no_program_runs_it(by_run):
    runs = set().union(*by_run.values())
    assert not runs & set(DERIVATIONS)
    for id, (number, _) in DERIVATIONS.items():
        (slide,) = [slide for slide in EVERYTHING if slide.number == number]
        assert any(id in formula.equations for formula in slide.formulas), f"{id} is not on slide {number}"


@pytest.mark.parametrize(
    ("run", "ids"),
    [
        ("DDPM", {"ddpm.algorithm_2", "reverse.p_step", "reverse.mu_theta", "reverse.sigma_squared", "sampling.clip_x_0"}),
        ("DDIM", {"ddim.step", "ddim.direction", "ddim.sigma", "ddim.tau"}),
        ("DDIM with sigma_hat", {"ddim.sigma_hat"}),
        ("train_mnist_ddpm.py 1", {"ddpm.algorithm_1", "forward.q_sample", "losses.L_simple", "unet.swish", "unet.group_norm"}),
        ("heun", {"solver.heun_step", "ode.euler_step", "ode.edm_sigma"}),
        ("dpm++", {"solver.dpm_pp_step", "solver.data_2m", "solver.half_log_snr"}),
        ("sa", {"solver.sa_step", "solver.half_log_snr"}),
        ("flow-heun, a network that predicts velocity", {"flow.heun_step", "flow.time_and_scale", "pair.from_velocity"}),
        ("train_mnist_ddpm.py 5", {"zero_snr.rescale", "ddpm.algorithm_1"}),
        ("train_mnist_ddpm.py 7", {"weights.min_snr", "weights.of_prediction", "weights.loss", "flow.target"}),
        ("train_mnist_ldm.py 1", {"ldm.loss", "ldm.projections", "ldm.attention", "guidance.drop_condition"}),
        ("train_mnist_vqvae.py 1", {"vq.loss", "vq.nearest", "vq.straight_through", "vq.codebook_loss", "vq.commitment_loss"}),
    ],
)
def test_the_equations_of_a_program_are_what_it_calls(by_run, run, ids):
    assert ids <= by_run[run]


def test_every_example_that_trains_is_traced_or_says_whose_loop_it_has():
    trains = {path.name for path in EXAMPLES.glob("*.py") if "Workers(" in (text := path.read_text()) and ("Trainer(" in text or "_steps(" in text)}
    assert set(TRAINING) | set(SAME_LOOP) >= trains - {"evaluate.py", "sample_mnist.py", "sample_text.py"}


def test_the_direction_of_ddim_is_computed_once_a_step():
    code, calls = all_equations()["ddim.direction"].function.__code__, []

    def watch(frame, event, argument):
        if event == "call" and frame.f_code is code:
            calls.append(1)

    sys.setprofile(watch)
    try:
        RUNS["DDIM"]()
    finally:
        sys.setprofile(None)
    assert len(calls) == 3
