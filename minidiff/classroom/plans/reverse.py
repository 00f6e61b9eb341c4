"""The way back and the bound: slides 6 to 21."""

from minidiff.classroom.plans.plan import Plan, Stage

REVERSE = Plan(
    "reverse", "The way back and the bound",
    "The class has seen the closed form. Bayes' theorem and the KL divergence on the board.",
    (
        Stage(
            8, "Why a network", "The true step back needs the density of all images at time t.",
            show=("deck/06.html#bayes-theorem", "deck/06.html#the-marginal"),
            ask="For which data could we do without a network?",
            answer=(
                "For data whose density we know, such as two Gaussians: that is the oracle, and "
                "every sampler is tested on it."
            ),
        ),
        Stage(
            14, "Complete the square",
            (
                "Only x_{t-1} varies. Collect its square and its first power; the rest is a "
                "constant."
            ),
            show=("deck/08.html#the-exponent", "deck/08.html#collected", "deck/08.html#mu_tilde"),
            run="python -m minidiff explain posterior.collected --short",
            ask="Where can you read off the variance?",
            answer=(
                "1 over the factor of the square: alpha_t / beta_t + 1 / (1 - alpha_bar_{t-1})."
            ),
            mistake=(
                "beta_tilde is the true variance of the step back (erratum 8). It is the "
                "variance given x_0."
            ),
            lab=("r22",),
        ),
        Stage(
            10, "The noise instead of the image",
            "Solve the closed form for x_0, put it in: two terms become one.",
            show=("deck/09.html#mu_tilde-from-eps", "deck/09.html#mu_theta"),
            run="python -m minidiff explain reverse.mu_theta --short",
            ask="A network gives x_0 instead. What changes?",
            answer="Nothing but the arithmetic: each target can be turned into the others.",
            mistake=(
                "Noise is the easier target whatever t is (erratum 18). Near t = T an error in "
                "eps becomes 157 times as large in x_0."
            ),
        ),
        Stage(
            15, "The bound", "Three moves: add a KL, turn each step round with Bayes, telescope.",
            show=(
                "deck/12.html#the-bound",
                "deck/13.html#bayes-in-every-term",
                "deck/13.html#telescoped",
                "deck/13.html#kl-terms",
            ),
            run="python -m minidiff explain vlb.telescoped --short",
            ask="Compare the value of `bound` on two lines of slide 13.",
            answer="They are the same number: every line is the same quantity.",
            mistake=(
                "-log p(x_0 | x_1) inside the sum (erratum 10) counts the reconstruction T - 1 "
                "times: 2098 nats instead of 102."
            ),
            lab=("r30",),
        ),
        Stage(
            10, "L_simple",
            "With fixed variances the KL is a squared distance of means, and so of noises.",
            show=("deck/14.html#l_-t-1-of-two-noises", "deck/14.html#l_simple"),
            run="python -m minidiff explain losses.weight --short",
            ask="Which times does L_simple favour?",
            answer=(
                "The noisy ones: the weight it leaves out is 0.5 at t = 1 and 0.0055 at t = "
                "500."
            ),
            mistake="The weight is constant (erratum 15).",
            lab=("r29",),
        ),
        Stage(
            12, "Algorithm 1 in the debugger",
            "The box of the slide, line for line, in a program of 25 lines.",
            show=("deck/18.html#algorithm-1",),
            run="python examples/algorithm_1.py --debug",
            keys=("n", "n", "n", "p t.shape", "c"),
            ask="How many times t does a batch have?",
            answer="One for each image.",
            mistake=(
                "One t for the batch, alpha_hat[t] without a shape (erratum 21): NumPy scales "
                "columns, and says nothing."
            ),
            lab=("r12",),
        ),
        Stage(
            13, "Algorithm 2 in the debugger",
            "Walk the first step and the last: at t = 1 there is no noise.",
            show=("deck/20.html#algorithm-2",),
            run="python -m minidiff step ddpm --T 50",
            keys=("l", "n 48", "l", "n", "l", "q"),
            ask="What happens if the last step adds noise, too?",
            answer=(
                "The samples are as noisy as sqrt(beta_1): small for T = 1000, plain to see for "
                "T = 50."
            ),
            mistake=(
                "for i in range(noise_steps) (erratum 22): upwards, 24 % end near a mode, as "
                "many as of pure noise."
            ),
            lab=("r1", "r3"),
        ),
        Stage(
            8, "What to take home", "Three lines are all of DDPM.",
            show=("deck/15.html", "notebooks/reverse.html"),
            ask="Which of the three lines holds a network?",
            answer="Two: the loss and the sampling step; the first line is only arithmetic.",
        ),
    ),
)  # fmt: skip
