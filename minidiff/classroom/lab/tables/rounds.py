"""The rounds with real bugs: what programs and slides had for years, each with its symptom."""

from __future__ import annotations

from typing import NamedTuple


class History(NamedTuple):
    """A bug that people had.

    title: names the symptom and not the bug; cause and others: keys of CAUSES, the right answer
    and wrong ones; seen: where it was; lesson: what to keep from it
    """

    title: str
    experiment: str
    cause: str
    others: tuple[str, ...]
    hints: tuple[str, ...]
    seen: str
    lesson: str


HISTORY = (
    History(
        "Clusters half as wide", "ddpm-beta", "no noise at t = 2",
        ("noise at t = 1", "t = 1 left out", "t - 1", "x_prev clipped"),
        ("The points are at the right places, and too close together: the end of the loop made it.",
         "Which step of the end puts the last noise in? Count from T down to 1."),
        "The deck's Algorithm 2 has `if i > 1` with an i that counts from 0 (erratum 24).",
        "Whoever shifts an index by one must shift every comparison with it."),
    History(
        "Clusters twice as wide", "ddpm", "beta for beta_tilde",
        ("no noise at t = 2", "t = 1 left out", "variance for sigma", "t - 1"),
        ("The mean of each step is right. What else does a step need?",
         "Two variances are in use. They differ most at small t: by 0 and 1 at t = 1."),
        "The deck's formula has sqrt(beta_tilde) z, its code sqrt(beta) z (erratum 9).",
        "Both are choices; the numbers of one do not compare with those of the other."),
    History(
        "Noise all over the plane", "ddpm-beta", "upwards",
        ("variance for sigma", "alpha_bar in the mean", "x_prev clipped", "noise at t = 1"),
        ("No number blew up: the standard deviation is nearly that of the data.",
         "Each step is right by itself. In which order must they run?"),
        "The deck's sampling loop is `for i in range(noise_steps)` (erratum 22).",
        "A sampler goes from T down to 1. Print the first t and the last."),
    History(
        "Clusters a quarter too narrow", "ddpm", "t - 1",
        ("no noise at t = 2", "beta for beta_tilde", "t = 1 left out", "linear not rescaled"),
        ("The samples look fine. Only the width tells, and it is less wrong than in other rounds.",
         "The formulas are right. What is the network told?"),
        "Training with t in 1..T and sampling with t in 0..T-1: an old trap of 0-based tables.",
        "Agree on one index rule, and let t = 0 be the data. Then an off-by-one raises an error."),
    History(
        "Points in a box", "ddpm", "x_prev clipped",
        ("upwards", "linear not rescaled", "variance for sigma", "no noise at t = 2"),
        ("Look at the picture: where do the points end?",
         "A prediction of x_0 may be bounded. What may not?"),
        "`x = x.clamp(-1, 1)` inside the sampling loop, in many tutorials.",
        "x_t is image plus noise, and must be free to leave the range of images."),
    History(
        "A sampler that starts in the wrong place", "ddpm-cosine", "clip at 0.02",
        ("cosine without its square", "beta for alpha", "x_prev clipped", "beta for beta_tilde"),
        ("Four numbers are of the samples. The fifth says where the bug is.",
         "What must sqrt(alpha_bar_T) be, and which beta_t of the cosine are large?"),
        "The deck clips the cosine's betas to [0.0001, 0.02] (erratum 6).",
        "Whatever alpha_bar_T is, sampling starts at N(0, I). Print schedule.check()."),
    History(
        "Good steps, the wrong beginning", "ddpm", "linear not rescaled",
        ("upwards", "t - 1", "variance for sigma", "no noise at t = 2"),
        ("Every step is right. Is x_T what the sampler believes?",
         "beta_1 and beta_T of the paper belong to one number of steps."),
        "Tutorials with T = 300 or T = 500 keep 0.0001 and 0.02; no error says so.",
        "Fewer steps must be larger ones: 60 % of alpha_bar is left after 50 of the paper's."),
    History(
        "Points that collapse", "ddpm-beta", "variance for sigma",
        ("upwards", "no noise at t = 2", "noise at t = 1", "beta_tilde for beta"),
        ("Compare the standard deviation of all with that of the data.",
         "Something that should spread the points is too small at every t."),
        "`mean + posterior_variance * noise`: a variance where a standard deviation belongs.",
        "Name arrays by what they are: sigma_t, variance_t, log_variance."),
    History(
        "DDIM that stays noise", "ddim", "alpha for alpha_bar, DDIM",
        ("sigma not taken off", "image without its root", "no direction", "sigma without its root"),
        ("It is wrong for every eta: no question of noise.",
         "Two papers use one letter for two things."),
        "DDIM's alpha is DDPM's alpha_bar; the deck mixes them (erratum 28).",
        "Before a formula is copied, look up its letters in the paper that it is from."),
    History(
        "The more noise, the worse", "ddim", "sigma not taken off",
        ("alpha for alpha_bar, DDIM", "image without its root", "no direction",
         "sigma without its root"),
        ("eta = 0 is right.", "x_prev may hold the variance 1 - alpha_bar_prev of noise, in all."),
        "A deterministic DDIM with `+ sigma * noise` added at its end.",
        "Fresh noise takes the place of predicted noise; it does not come on top."),
    History(
        "Points far from all data", "clip", "no clip",
        ("no direction", "image without its root", "t - 1", "alpha for alpha_bar, DDIM"),
        ("The predictor is wrong by 5 % here, on purpose. Something used to mend that.",
         "x_0_hat divides by sqrt(alpha_bar_t), which is tiny at the beginning."),
        "Samplers ported without the line `x_0.clamp(-1, 1)` that DDPM's code has.",
        "A small error of eps is a huge one of x_0_hat near t = T. Clip x_0_hat, or predict v."),
    History(
        "A loss that jumps", "training", "one t for the batch",
        ("sum for mean", "gradients not zeroed", "t ignored", "t drawn twice"),
        ("The mean of the loss is nearly right.",
         "What makes one batch hard and the next one easy?"),
        "`t = randint(1, T)` before a loop over the images; the deck's code has it (erratum 21).",
        "Draw one t for each image: then every batch is a mixture of easy and hard."),
    History(
        "A falling loss, and samples of noise", "training", "average never updated",
        ("average never used", "eps drawn twice", "t drawn twice", "gradients not zeroed"),
        ("The loss says that the network learned. Are the samples from that network?",
         "Two sets of parameters exist."),
        "An EMA made before the loop, sampled from after it, and no line in between.",
        "Test a training by its samples; the loss does not know which parameters you sample from."),
    History(
        "Samples that shake", "training", "average never used",
        ("average never updated", "one t for the batch", "t in 0..1", "noise without its root"),
        ("Loss and samples are right in kind, only worse than they should be.",
         "The learning rate is large. What hides that, normally?"),
        "Programs that keep an EMA, save it, and sample from the last parameters.",
        "Averaged parameters are nearer to the exact noise than any of those they average."),
    History(
        "A network that guesses the time", "training", "t drawn twice",
        ("noise without its root", "one t for the batch", "eps drawn twice", "average never used"),
        ("Look at which times have the largest distance to the exact noise.",
         "The network is told something that does not belong to x_t."),
        "`t` is drawn in the loss and once more in the loop.",
        "Draw once, and pass it on: x_t, t and eps belong together."),
    History(
        "The loss stays at one", "training", "eps drawn twice",
        ("t drawn twice", "gradients not zeroed", "sum for mean", "average never updated"),
        ("Which constant guess has a loss of 1?", "If eps can't be known from x_t, 0 is the best."),
        "`loss = mse(torch.randn_like(x), model(x_t, t))`, typed in a hurry.",
        "A loss of 1 means: nothing was learned about N(0, 1). Only less than 1 is knowledge."),
    History(
        "A training that never settles", "training", "gradients not zeroed",
        ("one t for the batch", "sum for mean", "t ignored", "average never used"),
        ("The loss falls and climbs again.", "Each step should know only its own batch."),
        "A missing optimizer.zero_grad(): the classic of every framework.",
        "Gradients add up until somebody clears them."),
    History(
        "All times are one time", "unet", "t ignored",
        ("t in 0..1", "channels multiply up", "attention without norm"),
        ("The size of the network is right.", "Compare the outputs at t = 1 and t = 900."),
        "minDiffusion's first network takes t as an argument and does not use it.",
        "Ask the finished network at two times, and see that it says two things."),
    History(
        "Neighbours in time look alike", "unet", "t in 0..1",
        ("t ignored", "channels multiply up", "attention without norm"),
        ("The embeddings differ, but hardly.",
         "The slowest wave of the embedding is slow for whole numbers already."),
        "t / T fed into the transformer's embedding, whose frequencies are for 1, 2, 3, ...",
        "An embedding has a scale. Print the distance of neighbours."),
    History(
        "Variance that dips", "forward", "noise without its root",
        ("signal without its root", "alpha for alpha_bar, jump", "step without its root",
         "linear not rescaled"),
        ("For data of variance 1, x_t must have variance 1 at every t.",
         "The share of x_0 is right. So what is too small?"),
        "`(1 - alpha_bar) * noise` in place of its root.",
        "Squares of the two factors add up to 1: assert that in your own code."),
    History(
        "Two ways that part", "forward", "step without its root",
        ("noise without its root", "signal without its root", "alpha for alpha_bar, jump",
         "linear not rescaled"),
        ("Jump and chain must have the same distribution.", "Only one of the curves is wrong."),
        "beta_t taken for a standard deviation, as its name on the slide suggests (erratum 1).",
        "beta_t is a variance. The chain and the jump test each other."),
    History(
        "A step back that lands too low", "posterior", "posterior one step late",
        ("posterior alpha_bar", "posterior beta", "beta for alpha"),
        ("The spread is right, the mean is not, and only late.",
         "mu_tilde needs the coefficients of two times."),
        "`alphas_cumprod[t]` where `alphas_cumprod_prev[t]` belongs.",
        "Marginals check a posterior: draw x_t, step back, and compare with q(x_{t-1} | x_0)."),
    History(
        "A block that grows with its input", "attention", "attention without norm",
        ("attention without root", "attention divided by d", "softmax over queries"),
        ("One number should not depend on the size of x.",
         "The entropies of plain attention are right. So it is the block around it."),
        "The U-Net that the deck cites makes the norm and never calls it (erratum 34).",
        "A module that is made and not called costs parameters and does nothing: grep for it."),
    History(
        "Attention that stares at one key", "attention", "attention without root",
        ("attention without norm", "attention divided by d", "softmax over queries"),
        ("It is right for d = 4 or nearly, and wrong for d = 256.",
         "A product of two random vectors of length d has a standard deviation of sqrt(d)."),
        "softmax(Q K^T) V, as the deck's slide names only Q, K and V (erratum 49).",
        "Check the entropy of the probabilities before training: near log n, not near 0."),
    History(
        "Five times the parameters", "unet", "channels multiply up",
        ("t ignored", "t in 0..1", "attention without norm"),
        ("What the network is told of t is right.", "ch_mults is (1, 2, 2, 2): multiples of what?"),
        "`out_channels = in_channels * ch_mults[i]` on the deck (erratum 37).",
        "Count the parameters and compare with the paper's table."),
    History(
        "Lazy codes", "codebook", "beta at the wrong term",
        ("commitment to the codes", "no codebook loss", "nearest without its 2"),
        ("Two things move, each by a loss of its own.",
         "beta = 0.25 is meant to hold one of them back. Which?"),
        "taming-transformers had it, and keeps it as its default for old checkpoints.",
        "Ask of each term whom its gradient reaches, and look at how far that moves."),
    History(
        "A weight that never ends", "min-snr", "min-SNR of v",
        ("min-SNR floored", "SNR of the roots", "min-SNR max"),
        ("eps and x_0 agree with one another.",
         "Look at t = 50: x_t is all noise there, and says nothing about x_0."),
        "diffusers' training programs, until the end of 2023 (issue 5654).",
        "State a weight once, for |x_0 - x_0_hat|^2, and convert it."),
    History(
        "A weight that is never below one", "min-snr", "min-SNR floored",
        ("min-SNR of v", "SNR of the roots", "min-SNR max"),
        ("Only v is wrong, at every t.", "At t = 25 it is wrong by a different factor than at 50."),
        "diffusers' training programs, in the autumn of 2023: the weight for eps plus 1.",
        "A floor added for one prediction is another loss for the next."),
    History(
        "A weight a hundred times too large", "loss-weight", "sigma to the fourth",
        ("weight without its 2", "weight with alpha_bar", "KL turned round"),
        ("The KL is right, the other way is not.",
         "At which t is it worst, and what is smallest there?"),
        "The deck writes 1 / (2 ||Sigma||^2), which is sigma^4 (erratum 14).",
        "Compute a weighted loss twice, by the formula and by the KL that it came from."),
    History(
        "A bound far from the truth", "bits", "L_0 in the sum",
        ("nats for bits", "KL turned round", "one image for one pixel", "posterior beta"),
        ("L_0 and L_T are right.", "By how much is the sum too large, in units of L_0?"),
        "The deck's last line has -log p(x_0 | x_1) inside the sum (erratum 10).",
        "A sum over t = 2..T has T - 1 terms. Count what is in it."),
    History(
        "Guidance one too weak", "guided", "w for 1 + w",
        ("guidance sign", "guidance without its root", "guidance without variance"),
        ("Two ways of classifier-free guidance must agree: s = 1 + w.",
         "Three of the four ways are right."),
        "The paper's w given to a program that wants s, or the other way round (erratum 42).",
        "s = 0 unconditional, s = 1 conditional; w is one less. Test both ends."),
)  # fmt: skip
