"""For each formula: numbers for its symbols, and the number that the equation's function returns for them.

A case is (environment, result, what assignments leave behind). Where the formula is an equality, the symbol on
its left has the function's result as its value.
"""

import math

import numpy as np
from support.latex_eval import LatexError

from minidiff.classroom.derivations import bound as derivation
from minidiff.classroom.derivations import (
    image_from_v,
    likelihood,
    merged_steps,
    posterior_exponent,
    true_reverse_step,
)
from minidiff.classroom.derivations import loss_weight as weight_module
from minidiff.classroom.derivations import removed_fraction as removed_module
from minidiff.classroom.index import get_equation
from minidiff.diffusion import (
    ddpm,
    forward,
    gaussian,
    guidance,
    latent,
    losses,
    oracle,
    posterior,
    reverse,
    schedule,
    targets,
    vlb,
)
from minidiff.diffusion import learned_variance as learned_variance_module
from minidiff.diffusion.oracle import GaussianMixture
from minidiff.engine.random import RNG
from minidiff.engine.tensor import Tensor
from minidiff.nn.attention import MultiHeadAttention

T, t = 10, 5
SCHEDULE = schedule.make_schedule("linear", T)
TABLES = SCHEDULE.tables
X_0, X_PREV, X_T, EPS, Z = (np.array(pair) for pair in ((0.5, -1.0), (0.3, -0.8), (0.2, -0.7), (1.0, -0.5), (0.7, 0.1)))
GRADIENT = np.array([0.5, 0.1])
MIXTURE = GaussianMixture([0.3, 0.7], [[-0.8, 0.1], [0.6, -0.4]], [0.3, 0.5])


def network(x, time, y=0.0):
    """A definite function of everything that it is given."""
    return 0.3 * x + 0.1 * np.cos(x) + 0.02 * time + 0.05 * y


EPS_HAT = network(X_T, t)


def density(x, mean, variance):
    return float(np.exp(np.sum(gaussian.log_density(np.asarray(x), mean, variance))))


def gauss(env, *arguments):
    """N(x; mean, variance) and N(mean, variance): (x, mean, variance), x = 0 where it is not said."""
    x, mean, variance = (0.0, *arguments) if len(arguments) == 2 else arguments
    return x, np.asarray(mean, dtype=float), np.asarray(variance, dtype=float)


def kl(env, first, second):
    """Of two distributions of the same variable."""
    if not np.array_equal(first[0], second[0]):
        raise LatexError("two distributions of different variables")
    return np.sum(gaussian.kl_gaussians(*first[1:], *second[1:]))


def same(env, value):
    return value


def world(**more):
    """What the symbols mean in most formulas, and `more` by name; names that are no Python names come as {...}."""
    env = {
        "t": t, "T": T, "pi": math.pi, "I": 1, "alpha": TABLES["alpha"], "beta": TABLES["beta"], "bar alpha": TABLES["alpha_bar"],
        "tilde beta": TABLES["beta_tilde"], "x": {0: X_0, t - 1: X_PREV, t: X_T}, "epsilon": EPS, "z": Z, "E": same,
        "epsilon_theta": lambda env, x, time, *y: network(x, time, *y), "cal N": gauss, "D_KL": kl,
        "clip": lambda env, x, low, high: np.clip(x, low, high), "sg": same,
    }  # fmt: skip
    for index, value in (more.pop("x", None) or {}).items():
        env["x"] = env["x"] | {index: value}
    return env | more.pop("names", {}) | more


def case(result, after=None, **more):
    return world(**more), result, after or {}


def linear():
    beta = schedule.linear_beta(T, rescale=False)
    yield case(beta[t - 1], beta={1: 0.0001, T: 0.02, t: beta[t - 1]})


def cosine():
    s, lowest, highest = 0.008, 0.0, 0.999
    for t in (5, T):
        beta = schedule.cosine_beta(T, s)[t - 1]

        def f(env, t):
            return math.cos((t / T + s) / (1 + s) * math.pi / 2) ** 2

        names = {"beta_min": lowest, "beta_max": highest, "bar alpha": np.array([f(None, i) / f(None, 0) for i in range(T + 1)])}
        yield case(beta, t=t, s=s, f=f, beta={t: beta}, names=names)
    for bound in ("beta_min", "beta_max"):  # where the clip is felt
        low, high = (0.2, 0.999) if bound == "beta_min" else (0.0, 0.05)
        beta = schedule.cosine_beta(T, s, low, high)[4]
        yield case(beta, t=5, s=s, f=f, beta={5: beta}, names=names | {"beta_min": low, "beta_max": high})


def alpha_bar():
    table = schedule.alpha_bar_table(TABLES["beta"])
    yield case(table[t], names={"bar alpha": table})


def one_minus_alpha_bar():
    table = schedule.one_minus_alpha_bar_table(TABLES["beta"])
    yield case(table[t], names={"bar alpha": 1 - table})


def beta_tilde():
    table = schedule.beta_tilde_table(TABLES["beta"], TABLES["one_minus_alpha_bar"])
    yield case(table[t], names={"tilde beta": table})


def unit_pixel():
    bits = get_equation("schedule.L_T_of_unit_pixel").function(0.3)
    yield case(bits * math.log(2), names={"x_0": 1, "bar alpha": {T: 0.3}})


def q_step():
    variance = forward.q_step(0.0, t, 1.0, SCHEDULE) ** 2
    mean = forward.q_step(X_PREV, t, 0.0, SCHEDULE)
    yield case((X_T, mean, variance), q=lambda env, x, given: (x, forward.q_step(given, t, 0.0, SCHEDULE), variance))


def q_sample():
    result = forward.q_sample(X_0, t, EPS, SCHEDULE)
    yield case(result, x={t: result})


def q_mean_variance():
    def q(env, x, given):
        return x, *forward.q_mean_variance(given, t, SCHEDULE)

    yield case(q(None, X_T, X_0), q=q)


def merge_gaussians():
    """The two noises as directions at right angles: the length of their sum is the merged standard deviation."""
    now, prev = SCHEDULE.at(t).alpha, SCHEDULE.at(t - 1).alpha
    older, newer = np.eye(2)
    merged = math.sqrt(now * (1 - prev)) * older + math.sqrt(1 - now) * newer
    direction = merged / merged_steps.merge_gaussians(now, prev)
    yield case(merged, epsilon={t - 2: older, t - 1: newer}, names={"bar epsilon": {t - 2: direction}})


CHAIN = [np.array([0.5 - 0.05 * i, -1 + 0.1 * i]) for i in range(T + 1)]
BATCH = [x[None] for x in CHAIN]


def place(x):
    return next(i for i, known in enumerate(CHAIN) if known is x)


def q_of_chain(env, x, *given):
    """The density of x given the one before it, the data, or x_t and the data, by where they stand in the chain."""
    if isinstance(x, str):
        return float(np.exp(derivation.log_q_chain(BATCH, SCHEDULE))[0])
    i, places = place(x), [place(other) for other in given]
    if places == [i - 1]:
        beta = SCHEDULE.at(i).beta
        return density(x, math.sqrt(1 - beta) * given[0], beta)
    if places == [0]:
        return density(x, *forward.q_mean_variance(given[0], i, SCHEDULE))
    if places == [i + 1, 0]:
        return density(x, *posterior.q_posterior(given[0], given[1], i + 1, SCHEDULE))
    raise LatexError("no such density")


def p_of_chain(env, x, *given):
    if not given:
        if place(x) != T:
            raise LatexError("only x_T has a prior")
        return density(x, 0.0, 1.0)
    i = place(given[0])
    if place(x) != i - 1:
        raise LatexError("no such step")
    return density(x, reverse.mu_theta(given[0], i, network(given[0], i), SCHEDULE), SCHEDULE.at(i).beta)


def q_chain():
    result = float(np.exp(derivation.log_q_chain(BATCH, SCHEDULE))[0])
    yield case(result, q=q_of_chain, names={"x_1:T": "chain"}, x=dict(enumerate(CHAIN)))


def log_density():
    x, mu, sigma = 0.3, -0.2, 0.7
    result = gaussian.log_density(x, mu, sigma**2)
    yield case(result, x={}, mu=mu, sigma=sigma, names={"x": x, "cal N": lambda env, x, m, v: np.exp(gaussian.log_density(x, m, v))})


def kl_gaussians():
    mu, sigma = {1: 0.3, 2: -0.1}, {1: 0.5, 2: 0.8}
    yield case(gaussian.kl_gaussians(0.3, 0.25, -0.1, 0.64), mu=mu, sigma=sigma)


def discretised():
    x_0, mu, sigma = 101 / 255, 0.35, 0.1
    p = float(np.exp(gaussian.discretised_log_probability(np.array([x_0]), mu, sigma**2))[0])
    names = {"x_0": x_0, "p_theta": lambda env, x, given: p, "cal N": lambda env, x, m, v: math.exp(gaussian.log_density(x, m, v))}
    yield case(p, mu=mu, sigma=sigma, names=names | {"x": {1: 0.0}})


def bits_per_dim():
    yield case(gaussian.bits_per_dim(2000.0, 784), names={"bits/dim": gaussian.bits_per_dim(2000.0, 784), "nats": 2000.0, "D": 784})


def mu_theta():
    def function(env, x, time):
        return reverse.mu_theta(x, time, network(x, time), SCHEDULE)

    yield case(function(None, X_T, t), names={"mu_theta": function})


def sigma_squared():
    for variance in ("beta", "beta_tilde"):
        result = reverse.sigma_squared(t, SCHEDULE, variance)
        names = {"Sigma_theta": lambda env, x, time, r=result: r if x is X_T and time == t else 0.0}
        yield case(result, sigma={t: math.sqrt(result)}, names=names)


def learned_variance():
    v = np.array([0.3, 0.8])
    result = reverse.learned_variance(v, t, SCHEDULE)
    yield case(result, v=v, names={"Sigma_theta": result})


def p_step():
    mu = reverse.mu_theta(X_T, t, EPS_HAT, SCHEDULE)
    result = reverse.p_step(mu, 0.1, Z)

    def mu_of(env, x, time):
        return reverse.mu_theta(x, time, network(x, time), SCHEDULE)

    yield case(result, x={t - 1: result}, sigma={t: 0.1}, names={"mu_theta": mu_of})


def removed_fraction():
    yield case(removed_module.removed_fraction(t, SCHEDULE))


def exponent(function):
    def cases():
        C = -2 * posterior_exponent.exponent_expanded(0 * X_PREV, X_T, X_0, t, SCHEDULE)
        yield case(function(X_PREV, X_T, X_0, t, SCHEDULE), C=lambda env, x_t, x_0: C if x_t is X_T and x_0 is X_0 else 0.0)

    return cases


def precision():
    yield case(posterior_exponent.precision(t, SCHEDULE))


def pull():
    yield case(posterior_exponent.pull(X_T, X_0, t, SCHEDULE))


def mu_tilde_from_pull():
    result = posterior_exponent.mu_tilde_from_pull(X_T, X_0, t, SCHEDULE)
    yield case(result, names={"tilde mu": {t: result}})


def mu_tilde_of(env, x_t, x_0):
    return posterior.mu_tilde(x_t, x_0, t, SCHEDULE)


def mu_tilde():
    yield case(mu_tilde_of(None, X_T, X_0), names={"tilde mu_t": mu_tilde_of})


def mu_tilde_from_eps():
    result = posterior_exponent.mu_tilde_from_eps(X_T, EPS, t, SCHEDULE)
    yield case(result, names={"tilde mu": {t: result}})


def q_posterior_of(env, x, x_t, x_0):
    return x, *posterior.q_posterior(x_t, x_0, t, SCHEDULE)


def q_posterior():
    yield case(q_posterior_of(None, X_PREV, X_T, X_0), q=q_posterior_of, names={"tilde mu_t": mu_tilde_of})


def x_0_from_eps():
    result = targets.x_0_from_eps(X_T, t, EPS_HAT, SCHEDULE)
    yield case(result, names={"hat x": {0: result}})


def eps_from_x_0():
    result = targets.eps_from_x_0(X_T, t, X_0, SCHEDULE)
    yield case(result, epsilon=result)


def eps_from_mu_tilde():
    result = targets.eps_from_mu_tilde(X_T, t, X_PREV, SCHEDULE)
    yield case(result, epsilon=result, names={"tilde mu": {t: X_PREV}})


def v_target():
    result = targets.v_target(X_0, t, EPS, SCHEDULE)
    yield case(result, v={t: result})


def eps_from_v():
    result = targets.eps_from_v(X_T, t, X_PREV, SCHEDULE)
    yield case(result, epsilon=result, v={t: X_PREV})


def x_0_from_v():
    result = image_from_v.x_0_from_v(X_T, t, X_PREV, SCHEDULE)
    yield case(result, x={0: result}, v={t: X_PREV})


def L_simple():
    """One pixel: there the mean that the function takes is the norm that is printed (errata 17)."""
    one = np.array([[0.2]])
    result = losses.L_simple(np.array([[1.0]]), network(one, t))
    yield case(result, x={t: one}, epsilon=np.array([[1.0]]), names={"L^simple": result})


def squared_norm():
    yield case(weight_module.squared_norm(EPS[None], EPS_HAT[None])[0])


def loss_weight():
    for variance in ("beta", "beta_tilde"):
        result = weight_module.loss_weight(t, SCHEDULE, variance)
        yield case(result, w={t: result}, sigma={t: math.sqrt(TABLES[variance][t])})


def algorithm_1():
    x_0, eps = np.array([[0.4]]), np.array([[-0.6]])
    step = losses.training_terms(network, x_0, np.array([t]), eps, SCHEDULE)
    yield case(step.loss, x={0: x_0}, epsilon=eps)


def ldm_loss():
    z_0, eps = np.array([[0.4]]), np.array([[-0.6]])
    step = losses.training_terms(network, z_0, np.array([t]), eps, SCHEDULE, y=0.7)
    names = {"L_LDM": step.loss, "tau_theta": lambda env, y: 0.7 if y == "words" else 0.0, "y": "words"}
    yield case(step.loss, epsilon=eps, z={t: step.x_t, t - 1: z_0}, names=names)


def distributions(variance="beta"):
    """q and p as (x, mean, variance), at the time that t has in the formula."""

    def q(env, x, *given):
        if len(given) == 1:
            return x, *forward.q_mean_variance(given[0], T, SCHEDULE)
        return x, *posterior.q_posterior(*given, env["t"], SCHEDULE)

    def p(env, x, given=None):
        if given is None:
            return x, 0.0, 1.0
        mean = reverse.mu_theta(given, env["t"], network(given, env["t"]), SCHEDULE)
        return x, mean, reverse.sigma_squared(env["t"], SCHEDULE, variance)

    return {"q": q, "p": p, "p_theta": p}


def L_T():
    result = vlb.L_T(X_0[None], SCHEDULE)[0]
    yield case(result, L={T: result}, x={T: X_PREV}, names=distributions())


def L_t_minus_1():
    for variance in ("beta", "beta_tilde"):
        result = vlb.L_t_minus_1(X_0[None], X_T[None], t, EPS_HAT[None], SCHEDULE, variance)[0]
        yield case(result, L={t - 1: result}, names=distributions(variance))


def L_t_minus_1_of_means():
    arguments = (X_0[None], X_T[None], t, EPS_HAT[None], SCHEDULE)
    for variance in ("beta", "beta_tilde"):
        result = weight_module.L_t_minus_1_of_means(*arguments, variance)[0]
        whole, sigma = vlb.L_t_minus_1(*arguments, variance)[0], math.sqrt(TABLES[variance][t])
        exact = targets.eps_from_mu_tilde(X_T, t, posterior.mu_tilde(X_T, X_0, t, SCHEDULE), SCHEDULE)
        C = vlb.L_t_minus_1(X_0[None], X_T[None], t, exact[None], SCHEDULE, variance)[0]
        names = {"tilde mu_t": mu_tilde_of, "mu_theta": lambda env, x, time: reverse.mu_theta(x, time, network(x, time), SCHEDULE)}
        yield case(result, L={t - 1: whole}, C=C, sigma={t: sigma}, names=names)


def L_0():
    x_1 = np.array([0.48, -0.9])
    result = vlb.L_0(X_0[None], x_1[None], network(x_1, 1)[None], SCHEDULE, levels=None)[0]
    p = {"p_theta": lambda env, x, given: density(x, reverse.mu_theta(given, 1, network(given, 1), SCHEDULE), SCHEDULE.at(1).beta)}
    yield case(result, L={0: result, 1: 0.0}, x={1: x_1}, names=p)


def vlb_total():
    x_0 = X_0[None]
    steps = list(vlb.vlb_steps(network, x_0, SCHEDULE, RNG(0), levels=None))
    result = vlb.vlb(network, x_0, SCHEDULE, RNG(0), levels=None)[0]
    x = {step.t: step.x_t[0] for step in steps[1:]} | {0: X_0}
    names = distributions() | {"L_VLB": result}
    of_steps = names["p_theta"]

    def p_theta(env, a, given):
        if given is x[1]:  # the last step: the density of the data itself
            return density(a, reverse.mu_theta(given, 1, network(given, 1), SCHEDULE), SCHEDULE.at(1).beta)
        return of_steps(env, a, given)

    yield case(result, x=x, names=names | {"p_theta": p_theta})


LOG_P_X_0, LOG_P_LATENTS = np.array([-1.2]), np.array([-15.0])  # of no model: what they are is not in the formulas


def of_chain(function, *evidence, as_density=False):
    """The lines of slides 12 and 13, on one chain. p_theta(x_{0:T}) is the product of its steps."""

    def cases():
        chain = derivation.Chain(BATCH, [network(x, i) for i, x in enumerate(BATCH) if i], SCHEDULE)
        result = function(chain, *evidence)[0]

        def p_theta(env, x, *given):
            if isinstance(x, str):
                return float(np.exp(LOG_P_LATENTS if given else derivation.log_p_chain(chain))[0])
            return float(np.exp(LOG_P_X_0)[0]) if place(x) == 0 and not given else p_of_chain(env, x, *given)

        names = {"p_theta": p_theta, "x_0:T": "chain", "x_1:T": "chain"}
        result = math.exp(result) if as_density else result
        yield case(result, x=dict(enumerate(CHAIN)), q=q_of_chain, p=p_of_chain, names=names)

    return cases


def q_two_steps():
    result = merged_steps.q_two_steps(X_PREV, t, EPS, SCHEDULE)
    yield case(result, x={t: result, t - 2: X_PREV}, names={"bar epsilon": {t - 2: EPS}})


def precision_as_one_fraction():
    yield case(posterior_exponent.precision_as_one_fraction(t, SCHEDULE))


def beta_tilde_clipped():
    for time in (1, t):
        yield case(reverse.beta_tilde_clipped(time, SCHEDULE), t=time, max=lambda env, a, b: max(a, b))


def weighted_squared_norm():
    for variance in ("beta", "beta_tilde"):
        result = weight_module.weighted_squared_norm(EPS[None], EPS_HAT[None], t, SCHEDULE, variance)[0]
        yield case(result, sigma={t: math.sqrt(TABLES[variance][t])})


def bits_of_random_times():
    x_0, x_t, v = (np.stack([x, 0.5 * x]) for x in (X_0, X_T, np.array([0.3, 0.8])))
    said = (x_0, x_t, np.array([t, t]), network(x_t, t), v, SCHEDULE)
    terms = vlb.L_t_minus_1(x_0, x_t, t, network(x_t, t), SCHEDULE, reverse.learned_variance(v, t, SCHEDULE))
    yield case(learned_variance_module.bits_of_random_times(*said), L={t - 1: terms}, D=2, E=lambda env, terms: terms.mean())


def L_hybrid():
    result = learned_variance_module.L_hybrid(0.25, 0.1, T)
    yield case(result, names={"L_hybrid": result, "L_simple": 0.25, "L_vlb": 0.1 * T, "lambda": 0.001})


def x_0_of_mixture():
    """Components of their own widths, so that each symbol is felt."""
    alpha_bar, (_, variance) = TABLES["alpha_bar"][t], true_reverse_step.exact_x_0(X_T[None], t, MIXTURE, SCHEDULE)
    of_x_t = alpha_bar * MIXTURE.stds**2 + 1 - alpha_bar
    away = X_T - math.sqrt(alpha_bar) * MIXTURE.means
    r = MIXTURE.weights * np.exp(-0.5 * (away**2).sum(axis=1) / of_x_t) / of_x_t
    r, mu = r / r.sum(), MIXTURE.means + (math.sqrt(alpha_bar) * MIXTURE.stds**2 / of_x_t)[:, None] * away
    names = {"range k": range(2), "bar mu": r @ mu} | variances_of_mixture()
    for k in range(2):
        v = MIXTURE.stds**2 * (1 - alpha_bar) / of_x_t
        yield case(variance[0], k=k, m=MIXTURE.means, s=MIXTURE.stds, r=r, v=v, mu=mu, names=names)


def variances_of_mixture():
    variance = true_reverse_step.reverse_variance(X_T[None], t, MIXTURE, SCHEDULE)[0]
    of_x_0 = true_reverse_step.exact_x_0(X_T[None], t, MIXTURE, SCHEDULE)[1][0]
    known = {id(X_PREV): variance, id(X_0): of_x_0}

    def var(env, x, given):
        if given is not X_T or id(x) not in known:
            raise LatexError("no such variance")
        return known[id(x)]

    return {"Var": var}


def reverse_variance():
    result = true_reverse_step.reverse_variance(X_T[None], t, MIXTURE, SCHEDULE)[0]
    yield case(result, names=variances_of_mixture())


def optimal_v():
    result = true_reverse_step.optimal_v(X_T[None], t, MIXTURE, SCHEDULE)[0]
    yield case(result, v=result, names=variances_of_mixture())


def log_likelihood():
    bounds = [np.array([3.1]), np.array([2.9]), np.array([3.4])]
    result = likelihood.negative_log_likelihood(bounds)[0]
    weights = np.exp(-np.concatenate(bounds))

    def p_theta(env, x):
        return weights * 0.3 if isinstance(x, str) else math.exp(-result)

    names = {"p_theta": p_theta, "x_0:T": "chain", "x_1:T": "chain", "E": lambda env, values: values.mean()}
    yield case(result, L=result, q=lambda env, x, given: 0.3, names=names)


def clip_x_0():
    raw = targets.x_0_from_eps(X_T, t, 3 * EPS_HAT, SCHEDULE)
    x_0_hat, eps = get_equation("sampling.clip_x_0").function(X_T, t, 3 * EPS_HAT, SCHEDULE, 0.5)
    yield case(eps, {"hat x": {0: x_0_hat}, "epsilon": eps}, c=0.5, names={"hat x": {0: raw}})


def algorithm_2():
    steps = list(ddpm.ddpm_steps(network_of_a_batch, X_T[None], SCHEDULE, RNG(0)))
    for step in steps:
        x = {step.t: step.x_t[0], step.t - 1: step.x_prev[0], step.t + 1: Z}
        yield case(step.x_prev[0], t=step.t, x=x, z=step.z[0], sigma={step.t: step.sigma_t})


def network_of_a_batch(x, times):
    return network(x, int(times[0]))


TAU = [1, 4, 8, T]


def sigma_of(function, name, **more):
    def cases():
        for i in (2, 3):
            result = function(TAU[i], TAU[i - 1], SCHEDULE, **more)
            yield case(result, tau=dict(enumerate(TAU)), i=i, names={name: {TAU[i]: result}}, **more)

    return cases


def direction():
    sigma = 0.1
    yield case(get_equation("ddim.direction").function(EPS_HAT, t - 1, sigma, SCHEDULE), sigma={t: sigma})


def ddim_step():
    sigma, toward = 0.1, get_equation("ddim.direction").function(EPS_HAT, t - 1, 0.1, SCHEDULE)
    result = get_equation("ddim.step").function(X_0, toward, t - 1, sigma, Z, SCHEDULE)
    yield case(result, x={t - 1: result}, sigma={t: sigma}, names={"hat x": {0: X_0}})


def inversion_step():
    now, later = TAU[1], TAU[2]
    eps_hat = network(X_T, now)
    result = get_equation("ddim.inversion_step").function(X_T, now, later, eps_hat, SCHEDULE)
    x_0_hat = targets.x_0_from_eps(X_T, now, eps_hat, SCHEDULE)
    yield case(result, tau=dict(enumerate(TAU)), i=1, x={now: X_T, later: result}, names={"hat x": {0: x_0_hat}})


def slerp():
    first, second, a = np.array([1.0, 0.4]), np.array([-0.2, 0.9]), 0.3
    result = get_equation("ddim.slerp").function(first[None], second[None], a)[0]
    theta = math.acos(first @ second / math.sqrt((first @ first) * (second @ second)))
    yield case(result, a=a, theta=theta, x={T: result}, names={"x_T^(0)": first, "x_T^(1)": second})


def p_phi(env, y, x):
    return math.exp(float(np.sum(GRADIENT * x)))


def classifier_mean():
    result = guidance.classifier_mean(X_PREV, 0.04, GRADIENT, 3.0)
    yield case((0.0, result, 0.04), x={t - 1: (0.0, result, 0.04)}, mu=X_PREV, s=3.0, names={"Sigma": 0.04, "p_phi": p_phi, "y": 1})


def classifier_eps():
    result = guidance.classifier_eps(EPS_HAT, t, GRADIENT, SCHEDULE, 3.0)
    yield case(result, s=3.0, names={"hat epsilon": result, "p_phi": p_phi, "y": 1})


def classifier_free_w():
    result = guidance.classifier_free_w(network(X_T, t, 2), network(X_T, t), 1.5)
    yield case(result, w=1.5, y=2, names={"tilde epsilon": result})


def classifier_free_s():
    result = guidance.classifier_free_s(network(X_T, t, 2), network(X_T, t), 2.5)
    yield case(result, w=1.5, s=2.5, y=2, names={"tilde epsilon": result})


Z_E, CODES = np.array([0.9, 0.1]), np.array([[1.0, 0.3], [0.0, 1.0], [-1.0, 0.0]])


def nearest():
    k = int(latent.nearest_code(Z_E[None], CODES)[0])
    yield case(k, k=k, e=CODES, names={"range j": range(3), "z_e": lambda env, x: Z_E})
    yield case(1, k=1, e=CODES, names={"range j": range(3), "z_e": lambda env, x: np.array([0.1, 0.8])})


def straight_through():
    result = latent.straight_through(Z_E, CODES[1])
    yield case(result, e=CODES, k=1, names={"z_e": Z_E, "z_q": result})


def one_number(function, **more):
    """One vector of one number: there the mean over elements is the norm that is printed."""

    def cases():
        z_e, e = np.array([[0.9]]), np.array([[0.4]])
        yield case(function(z_e, e, *more.values()), e=e, names={"z_e": lambda env, x: z_e, "beta": 0.25})

    return cases


def vq_loss():
    z_e, e = np.array([[0.9]]), np.array([[0.4]])
    parts = 0.02, latent.codebook_loss(z_e, e), latent.commitment_loss(z_e, e, 0.25)
    names = {"z_e": z_e, "z_q": e, "beta": 0.25, "p": lambda env, x, z: math.exp(-0.02), "x": 0.0}
    yield case(latent.vq_loss(*parts), e=e, L=latent.vq_loss(*parts), names=names)


def ema():
    N, m, gamma = np.array([2.0, 3.0, 2.5]), np.array([[0.2], [0.5], [-0.3]]), 0.9
    z_e, k = np.array([[0.9], [0.4], [0.7]]), np.array([0, 1, 0])
    new_N, new_m, codebook = latent.ema_codebook(N, m, z_e, k, gamma)
    vectors = {(0, 0): z_e[0], (0, 1): z_e[2]}
    start = {"N": N, "m": m, "n": {0: 2, 1: 1}, "e": codebook, "z": vectors, "range j": range(2), "i": 0}
    yield case(codebook[0], {"N": new_N, "m": new_m}, gamma=gamma, names=start)


def perplexity():
    k = np.array([0, 0, 0, 1, 2, 2])
    names = {"p": np.bincount(k) / 6, "n": np.bincount(k), "N": 6, "k": 0, "range k": range(3)}
    yield case(latent.perplexity(k, 3), names=names)


def vae_kl():
    mu, log_variance = np.array([0.2, -0.6]), np.array([-1.0, 0.3])
    result = latent.kl_to_standard_normal(mu[None], log_variance[None])[0]
    yield case(result, mu=mu, sigma=np.exp(log_variance / 2))


def latent_scale():
    z = np.array([[0.5, -1.0], [2.0, 0.3]])
    scale = latent.latent_scale(z)
    names = {"hat sigma": 1 / scale, "Var": lambda env, x: np.var(x), "cal E": lambda env, x: z, "z": z}
    yield case(z * scale, {"z": z * scale}, names=names)


def projections():
    attention = MultiHeadAttention(2, 1, bias=False, kdim=3, vdim=3, rng=RNG(0))
    pixel, word = np.array([[1, 2]], np.float32), np.array([[1, 0.5, -1]], np.float32)
    Q, K, V = attention.projections(Tensor(pixel[None]), Tensor(word[None]), Tensor(word[None]))
    names = {"W_Q^(i)": attention.q_proj_weight.data, "W_K^(i)": attention.k_proj_weight.data, "W_V^(i)": attention.v_proj_weight.data}
    names |= {"varphi_i": lambda env, z: pixel[0], "tau_theta": lambda env, y: word[0], "y": 0, "z_t": 0, "V": V.data[0, 0, 0]}
    yield case(Q.data[0, 0, 0], Q=Q.data[0, 0, 0], K=K.data[0, 0, 0], names=names)


def attention():
    Q, K, V = (RNG(i).normal(shape, np.float64) for i, shape in enumerate(((3, 4), (5, 4), (5, 2))))
    result, _ = get_equation("ldm.attention").function(Q[None], K[None], V[None])

    def softmax(env, x):
        return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)

    names = {"Attention": lambda env, Q, K, V: get_equation("ldm.attention").function(Q[None], K[None], V[None])[0][0]}
    yield case(result[0], Q=Q, K=K, V=V, d=4, names=names | {"softmax": softmax})


def decode_latent():
    z = np.array([0.5, -1.0])
    result = latent.decode_latent(z, 0.4, np.tanh)
    names = {"cal D": lambda env, z: np.tanh(z), "x": result}
    yield case(result, z={0: z, T: Z}, s=0.4, names=names)


def q_of_mixture(env, x, y=None):
    """q(x_t), q(x_t | y) and q(x_t | x_{t-1}), q(x_{t-1} | x_t) as densities; the time is that of the point."""
    time = time_of(x)
    if y is None:
        return math.exp(oracle.log_marginal(x[None], time, MIXTURE, SCHEDULE)[0])
    if isinstance(y, int):
        return math.exp(oracle.log_marginal(x[None], time, MIXTURE.of_class(y), SCHEDULE)[0])
    if (time, time_of(y)) == (t, t - 1):
        beta = SCHEDULE.at(t).beta
        return density(x, math.sqrt(1 - beta) * y, beta)
    if (time, time_of(y)) == (t - 1, t):
        return math.exp(true_reverse_step.log_reverse(x[None], y[None], t, MIXTURE, SCHEDULE)[0])
    raise LatexError("no such density")


def time_of(x):
    """Points of the mixture's formulas are near X_T (time t) or near X_PREV (time t - 1)."""
    return t if np.abs(x - X_T).max() < 0.01 else t - 1


def p_of_mixture(env, y, x=None):
    if x is None:
        return MIXTURE.weights[y]
    return math.exp(oracle.log_classifier(x[None], t, y, MIXTURE, SCHEDULE)[0])


def marginal():
    """The integral over x_0 as a sum over a grid: for smooth densities that is exact to rounding."""
    result = math.exp(oracle.log_marginal(X_T[None], t, MIXTURE, SCHEDULE)[0])
    side = np.linspace(-5, 5, 161)
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)

    def q(env, x, given=None):
        if x is points and given is None:
            return np.exp(MIXTURE.log_prob(points))
        if given is points and x is X_T:
            mean, variance = forward.q_mean_variance(points, t, SCHEDULE)
            return np.exp(gaussian.log_density(x, mean, variance).sum(axis=1))
        return q_of_mixture(env, x)

    names = {"cal N": lambda env, x, mean, variance: density(x, mean, variance), "range k": range(2)}
    names |= {"over x_0": points, "cell": (side[1] - side[0]) ** 2}
    yield case(result, q=q, w=MIXTURE.weights, m=MIXTURE.means, s=MIXTURE.stds, names=names)


def score():
    result = oracle.exact_score(X_T[None], t, MIXTURE, SCHEDULE)[0]
    log_joint = oracle.diffused(X_T[None], t, MIXTURE, SCHEDULE)[3][0]
    share = np.exp(log_joint) / np.exp(log_joint).sum()
    r = {k: (lambda env, x, k=k: share[k] if time_of(x) == t else 0.5) for k in range(2)}
    names = {"range k": range(2), "r": r}
    yield case(result, q=q_of_mixture, m=MIXTURE.means, s=MIXTURE.stds, names=names)


def eps_of_mixture():
    def exact(env, x, time):
        return oracle.exact_eps(x[None], time, MIXTURE, SCHEDULE)[0]

    result = exact(None, X_T, t)
    names = {"epsilon^*": exact, "E": lambda env, eps, given: exact(env, given, t) if eps is EPS else 0.0}
    yield case(result, q=q_of_mixture, names=names)


def bayes():
    yield case(math.exp(true_reverse_step.log_reverse(X_PREV[None], X_T[None], t, MIXTURE, SCHEDULE)[0]), q=q_of_mixture)


def classifier():
    yield case(oracle.log_classifier(X_T[None], t, 1, MIXTURE, SCHEDULE)[0], q=q_of_mixture, p=p_of_mixture, y=1)


def classifier_gradient():
    result = oracle.classifier_gradient(X_T[None], t, 1, MIXTURE, SCHEDULE)[0]
    yield case(result, q=q_of_mixture, p=p_of_mixture, y=1)


def swish():
    names = {"x": 0.7, "Swish": lambda env, x: get_equation("unet.swish").function(np.array([x]))[0][0]}
    yield case(names["Swish"](None, 0.7), names=names | {"sigmoid": lambda env, x: 1 / (1 + math.exp(-x))})


def group_norm():
    x, weight, bias = np.array([0.4, -1.0, 0.7, 0.1]), 1.5, 0.2
    y, _ = get_equation("unet.group_norm").function(x.reshape(1, 4, 1, 1), 1, np.full(4, weight), np.full(4, bias))
    y = y.ravel()
    names = {"x": x, "hat x": (y - bias) / weight, "mu_g": x.mean(), "sigma_g": x.std(), "epsilon": 1e-5, "gamma": weight, "beta": bias}
    yield case(y, y=y, names=names)


def time_embedding():
    from minidiff.models.unet_blocks import TimeEmbedding

    embedding, seen = TimeEmbedding(32, RNG(0)), []
    embedding.lin1 = lambda x: seen.append(x.data) or Tensor(np.zeros((1, 32)))
    embedding.lin1.weight = Tensor(np.zeros((32, 8)))
    embedding.lin2 = lambda x: x
    get_equation("unet.time_embedding").function(embedding, np.array([37]))
    for i in range(4):
        sine, cosine = seen[0][0, i], seen[0][0, 4 + i]
        yield case(sine, t=37, i=i, d=4, names={"PE_t,i^(1)": sine, "PE_t,i^(2)": cosine})


CASES = {
    "schedule.linear": linear, "schedule.cosine": cosine, "schedule.alpha_bar": alpha_bar,
    "schedule.one_minus_alpha_bar": one_minus_alpha_bar, "posterior.beta_tilde": beta_tilde,
    "schedule.L_T_of_unit_pixel": unit_pixel, "forward.q_step": q_step, "forward.q_sample": q_sample,
    "forward.q_mean_variance": q_mean_variance, "forward.merge_gaussians": merge_gaussians, "forward.q_chain": q_chain,
    "gaussian.log_density": log_density, "gaussian.kl": kl_gaussians, "gaussian.discretised": discretised,
    "gaussian.bits_per_dim": bits_per_dim, "reverse.mu_theta": mu_theta, "reverse.sigma_squared": sigma_squared,
    "reverse.learned_variance": learned_variance, "reverse.p_step": p_step, "reverse.removed_fraction": removed_fraction,
    "posterior.bayes": exponent(posterior_exponent.exponent_by_bayes), "posterior.expanded": exponent(posterior_exponent.exponent_expanded),
    "posterior.precision": precision, "posterior.pull": pull, "posterior.collected": exponent(posterior_exponent.exponent_collected),
    "posterior.mu_tilde_from_pull": mu_tilde_from_pull, "posterior.mu_tilde": mu_tilde,
    "posterior.mu_tilde_from_eps": mu_tilde_from_eps, "posterior.q_posterior": q_posterior,
    "targets.x_0_from_eps": x_0_from_eps, "targets.eps_from_x_0": eps_from_x_0, "targets.eps_from_mu_tilde": eps_from_mu_tilde,
    "targets.v": v_target, "targets.eps_from_v": eps_from_v, "targets.x_0_from_v": x_0_from_v, "losses.L_simple": L_simple,
    "losses.squared_norm": squared_norm, "losses.weight": loss_weight, "ddpm.algorithm_1": algorithm_1, "vlb.L_T": L_T,
    "vlb.L_t_minus_1": L_t_minus_1, "vlb.L_t_minus_1_of_means": L_t_minus_1_of_means, "vlb.L_0": L_0, "vlb.total": vlb_total,
    "vlb.of_chain": of_chain(derivation.vlb_of_chain), "vlb.of_chain_by_posterior": of_chain(derivation.vlb_of_chain_by_posterior),
    "vlb.two_products": of_chain(derivation.two_products), "vlb.sum_of_logarithms": of_chain(derivation.sum_of_logarithms),
    "vlb.t_1_apart": of_chain(derivation.t_1_apart), "vlb.bayes_in_every_term": of_chain(derivation.bayes_in_every_term),
    "vlb.two_sums": of_chain(derivation.two_sums), "vlb.telescoped": of_chain(derivation.telescoped),
    "vlb.with_kl": of_chain(derivation.with_kl, LOG_P_X_0, LOG_P_LATENTS),
    "vlb.kl_written_out": of_chain(derivation.kl_written_out, LOG_P_X_0),
    "vlb.evidence_taken_out": of_chain(derivation.evidence_taken_out, LOG_P_X_0),
    "reverse.p_chain": of_chain(derivation.log_p_chain, as_density=True), "forward.q_two_steps": q_two_steps,
    "posterior.precision_as_one_fraction": precision_as_one_fraction, "reverse.beta_tilde_clipped": beta_tilde_clipped,
    "losses.weighted": weighted_squared_norm, "learned.bits": bits_of_random_times, "learned.L_hybrid": L_hybrid,
    "oracle.x_0": x_0_of_mixture, "oracle.reverse_variance": reverse_variance, "oracle.v": optimal_v,
    "vlb.log_likelihood": log_likelihood, "sampling.clip_x_0": clip_x_0, "ddpm.algorithm_2": algorithm_2,
    "ddim.sigma": sigma_of(get_equation("ddim.sigma").function, "sigma", eta=0.6),
    "ddim.sigma_hat": sigma_of(get_equation("ddim.sigma_hat").function, "hat sigma"), "ddim.direction": direction,
    "ddim.step": ddim_step, "ddim.inversion_step": inversion_step, "ddim.slerp": slerp,
    "guidance.classifier_mean": classifier_mean, "guidance.classifier_eps": classifier_eps,
    "guidance.classifier_free_w": classifier_free_w, "guidance.classifier_free_s": classifier_free_s, "vq.nearest": nearest,
    "vq.straight_through": straight_through, "vq.codebook_loss": one_number(latent.codebook_loss),
    "vq.commitment_loss": one_number(latent.commitment_loss, beta=0.25), "vq.loss": vq_loss, "vq.ema": ema,
    "vq.perplexity": perplexity, "vae.kl": vae_kl, "ldm.scale": latent_scale, "ldm.projections": projections,
    "ldm.attention": attention, "ldm.loss": ldm_loss, "ldm.sample": decode_latent, "oracle.marginal": marginal,
    "oracle.score": score, "oracle.eps": eps_of_mixture, "oracle.bayes": bayes, "oracle.classifier": classifier,
    "oracle.classifier_gradient": classifier_gradient, "unet.swish": swish, "unet.group_norm": group_norm,
    "unet.time_embedding": time_embedding,
}  # fmt: skip
