"""LaTeX by id: what comes after the deck, the equations of `minidiff/beyond/`. Data only."""

_A, _B = r"\sqrt{\bar\alpha_t}", r"\sqrt{1-\bar\alpha_t}"
_X, _X_0, _V, _U = r"\mathbf{x}_t", r"\mathbf{x}_0", r"\hat{\mathbf{v}}", r"\hat{\mathbf{u}}"
_X_0_HAT, _EPS_HAT = r"\hat{\mathbf{x}}_0", r"\hat{\boldsymbol\epsilon}"
_EPS = r"\boldsymbol\epsilon_\theta(\mathbf{x}_t,t)"
_SCORE = r"\nabla\log q(\mathbf{x}_t)"
_NOISE = rf"{_X}-{_A}\,{_X_0}"
_SNR, _MIN = r"\mathrm{SNR}_t", r"\min(\mathrm{SNR}_t,\gamma)"
_OF_PREV = r"\sqrt{\bar\alpha_{t-1}}\Big(\frac{\mathbf{x}_t}{\sqrt{\bar\alpha_t}}"

LATEX_AFTER: dict[str, str] = {
    "score.from_eps": rf"{_SCORE} = -\frac{{{_EPS}}}{{{_B}}}",
    "score.conditional": rf"\nabla\log q({_X}|{_X_0}) = -\frac{{{_NOISE}}}{{1-\bar\alpha_t}}",
    "score.explicit_loss": (
        r"\|\mathbf{s}_\theta(\mathbf{x}_t,t) - \mathbf{s}(\mathbf{x}_t,t)\|^2"
        rf" \quad \mathbf{{s}}(\mathbf{{x}}_t,t) = {_SCORE}"
    ),
    "score.denoising_loss": (
        rf"\|\mathbf{{s}}_\theta(\mathbf{{x}}_t,t) + \frac{{{_NOISE}}}{{1-\bar\alpha_t}}\|^2"
    ),
    "ode.clock": r"B_t = -\log\bar\alpha_t",
    "ode.sde_step": (
        r"\mathbf{x}_t = \mathbf{x}_{t-1} - \tfrac12\beta_t\mathbf{x}_{t-1}"
        r" + \sqrt{\beta_t}\,\mathbf{z}"
    ),
    "ode.drift": rf"\mathbf{{f}} = -\tfrac12\big({_X} + {_SCORE}\big)",
    "ode.edm_sigma": r"\sigma_t = \sqrt{\frac{1-\bar\alpha_t}{\bar\alpha_t}}",
    "ode.euler_step": (
        rf"\mathbf{{x}}_{{t-1}} = {_OF_PREV} + (\sigma_{{t-1}}-\sigma_t)\,{_EPS}\Big)"
    ),
    "ode.divergence": (
        r"\mathrm{div} = -\tfrac12\Big(D + \sum_k r_k\big(\|\mathbf{p}_k\|^2 - \frac{D}{v_k}\big)"
        r" - \|\mathbf{g}\|^2\Big)"
        r" \quad \mathbf{p}_k = \frac{\sqrt{\bar\alpha_t}\,\mathbf{m}_k-\mathbf{x}_t}{v_k}"
        r" \quad v_k = \bar\alpha_t s_k^2 + 1 - \bar\alpha_t"
        r" \quad \mathbf{g} = \sum_k r_k\mathbf{p}_k"
    ),
    "ode.log_likelihood": (
        r"\log p(\mathbf{x}_0) = \log\mathcal{N}(\mathbf{x}_T;\mathbf{0},\mathbf{I})"
        r" + \int_0^{B_T} \mathrm{div}(B)\,dB"
    ),
    "flow_map.distribution": (
        r"F_t(\mathbf{x}_t) = \sum_k w_k\,\Phi\Big(\frac{\mathbf{x}_t-\sqrt{\bar\alpha_t}\,"
        r"\mathbf{m}_k}{\sqrt{\bar\alpha_ts_k^2+1-\bar\alpha_t}}\Big)"
    ),
    "flow_map.quantile": r"\mathbf{x}_t = F_t^{-1}(u)",
    "flow_map.map": r"\mathbf{x}_s = F_s^{-1}(F_t(\mathbf{x}_t))",
    "pair.from_v": (
        rf"{_X_0_HAT} = {_A}\,{_X} - {_B}\,{_V} \quad {_EPS_HAT} = {_B}\,{_X} + {_A}\,{_V}"
    ),
    "pair.from_velocity": (
        rf"{_X_0_HAT} = \frac{{{_X} - {_B}\,{_U}}}{{{_A}+{_B}}}"
        rf" \quad {_EPS_HAT} = \frac{{{_X} + {_A}\,{_U}}}{{{_A}+{_B}}}"
    ),
    "solver.half_log_snr": r"\lambda_t = \log\frac{\sqrt{\bar\alpha_t}}{\sqrt{1-\bar\alpha_t}}",
    "solver.log_snr_times": (
        r"\lambda_{\tau_i} = \lambda_1 + \frac{i-1}{S-1}(\lambda_T-\lambda_1), \quad \tau_S = T"
    ),
    "solver.heun_step": (
        rf"\mathbf{{x}}_{{t-1}} = {_OF_PREV} + (\sigma_{{t-1}}-\sigma_t)"
        rf"\frac{{{_EPS}+\boldsymbol\epsilon_\theta(\hat{{\mathbf{{x}}}}_{{t-1}},t-1)}}{{2}}\Big)"
    ),
    "solver.data_2m": (
        r"\mathbf{D}_t = \hat{\mathbf{x}}(t)"
        r" + \frac{h_t}{2h_{t+1}}\big(\hat{\mathbf{x}}(t)-\hat{\mathbf{x}}(t+1)\big)"
        r" \quad h_t = \lambda_{t-1}-\lambda_t"
    ),
    "solver.dpm_pp_step": (
        r"\mathbf{x}_{t-1} = \frac{\sqrt{1-\bar\alpha_{t-1}}}{\sqrt{1-\bar\alpha_t}}\,\mathbf{x}_t"
        r" - \sqrt{\bar\alpha_{t-1}}\,(\exp(-h_t)-1)\,\mathbf{D}_t"
        r" \quad h_t = \lambda_{t-1}-\lambda_t"
    ),
    "solver.sa_step": (
        r"\mathbf{x}_{t-1} = \frac{\sqrt{1-\bar\alpha_{t-1}}}{\sqrt{1-\bar\alpha_t}}"
        r"\,\exp(-\eta h_t)\,\mathbf{x}_t"
        r" + \sqrt{\bar\alpha_{t-1}}\,(1-\exp(-(1+\eta)h_t))\,\mathbf{D}_t"
        r" + \sqrt{1-\bar\alpha_{t-1}}\,\sqrt{1-\exp(-2\eta h_t)}\,\mathbf{z}"
        r" \quad h_t = \lambda_{t-1}-\lambda_t"
    ),
    "flow.path": r"\mathbf{z}_s = (1-s)\,\mathbf{x}_0 + s\,\boldsymbol\epsilon",
    "flow.target": r"\mathbf{u} = \boldsymbol\epsilon - \mathbf{x}_0",
    "flow.oracle_velocity": (
        r"\mathbf{u} = \sum_k r_k\Big(\frac{s-(1-s)\sigma_k^2}{c_k^2}"
        r"(\mathbf{z}_s-(1-s)\,\mathbf{m}_k) - \mathbf{m}_k\Big)"
        r" \quad c_k^2 = (1-s)^2\sigma_k^2 + s^2"
    ),
    "flow.time_and_scale": (
        rf"s = \frac{{{_B}}}{{{_A}+{_B}}} \quad \mathbf{{z}}_s = \frac{{{_X}}}{{{_A}+{_B}}}"
    ),
    "flow.velocity_from_v": (
        rf"\mathbf{{u}} = ({_B}-{_A})\,{_X} + ({_A}+{_B})\,\mathbf{{v}}"
    ),
    "flow.euler_step": (
        r"\mathbf{z}_r = \mathbf{z}_s + (r-s)\,\mathbf{u}_\theta(\mathbf{z}_s,s)"
    ),
    "flow.heun_step": (
        r"\mathbf{z}_r = \mathbf{z}_s + (r-s)\frac{\mathbf{u}_\theta(\mathbf{z}_s,s)"
        r"+\mathbf{u}_\theta(\hat{\mathbf{z}}_r,r)}{2}"
    ),
    "flow.straight_schedule": r"\bar\alpha_t = \frac{(1-s)^2}{(1-s)^2+s^2} \quad s = \frac{t}{T}",
    "weights.min_snr": (
        rf"w_t = {_MIN} \quad {_SNR} = \frac{{\bar\alpha_t}}{{1-\bar\alpha_t}}"
    ),
    "weights.p2": rf"w_t = \frac{{{_SNR}}}{{(k+{_SNR})^\gamma}}",
    "weights.edm": rf"w_t = {_SNR} + \frac{{1}}{{\sigma_d^2}}",
    "weights.of_error": (
        rf"c_\epsilon = \frac{{1}}{{{_SNR}}} \quad c_{{x_0}} = 1"
        rf" \quad c_v = \frac{{1}}{{{_SNR}+1}} \quad c_u = \Big(\frac{{{_B}}}{{{_A}+{_B}}}\Big)^2"
    ),
    "weights.of_prediction": (
        rf"w_\epsilon = \frac{{{_MIN}}}{{{_SNR}}} \quad w_{{x_0}} = {_MIN}"
        rf" \quad w_v = \frac{{{_MIN}}}{{{_SNR}+1}}"
    ),
    "weights.loss": r"L = E\big[w_t(\mathbf{y}-\mathbf{y}_\theta(\mathbf{x}_t,t))^2\big]",
    "zero_snr.rescale": (
        r"\hat\alpha_t = \Big((\sqrt{\bar\alpha_t}-\sqrt{\bar\alpha_T})"
        r"\frac{\sqrt{\bar\alpha_1}}{\sqrt{\bar\alpha_1}-\sqrt{\bar\alpha_T}}\Big)^2"
    ),
    "tilted.log_density": (
        r"\log q_s(\mathbf{x}_t) = \log q(\mathbf{x}_t) + s\log p(y|\mathbf{x}_t)"
    ),
    "tilted.score": (
        r"\mathbf{g}_s = \nabla\log q(\mathbf{x}_t) + s\,\nabla\log p(y|\mathbf{x}_t)"
    ),
    "tilted.noisy_score": (
        r"\mathbf{g} = \sum_i r_i\frac{\sqrt{\bar\alpha_t}\,\mathbf{y}_i-\mathbf{x}_t}"
        r"{1-\bar\alpha_t} \quad r_i = \frac{p_i\,q(\mathbf{x}_t|\mathbf{y}_i)}"
        r"{\sum_j p_j\,q(\mathbf{x}_t|\mathbf{y}_j)}"
    ),
    "consistency.function": rf"{_X_0_HAT} = F_0^{{-1}}(F_t({_X}))",
    "consistency.loss": (
        r"L = E\big[(\mathbf{f}(\mathbf{x}_t,t)-\mathbf{f}(\mathbf{x}_{t-1},t-1))^2\big]"
    ),
    "inpaint.replace": (
        r"\mathbf{x}_{t-1} = \mathbf{M}\,\mathbf{y}_{t-1} + (1-\mathbf{M})\,\mathbf{u}_{t-1}"
    ),
    "inpaint.weights": (
        r"r_k = \frac{w_k\,\mathcal{N}(\mathbf{y};\mathbf{m}_k,s_k^2\mathbf{I})}"
        r"{\sum_j w_j\,\mathcal{N}(\mathbf{y};\mathbf{m}_j,s_j^2\mathbf{I})}"
    ),
    "tilted.interval": (
        r"s_t = s \text{ for } t \in \{t_1, \dots, t_2\}, \quad s_t = 1 \text{ elsewhere}"
    ),
}
