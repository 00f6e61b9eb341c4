"""Slides 11 to 17: the bound, line by line, and the loss that is left of it. Data only."""

# fmt: off
from minidiff.classroom.tables.slide import Slide, formula
from minidiff.classroom.tables.slides_forward import CHAIN, CLOSED, STEP
from minidiff.classroom.tables.slides_reverse import POSTERIOR, REVERSE_STEP

LOSS = "Loss Function"

L_SIMPLE = formula("L_simple", r"L_t^simple=E_t\sim[1,T]",
    "losses.L_simple", "losses.squared_norm", "ddpm.algorithm_1")

SLIDES_LOSS = (
    Slide(11, LOSS, (
        formula("the likelihood", r"p_\theta(x_0):=\intp_\theta(x_0:T)dx_1:T",
                "vlb.log_likelihood"),
        formula("the loss", r"L=-\log(p_\theta(x_0))", "vlb.log_likelihood"),
    )),
    Slide(12, LOSS, (
        formula("the bound", r"-\logp_\theta(x_0)\leq-\logp_\theta(x_0)+D_KL(q(x_1:T|x_0)",
                "vlb.with_kl", "vlb.log_likelihood", "gaussian.kl"),
        formula("the KL written out", r"=-\logp_\theta(x_0)+E_x_1:T\sim", "vlb.kl_written_out"),
        formula("the evidence taken out", r"=-\logp_\theta(x_0)+E_q[", "vlb.evidence_taken_out"),
        formula("what is left", r"=E_q[\log\fracq(x_1:T|x_0)p_\theta(x_0:T)]", "vlb.of_chain"),
        formula("L_VLB", r"L_VLB=E_q(x_0:T)[\log\frac", "vlb.of_chain", "vlb.total"),
    )),
    Slide(13, LOSS, (
        formula("L_VLB again", "L_VLLB=E_q(x_0:T)", "vlb.of_chain"),
        formula("two chains", r"=E_q[\log\frac\prod_t=1^Tq(x_t|x_t-1)",
                "vlb.two_products", "forward.q_chain", "reverse.p_chain"),
        formula("a sum of logarithms", r"=E_q[-\logp_\theta(x_T)+\sum_t=1^T",
                "vlb.sum_of_logarithms"),
        formula("t = 1 apart", r"=E_q[-\logp_\theta(x_T)+\sum_t=2^T\log\fracq(x_t|x_t-1)",
                "vlb.t_1_apart"),
        formula("Bayes in every term", r"=E_q[-\logp_\theta(x_T)+\sum_t=2^T\log(\frac",
                "vlb.bayes_in_every_term", "posterior.bayes"),
        formula("two sums", r"+\sum_t=2^T\log\fracq(x_t|x_0)q(x_t-1|x_0)", "vlb.two_sums"),
        formula("telescoped",
                r"+\log\fracq(x_T|x_0)q(x_1|x_0)+\log\fracq(x_1|x_0)p_\theta(x_0|x_1)",
                "vlb.telescoped"),
        formula("cancelled", r"=E_q[\log\fracq(x_T|x_0)p_\theta(x_T)+\sum_t=2^T",
                "vlb.of_chain_by_posterior"),
        formula("KL terms", "=E_q[D_KL(q(x_T|x_0)",
                "vlb.total", "vlb.L_T", "vlb.L_t_minus_1", "vlb.L_0", "gaussian.kl"),
    )),
    Slide(14, LOSS, (
        formula("L_0", None, "vlb.L_0", "gaussian.discretised", "gaussian.bits_per_dim"),
        formula("L_T", None, "vlb.L_T", "schedule.L_T_of_unit_pixel"),
        formula("L_VLB without its ends", r"E_q[\sum_t=2^TD_KL(q(x_t-1|x_t,x_0)",
                "vlb.L_t_minus_1", "vlb.total"),
        formula("L_{t-1} of two means", r"L_t=E_x_0,\epsilon[\frac12\|\Sigma_\theta(x_t,t)\|_2^2",
                "vlb.L_t_minus_1_of_means"),
        formula("with mu_theta", r"=E_x_0,\epsilon[\frac12\|\Sigma_\theta\|_2^2\|\frac1",
                "vlb.L_t_minus_1_of_means", "reverse.mu_theta"),
        formula("L_{t-1} of two noises", r"=E_x_0,\epsilon[\frac(1-\alpha_t)^22\alpha_t",
                "losses.weighted", "losses.weight", "losses.squared_norm"),
        L_SIMPLE,
    )),
    Slide(15, "Summary", (
        formula("forward", r"x_t=\sqrt\alpha_tx_0+\sqrt1-\alpha_t\epsilon", "forward.q_sample"),
        L_SIMPLE, REVERSE_STEP,
    )),
    Slide(16, "Why Is Scheduler Needed", (
        STEP, CHAIN, CLOSED, POSTERIOR, L_SIMPLE,
    )),
    Slide(17, "Why Predict Noise Instead Of Whole Image", (
        L_SIMPLE,
        formula("the noise as target", None, "targets.x_0_from_eps", "oracle.eps"),
        formula("the image as target", None, "targets.eps_from_x_0"),
        formula("the mean as target", None, "targets.eps_from_mu_tilde", "posterior.mu_tilde"),
        formula("v, a target in between", None,
                "targets.v", "targets.eps_from_v", "targets.x_0_from_v"),
    ), code=("minidiff.diffusion.targets.as_eps_theta",)),
)
