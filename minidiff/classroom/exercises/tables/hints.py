"""Hints for each exercise, from the idea to the terms that are needed; none is the code itself."""

from __future__ import annotations

_SCHEDULE = "schedule.at(t, like=...) holds alpha, beta, alpha_bar, one_minus_alpha_bar at t."
_PREV = "schedule.at(t_prev, first=0) holds the coefficients of the time that you jump to."

HINTS: dict[str, tuple[str, ...]] = {
    "linear_beta": (
        "T numbers at equal distances, from beta_1 to beta_T: NumPy has a function for it.",
        "Fewer steps must be larger ones. With rescale, what a step leaves over, 1 - beta, is "
        "raised to the power 1000 / T.",
    ),
    "cosine_beta": (
        "Compute f for t = 0, 1, ..., T: T + 1 numbers, the square of a cosine that falls from "
        "nearly 1 to 0.",
        "The angle is (t / T + s) / (1 + s) of a quarter of a circle.",
        "beta_t compares alpha_bar_t with the one before it: two slices of one array.",
    ),
    "alpha_bar_table": (
        "alpha_bar_t is the product of all alpha up to t. NumPy has a function for running "
        "products.",
        "beta has T + 1 entries, and beta_0 = 0, so entry 0 of the result is 1 by itself.",
    ),
    "q_step": (
        "A little of the image is taken away, a little noise is added, so that a variance of 1 "
        "stays 1.",
        _SCHEDULE,
        "Variances add up: factors of x and eps are square roots.",
    ),
    "q_sample": (
        "All t steps in one: a share of the image, and a share of one noise.",
        _SCHEDULE + " Of these you need the ones with a bar.",
        "Both factors are square roots, and their squares add up to 1.",
    ),
    "beta_tilde_table": (
        "Entry t needs the entry t - 1 of one_minus_alpha_bar: a slice that begins at 0 over one "
        "that begins at 1.",
        "Entry 0 stays 0: the data have no step before them.",
    ),
    "mu_tilde": (
        "A weighted sum of x_t and x_0. The weights are DDPM's equation 7.",
        "The weight of x_0 needs alpha_bar of t - 1, that of x_t needs alpha of t.",
        "At t - 1 = 0 give first=0 to schedule.at. Both weights are divided by 1 - alpha_bar_t.",
    ),
    "kl_gaussians": (
        "Two parts: one compares the variances, the other the means.",
        "With the ratio of the variances r: r - 1 - log r. The distance of the means counts in "
        "units of the second variance.",
    ),
    "L_t_minus_1": (
        "q_posterior gives mean and variance of the true step, mu_theta the mean of the model's.",
        "The order in the KL divergence matters: q comes first.",
        "likelihood_variance(t, schedule, variance, like=x_t) is the model's variance. Sum over "
        "the pixels of each image.",
    ),
    "x_0_from_eps": (
        "Solve x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps for x_0.",
        "Take the noise away first, then divide by the image's factor.",
    ),
    "v_target": (
        "The same two factors as in q_sample, each at the other array.",
        "One of the two terms has a minus.",
    ),
    "mu_theta": (
        "Take a share of the predicted noise away, and enlarge what is left.",
        "The share is a variance over a standard deviation: beta without a root, the other with.",
        "In the end divide by the root of alpha, not of alpha_bar.",
    ),
    "p_step": (
        "A mean and a standard deviation make a sample from a standard normal z.",
        "sigma_t is a standard deviation already.",
    ),
    "loss_weight": (
        "The KL of two Gaussians of one variance is the squared distance of means / 2 variance.",
        "The means differ by beta / sqrt(alpha (1 - alpha_bar)) times the error in eps: square "
        "that.",
        "sigma_squared(t, schedule, variance) is sigma_t^2, which is not squared once more.",
    ),
    "L_simple": ("The difference, its square, and then one number for all of it.",
                 "The mean over everything, not the sum, and no factor 1/2."),
    "training_terms": (
        "Line by line: make x_t from x_0 and eps, ask the network at x_t and t, compare with eps.",
        "q_sample gives x_t. L_simple(eps, eps_hat) compares.",
        "Put all of it into a Step: Step(\"train\", t, ..., loss=loss).",
    ),
    "ddpm_steps": (
        "Begin with starting_noise(start, rng). Then a loop from t = T down to 1.",
        "In it: predict eps, then mu_theta, sigma_squared, p_step. predict(eps_theta, x_t, t) "
        "returns the pair eps and v.",
        "z = 0 in the last step, t = 1, and only there. After the yield, x_prev is the next x_t.",
    ),
    "clip_x_0": (
        "First find x_0_hat from eps_hat, then clip it, then ask which eps belongs to it.",
        "eps_from_x_0 is the way back. Without a clip (None) nothing changes.",
    ),
    "make_tau": (
        "S numbers from 1 to T at equal distances, rounded to integers.",
        "The distance from 1 is (T - 1) i / (S - 1) for i = 0 ... S - 1; \"quadratic\" squares "
        "the fraction.",
        "Halves are rounded up, and in integers: (2 a + b) // (2 b) rounds a / b. Two equal times "
        "are moved apart. S = 1 gives T alone.",
    ),
    "ddim_sigma": (
        "Two roots and eta: the noise that is left, and the beta of the jump.",
        _PREV + " schedule.jump_beta(t_prev, t) is 1 - alpha_bar_t / alpha_bar_prev.",
    ),
    "ddim_direction": (
        "x_prev may hold the variance 1 - alpha_bar_prev of noise. Fresh noise takes a part.",
        _PREV,
        "What is left of the variance, under a root, times eps_hat. sigma_t is no variance yet.",
    ),
    "ddim_step": (
        "Three terms: the predicted image, the direction, fresh noise.",
        _PREV + " Only the image still needs a factor.",
    ),
    "swish": (
        "logistic(x) is the sigmoid. y = x times it.",
        "A product rule: the derivative of the sigmoid is sigma (1 - sigma).",
        "Return y and a function of dy that returns dx.",
    ),
    "group_norm": (
        "Reshape to (images, groups, everything else), and take mean and variance along the last.",
        "Divide by sqrt(var + eps), go back to the shape of x, then weight and bias per channel.",
    ),
    "group_norm_backward": (
        "Three gradients: dx, dweight, dbias. For num_groups, which comes second, give None.",
        "dbias sums dy over images and pixels, dweight sums dy x_hat.",
        "dx: every x has a part in the mean and in the variance of its group. So take from dx_hat "
        "its mean, and x_hat times the mean of dx_hat x_hat.",
    ),
    "conv2d": (
        "Loop over the elements (u, v) of the kernel, not over pixels: taps(geometry) gives each "
        "with the pixels that it meets.",
        "Pad the image, reshape its channels to groups, and add up one product for each element.",
        "xp.einsum can multiply over the channels. The kernel is not turned round.",
    ),
    "conv2d_backward": (
        "The same loop as above, with its line transposed, once for the image, once for the "
        "kernel.",
        "The image: what was read at padded[seen] now collects: +=. The kernel: one element (u, v) "
        "at a time, summed over images and pixels.",
        "In the end cut the padding off (geometry.inside). dbias sums dy over all but channels.",
    ),
    "attention": (
        "Scores are products of queries and keys, softmax runs over the keys, then a mean of the "
        "values.",
        "The scores are divided by the root of the last size d. A mask of booleans puts -inf.",
        "Subtract the largest score of each query first, so that exp does not overflow.",
    ),
    "attention_backward": (
        "Go back line by line: y = p value, p = softmax(scores), scores = scale query key^T.",
        "Softmax: dscores = p (dp - sum of dp p over the keys).",
        "scale stands before both dquery and dkey. A transposed matrix is swapaxes(-1, -2).",
    ),
    "classifier_eps": (
        "The score is -eps / sqrt(1 - alpha_bar_t). Bayes adds s times the gradient to it.",
        "Solve for eps: the sign turns, and the root goes to the gradient.",
    ),
    "classifier_free_s": (
        "Start at the unconditional prediction and go towards the conditional one.",
        "s = 1 must give eps_y, s = 0 eps_uncond.",
    ),
    "nearest_code": (
        "The squared distance of every vector to every code: (N, K), then argmin.",
        "|z - e|^2 = |z|^2 - 2 z e + |e|^2: one matrix product. |z|^2 can be left out.",
    ),
    "straight_through": (
        "The value must be e, but the gradient must go to z_e.",
        "z_e plus something that has no gradient: detach.",
    ),
    "commitment_loss": (
        "A mean squared error, times beta.",
        "The codes must not feel it: detach one of the two.",
    ),
    "ema_codebook": (
        "Count the vectors of each code and sum them: a (n, K) matrix of 0 and 1 does both.",
        "gamma of the old, 1 - gamma of the new, for N and for m. The codebook is their quotient.",
    ),
    "kl_to_standard_normal": (
        "The KL of two Gaussians, of which the second has mean 0 and variance 1.",
        "Per element half of: square of mu, plus variance, minus 1, minus log variance. Sum for "
        "each image.",
    ),
    "latent_scale": (
        "A factor that makes the standard deviation 1.",
        "Subtract the mean for the variance. The result is a float.",
    ),
}  # fmt: skip
