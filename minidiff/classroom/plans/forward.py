"""The way forward: slides 1 to 5."""

from minidiff.classroom.plans.plan import Plan, Stage

FORWARD = Plan(
    "forward", "The way forward",
    "A terminal beside the site. The class knows NumPy, means and variances.",
    (
        Stage(
            8, "What a model of images is",
            (
                "A digit is one point in a space of 784 dimensions; almost every other point is "
                "noise."
            ),
            show=("deck/01.html", "deck/02.html"),
            ask="If you draw 784 grey values at random, how often is it a digit?",
            answer=(
                "Practically never. The digits are a thin cloud, and we look for a way from "
                "anywhere into it."
            ),
            mistake=(
                "The model stores images. It stores a direction for every point: the exact "
                "predictor of 200 digits does, and can be asked."
            ),
        ),
        Stage(
            10, "Ink", "Each particle takes small random steps. Nobody plans the cloud.",
            show=("deck/03.html",),
            run="python examples/ink_brownian_motion.py --particles 300 --out OUT",
            ask="The ink spreads for ever. What is different in the forward process?",
            answer=(
                "It also shrinks the image a little at each step, by just so much that the "
                "variance tends to 1."
            ),
        ),
        Stage(
            12, "One step", "x_t is the old image, a little smaller, plus a little noise.",
            show=("deck/04.html#one-forward-step",),
            run="python -m minidiff explain forward.q_step --short",
            ask="Why sqrt(1 - beta) and not 1 - beta?",
            answer=(
                "Variances add: (1 - beta) of the old variance plus beta of the new one keeps a "
                "variance of 1."
            ),
            mistake=(
                "q(x_t | x_{t-1}) is a standard normal distribution (erratum 1). As printed, "
                "the step forgets the image."
            ),
            lab=("r21",),
        ),
        Stage(
            15, "Two Gaussians are one",
            "On the board: put step t - 1 into step t, and add the variances of the two noises.",
            show=("deck/05.html#two-gaussians-merged", "deck/05.html#x_t-in-one-jump"),
            run="python -m minidiff explain forward.q_two_steps --short",
            ask="The standard deviations are 0.6 and 0.8. What is that of the sum?",
            answer="1.0, as 0.36 + 0.64 = 1. Not 1.4: the variances add.",
            mistake=(
                "The noise of one step is what the network learns (erratum 5). At t = 500 it is "
                "a tenth of the noise in x_t."
            ),
            lab=("r20",),
        ),
        Stage(
            15, "Step into the jump",
            "Let a student drive: s enters the formula, p shows a term, r leaves it.",
            show=("debugging.html",),
            run="python examples/algorithm_1.py --debug",
            keys=("n", "n", "n", "n", "s", "n", "p now", "r", "c"),
            ask=(
                "Before p now: is alpha_bar of a late t larger or smaller than that of an early "
                "one?"
            ),
            answer="Smaller: it is a product of numbers below 1.",
        ),
        Stage(
            12, "Schedules", "The same end by two roads; the cosine keeps the image longer.",
            show=("deck/05.html#the-cosine-schedule", "deck/05.html#the-linear-schedule"),
            run="python -m minidiff explain schedule.cosine --short",
            ask="What must alpha_bar_T be, and why does the slide's clip at 0.02 matter?",
            answer=(
                "Nearly 0. With the clip 5.7 % of the image is left for T = 1000 and 63 % for T "
                "= 50, but sampling starts from pure noise."
            ),
            mistake=(
                "x_T is noise whatever the schedule (erratum 4): schedule.check() says how much "
                "of the image is left."
            ),
            lab=("r6", "r7"),
        ),
        Stage(
            10, "The wrong forms", "Each misprint is a function; here is what they do, in red.",
            show=("errata.html#erratum-6", "index.html"),
            run="python -m minidiff errata",
            ask="Which of the errata would you notice from a training loss?",
            answer=(
                "Hardly any. The loss of a wrong schedule looks fine; samples and the exact "
                "answer show it."
            ),
        ),
        Stage(
            8, "What to take home",
            "One line: x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps.",
            show=("deck/05.html#the-closed-form", "notebooks/forward.html"),
            ask="For which t do you need a loop to make x_t?",
            answer="For none.",
        ),
    ),
)  # fmt: skip
