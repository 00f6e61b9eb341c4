"""Numbers for the formulas that come after the deck, as in `latex_cases`, which this extends."""

import math

import numpy as np
from support.latex_cases import (
    MIXTURE,
    SCHEDULE,
    TABLES,
    X_0,
    X_PREV,
    X_T,
    T,
    Z,
    case,
    density,
    network,
    p_of_mixture,
    q_of_mixture,
    t,
)

from minidiff.beyond import (
    consistency,
    exact_flow,
    flow_matching,
    flow_ode,
    inpainting,
    loss_weights,
    pairs,
    sa_solver,
    schedules,
    score,
    solvers,
    tilted,
)
from minidiff.diffusion import forward, oracle
from minidiff.diffusion.oracle import GaussianMixture

LINE = GaussianMixture([0.3, 0.7], [[-0.8], [0.6]], [0.3, 0.5])
POINT = np.array([0.25])
SIGMA = {i: flow_ode.edm_sigma(i, SCHEDULE) for i in range(1, T)}
LAMBDA = {i: solvers.half_log_snr(i, SCHEDULE) for i in range(1, T)}
SNR = {i: SCHEDULE.snr(i) for i in range(1, T + 1)}


def exact_eps(env, x, time):
    return oracle.exact_eps(x[None], time, MIXTURE, SCHEDULE)[0]


def pair(function, name, said):
    def cases():
        x_0_hat, eps_hat = function(X_T, t, said, SCHEDULE)
        names = {"hat x": {0: x_0_hat}, "hat epsilon": eps_hat, f"hat {name}": said}
        yield case(x_0_hat, names=names)
        yield case(eps_hat, names=names)

    return cases


def score_from_eps():
    result = score.score_from_eps(exact_eps(None, X_T, t), t, SCHEDULE)
    yield case(result, q=q_of_mixture, names={"epsilon_theta": exact_eps})


def conditional_score():
    result = score.conditional_score(X_T, X_0, t, SCHEDULE)

    def q(env, x, given):
        return density(x, *forward.q_mean_variance(given, t, SCHEDULE))

    yield case(result, q=q)


def explicit_loss():
    exact = oracle.exact_score(X_T[None], t, MIXTURE, SCHEDULE)[0]
    result = score.explicit_loss(network(X_T, t)[None], exact[None])[0]
    names = {"s_theta": lambda env, x, time: network(x, time), "s": lambda env, x, time: exact if x is X_T and time == t else 0 * x}
    yield case(result, q=q_of_mixture, names=names)


def denoising_loss():
    result = score.denoising_loss(network(X_T, t)[None], X_T[None], X_0[None], t, SCHEDULE)[0]
    yield case(result, names={"s_theta": lambda env, x, time: network(x, time)})


def clock():
    yield case(flow_ode.clock(t, SCHEDULE), B={t: flow_ode.clock(t, SCHEDULE)})


def sde_step():
    result = flow_ode.sde_step(X_PREV, t, Z, SCHEDULE)
    yield case(result, x={t: result})


def drift():
    result = flow_ode.drift(X_T, oracle.exact_score(X_T[None], t, MIXTURE, SCHEDULE)[0])
    yield case(result, f=result, q=q_of_mixture)


def edm_sigma():
    yield case(SIGMA[t], sigma=SIGMA)


def euler_step():
    result = flow_ode.euler_step(X_T, network(X_T, t), t, t - 1, SCHEDULE)
    yield case(result, x={t - 1: result}, sigma=SIGMA)


def divergence():
    result = flow_ode.drift_divergence(X_T[None], t, MIXTURE, SCHEDULE)[0]
    alpha_bar = TABLES["alpha_bar"][t]
    v = alpha_bar * MIXTURE.stds**2 + 1 - alpha_bar
    p = (math.sqrt(alpha_bar) * MIXTURE.means - X_T) / v[:, None]
    log_joint = oracle.diffused(X_T[None], t, MIXTURE, SCHEDULE)[3][0]
    r = np.exp(log_joint) / np.exp(log_joint).sum()
    names = {"range k": range(2), "div": result, "D": 2, "g": r @ p}
    for k in range(2):
        yield case(result, k=k, m=MIXTURE.means, s=MIXTURE.stds, r=r, v=v, p=p, names=names)


def log_likelihood():
    x_T, end = np.array([0.4, -1.1]), 3.0
    volume = 0.3 * end + 0.1 * end**2 / 2
    result = flow_ode.log_likelihood(x_T[None], np.array([volume]))[0]
    names = {"p": lambda env, x: math.exp(result), "div": lambda env, B: 0.3 + 0.1 * B, "B": {T: end}}
    yield case(result, x={T: x_T}, names=names | {"cal N": lambda env, x, mean, variance: density(x, mean, variance)})


def phi(env, z):
    return 0.5 * math.erfc(-z.item() / math.sqrt(2))


def left_of(env, x, time=t):
    return exact_flow.distribution(x[None], time, LINE, SCHEDULE)[0][0]


def quantile_of(time):
    return lambda env, u: exact_flow.quantile(np.array([u]), np.array([1 - u]), time, LINE, SCHEDULE)[0]


def distribution():
    names = {"F_t": left_of, "Phi": phi, "range k": range(2)}
    yield case(left_of(None, POINT), x={t: POINT}, w=LINE.weights, m=LINE.means, s=LINE.stds, names=names)


def quantile():
    x = quantile_of(t)(None, 0.3)
    yield case(x, x={t: x}, u=0.3, names={"F_t^-1": quantile_of(t)})


def flow_map():
    s = 2
    x_s = exact_flow.flow_map(POINT[None], t, s, LINE, SCHEDULE)[0]
    yield case(x_s, x={t: POINT, s: x_s}, s=s, names={"F_s^-1": quantile_of(s), "F_t": left_of})


def half_log_snr():
    names = {"lambda": {t: LAMBDA[t]}}
    yield case(solvers.half_log_snr(t, SCHEDULE), names=names)


def heun_step():
    euler = flow_ode.euler_step(X_T, network(X_T, t), t, t - 1, SCHEDULE)
    result = solvers.heun_step(X_T, network(X_T, t), network(euler, t - 1), t, t - 1, SCHEDULE)
    yield case(result, x={t - 1: result}, sigma=SIGMA, names={"hat x": {t - 1: euler}})


H = {i: LAMBDA[i - 1] - LAMBDA[i] for i in range(2, T)}


def data_2m():
    known = {t: X_0, t + 1: X_PREV}
    result = solvers.extrapolated_x_0(X_0, X_PREV, t + 1, t, t - 1, SCHEDULE)
    yield case(result, h=H, D={t: result}, names={"hat x": lambda env, time: known[time], "lambda": LAMBDA})


def dpm_pp_step():
    result = solvers.dpm_pp_step(X_T, X_0, t, t - 1, SCHEDULE)
    yield case(result, x={t - 1: result}, h=H, D={t: X_0}, names={"lambda": LAMBDA})


def sa_step():
    result = sa_solver.sa_step(X_T, X_0, Z, t, t - 1, SCHEDULE, 0.3)
    yield case(result, x={t: X_T, t - 1: result}, h=H, D={t: X_0}, z=Z, eta=0.3, names={"lambda": LAMBDA})


def path():
    result = flow_matching.straight_path(X_0, Z, 0.3)
    yield case(result, s=0.3, epsilon=Z, names={"z_s": result})


def target():
    result = flow_matching.velocity_target(X_0, Z)
    yield case(result, epsilon=Z, u=result)


def oracle_velocity():
    s, stds = 0.4, MIXTURE.stds
    result = flow_matching.exact_velocity(X_T[None], s, MIXTURE)[0]
    c = np.sqrt((1 - s) ** 2 * stds**2 + s**2)
    away = X_T - (1 - s) * MIXTURE.means
    r = MIXTURE.weights * np.exp(-0.5 * (away**2).sum(axis=1) / c**2) / c**2
    for k in range(2):
        yield case(result, k=k, s=s, u=result, r=r / r.sum(), c=c, sigma=stds, m=MIXTURE.means, names={"z_s": X_T, "range k": range(2)})


def time_and_scale():
    s, scale = flow_matching.time_and_scale(t, SCHEDULE)
    yield case(s, s=s, names={"z_s": scale * X_T})
    yield case(scale * X_T, s=s, names={"z_s": scale * X_T})


def velocity_from_v():
    result = flow_matching.velocity_from_v(X_T, t, X_PREV, SCHEDULE)
    yield case(result, u=result, v=X_PREV)


def flow_euler():
    u = network(X_T, 0.8)
    result = flow_matching.flow_euler_step(X_T, u, 0.8, 0.5)
    yield case(result, s=0.8, r=0.5, names={"z_r": result, "z_s": X_T, "u_theta": lambda env, z, s: network(z, s)})


def flow_heun():
    u = network(X_T, 0.8)
    ahead = flow_matching.flow_euler_step(X_T, u, 0.8, 0.5)
    result = flow_matching.flow_heun_step(X_T, u, network(ahead, 0.5), 0.8, 0.5)
    names = {"z_r": result, "z_s": X_T, "hat z_r": ahead, "u_theta": lambda env, z, s: network(z, s)}
    yield case(result, s=0.8, r=0.5, names=names)


def straight():
    table = schedules.straight_alpha_bar(T)
    yield case(table[3], t=3, s=3 / T, names={"bar alpha": table})


def smaller(env, a, b):
    return min(a, b)


def min_snr():
    for gamma in (0.5 * SNR[t], 2 * SNR[t]):
        result = loss_weights.min_snr(SNR[t], gamma)
        yield case(result, gamma=gamma, w={t: result}, min=smaller, SNR=SNR)


def p2():
    result = loss_weights.p2(SNR[t], 2.0, 0.7)
    yield case(result, gamma=0.7, k=2.0, w={t: result}, SNR=SNR)


def edm():
    result = loss_weights.edm(SNR[t], 0.4)
    yield case(result, w={t: result}, SNR=SNR, names={"sigma_d": 0.4})


NAMES = {"eps": "epsilon", "x_0": "x_0", "v": "v", "velocity": "u"}


def of_error():
    c = {kind: loss_weights.x_0_error_of(kind, t, SCHEDULE) for kind in NAMES}
    for kind in NAMES:
        yield case(c[kind], SNR=SNR, names={f"c_{name}": c[kind] for kind, name in NAMES.items()})


def of_prediction():
    for gamma in (0.5 * SNR[t], 2 * SNR[t]):
        w = {kind: loss_weights.prediction_weight(kind, t, SCHEDULE, gamma=gamma) for kind in ("eps", "x_0", "v")}
        for kind in w:
            yield case(w[kind], gamma=gamma, min=smaller, SNR=SNR, names={f"w_{NAMES[kind]}": w[kind] for kind in w})


def loss():
    y, said = X_0[:1], network(X_T[:1], t)
    result = loss_weights.weighted_loss(y[None], said[None], np.array([[0.7]]))
    names = {"y": y, "y_theta": lambda env, x, time: network(x[:1], time), "L": result}
    yield case(result, w={t: 0.7}, names=names)


def rescale():
    table = schedules.zero_terminal_alpha_bar(TABLES["alpha_bar"])
    yield case(table[t], alpha=0.9 * TABLES["alpha"], names={"hat alpha": table})  # else alpha_1 and bar alpha_1 are one number


def tilted_density():
    result = tilted.tilted_log_density(X_T[None], t, 1, MIXTURE, SCHEDULE, 2.5)[0]
    yield case(result, q=q_of_mixture, p=p_of_mixture, y=1, s=2.5, names={"q_s": lambda env, x: math.exp(result) if x is X_T else 1.0})


def tilted_score():
    result = tilted.tilted_score(X_T[None], t, 1, MIXTURE, SCHEDULE, 2.5)[0]
    yield case(result, q=q_of_mixture, p=p_of_mixture, y=1, s=2.5, names={"g_s": result})


def noisy_score():
    x_0, p = np.array([[-0.8], [0.1], [0.9]]), np.array([0.2, 0.5, 0.3])
    result = tilted.noisy_score(POINT[None], t, x_0, p, SCHEDULE)[0]

    def q(env, x, given):
        return density(x, *forward.q_mean_variance(given, t, SCHEDULE))

    joint = np.array([share * q(None, POINT, y) for share, y in zip(p, x_0, strict=True)])
    for i in range(3):
        names = {"range i": range(3), "range j": range(3)}
        yield case(result, i=i, g=result, q=q, p=p, y=x_0, r=joint / joint.sum(), x={t: POINT}, names=names)


def consistency_function():
    names = {"hat x": {0: consistency.consistency(POINT[None], t, LINE, SCHEDULE)[0]}, "F_0^-1": quantile_of(0), "F_t": left_of}
    yield case(names["hat x"][0], x={t: POINT}, names=names)


def consistency_loss():
    x = {t: X_T[:1], t - 1: X_PREV[:1]}
    result = consistency.consistency_loss(network(x[t], t)[None], network(x[t - 1], t - 1)[None])
    yield case(result, x=x, f=lambda env, x, time: network(x, time), names={"L": result})


def put_back():
    mask, known, unknown = np.array([1.0, 0.0]), np.array([0.9, 0.4]), np.array([0.3, -0.8])
    result = inpainting.put_back(unknown, known, mask)
    yield case(result, x={t - 1: result}, y={t - 1: known}, u={t - 1: unknown}, names={"M": mask})


def weights_given():
    mixture, y = GaussianMixture([0.3, 0.7], [[-0.8, 0.1], [0.6, 0.9]], [0.3, 0.5]), np.array([0.25, 0.0])
    r = inpainting.weights_given(y, np.array([True, False]), mixture)
    names = {"cal N": lambda env, x, mean, variance: density(x, mean, variance), "range j": range(2)}
    for k in range(2):
        yield case(r[k], k=k, r=r, w=mixture.weights, m=mixture.means[:, :1], s=mixture.stds, y=y[:1], names=names)


CASES_AFTER = {
    "score.from_eps": score_from_eps, "score.conditional": conditional_score, "score.explicit_loss": explicit_loss,
    "score.denoising_loss": denoising_loss, "ode.clock": clock, "ode.sde_step": sde_step, "ode.drift": drift,
    "ode.edm_sigma": edm_sigma, "ode.euler_step": euler_step, "ode.divergence": divergence, "ode.log_likelihood": log_likelihood,
    "flow_map.distribution": distribution, "flow_map.quantile": quantile, "flow_map.map": flow_map,
    "pair.from_v": pair(pairs.pair_from_v, "v", X_PREV), "pair.from_velocity": pair(pairs.pair_from_velocity, "u", X_PREV),
    "solver.half_log_snr": half_log_snr, "solver.heun_step": heun_step, "solver.data_2m": data_2m, "solver.dpm_pp_step": dpm_pp_step,
    "solver.sa_step": sa_step,
    "flow.path": path, "flow.target": target, "flow.oracle_velocity": oracle_velocity, "flow.time_and_scale": time_and_scale,
    "flow.velocity_from_v": velocity_from_v, "flow.euler_step": flow_euler, "flow.heun_step": flow_heun,
    "flow.straight_schedule": straight, "weights.min_snr": min_snr, "weights.p2": p2, "weights.edm": edm, "weights.of_error": of_error,
    "weights.of_prediction": of_prediction, "weights.loss": loss, "zero_snr.rescale": rescale, "tilted.log_density": tilted_density,
    "tilted.score": tilted_score, "tilted.noisy_score": noisy_score, "consistency.function": consistency_function,
    "consistency.loss": consistency_loss, "inpaint.replace": put_back, "inpaint.weights": weights_given,
}  # fmt: skip
