"""DDIM and guidance: slides 22 to 25 and 33."""

from minidiff.classroom.plans.plan import Plan, Stage

DDIM = Plan(
    "ddim", "DDIM and guidance",
    "The class knows Algorithm 2. Nothing is trained in these 90 minutes.",
    (
        Stage(
            10, "What the loss knows",
            "L_simple only ever sees pairs x_0, x_t. The path in between is ours to choose.",
            show=("deck/22.html", "deck/23.html#the-closed-form"),
            ask=(
                "Two processes have the same q(x_t | x_0) for every t. Can one network serve "
                "both?"
            ),
            answer="Yes: its best answer is the same.",
            mistake=(
                "DDPM needs a thousand steps (erratum 32): strided DDPM runs, too, and is only "
                "noisier."
            ),
        ),
        Stage(
            14, "The general step",
            (
                "Predict x_0, walk back towards x_t as far as time t - 1 wants, add what noise "
                "you like."
            ),
            show=("deck/23.html#the-predicted-x_0", "deck/23.html#the-general-form"),
            run="python -m minidiff explain ddim.step --short",
            ask="Where does 1 - alpha_bar_{t-1} - sigma^2 come from?",
            answer=(
                "Direction and fresh noise together must have the variance 1 - alpha_bar_{t-1}."
            ),
            mistake=(
                "alpha instead of alpha_bar (erratum 28): with the exact predictor a third of "
                "the samples is near a mode, instead of all."
            ),
            lab=("r9", "r10"),
        ),
        Stage(
            12, "Walk it", "The same x_T, no noise: the walk is a function.",
            show=("deck/24.html#deterministic",),
            run="python -m minidiff step ddim --T 100 --steps 5",
            keys=("l", "n", "l", "n 3", "l", "q"),
            ask="Start it twice. Which numbers differ?",
            answer="None. x_T decides everything.",
        ),
        Stage(
            12, "Fewer steps", "Choose tau, read the table at tau, and jump.",
            show=("deck/24.html#a-sub-sequence-of-times",),
            run="python -m minidiff explain ddim.tau --short",
            ask="What is lost with 10 steps?",
            answer=(
                "Variance within a mode: 0.023 instead of 0.05 at 20 steps, even with an exact "
                "predictor."
            ),
        ),
        Stage(
            10, "DDPM inside of DDIM", "eta = 1 has DDPM's beta_tilde on the full chain.",
            show=("deck/24.html#ddpms-noise",),
            run="python -m minidiff explain ddim.sigma --short",
            ask="Does the deck's code, sigma^2 = beta, belong to the family?",
            answer="No: at t = 1 and 2 the number under the root is negative (erratum 29).",
        ),
        Stage(
            12, "Inversion", "Run it the other way: from an image to the noise that gives it.",
            show=("deck/24.html#deterministic.inversion_step",),
            run="python -m minidiff explain ddim.inversion_step --short",
            ask="Why is the round trip not exact?",
            answer=(
                "The prediction is taken at the wrong end of each step; the error shrinks with "
                "more steps."
            ),
        ),
        Stage(
            14, "Guidance", "Two predictions, and a step beyond the better one.",
            show=(
                "deck/33.html#classifier-free-guidance",
                "deck/33.html#classifier-guidance-of-the-noise",
            ),
            run="python -m minidiff explain guidance.classifier_free_s --short",
            ask="What are w = 0, s = 1 and s = 0?",
            answer="w = 0 is s = 1: the condition, not enlarged. s = 0 forgets the condition.",
            mistake="w and s are one number. s = 1 + w, and papers mix them (erratum 42).",
            lab=("r31",),
        ),
        Stage(
            6, "What to take home", "One network, many ways back.",
            show=("deck/25.html", "notebooks/ddim.html"),
            ask="Which is DDIM's forward process?",
            answer="One that nobody simulates: only its marginals are used.",
        ),
    ),
)  # fmt: skip
