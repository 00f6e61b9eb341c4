"""U-Net and autograd: slides 26 to 32."""

from minidiff.classroom.plans.plan import Plan, Stage

UNET = Plan(
    "unet", "U-Net and autograd",
    "The class knows what a convolution is. A drawing of the U on the board, with sizes 28-14-7.",
    (
        Stage(
            10, "The shape", "Down, middle, up; sizes 28-14-7-14-28.",
            show=("deck/26.html", "deck/27.html"),
            ask="Why not four levels for 28 pixels?",
            answer="28-14-7-4 comes back as 8, and the skip has 7 (erratum 39).",
            mistake=(
                "Skip and residual connection are one thing (erratum 33): one concatenates, the "
                "other adds."
            ),
            lab=("r25",),
        ),
        Stage(
            14, "Follow the shapes", "Read only the shapes, line by line.",
            show=("deck/28.html#models.unet.unet.forward",),
            run="python -m minidiff explain 28",
            ask="Before each line: which shape comes next?",
            answer="The values beside the lines tell.",
            mistake=(
                "Channels multiply from level to level (erratum 37): that makes 167.8 million "
                "parameters of 16.3."
            ),
        ),
        Stage(
            12, "Three small functions", "Swish, GroupNorm, the time embedding.",
            show=("deck/29.html#swish", "deck/29.html#groupnorm", "deck/29.html#the-sine-part"),
            run="python -m minidiff explain unet.group_norm --short",
            ask="Over which axes does GroupNorm take its mean?",
            answer="Over the channels of a group and all pixels, of one image.",
            mistake=(
                "The embedding is the transformer's (erratum 36): order and frequencies differ."
            ),
            lab=("r18", "r19"),
        ),
        Stage(
            12, "Blocks", "Residual, attention, down, up.",
            show=("deck/30.html", "deck/31.html", "deck/32.html"),
            run="python -m minidiff explain 30",
            ask="Where does the time enter?",
            answer="In each residual block, added to every pixel of a channel.",
            lab=("r23",),
        ),
        Stage(
            14, "A derivative is the same loop",
            "Forward and backward of conv2d stand on one screen.",
            show=(
                "source/minidiff/functional/conv2d.py.html#L14",
                "debugging.html#the-derivative-of-a-convolution",
            ),
            run=(
                "python -c \"import numpy as np, minidiff as md; x = md.Tensor(np.array([0.0, "
                "1.0, -2.0]), requires_grad=True); (x * x).sum().backward(); print(x.grad)\""
            ),
            ask="A pixel met a weight on the way forward. Where does its gradient flow?",
            answer="Between the same two, times dy.",
        ),
        Stage(
            12, "Step into it", "loss.backward() goes through the operations, the last first.",
            show=("debugging.html",),
            run="python examples/algorithm_1.py --debug",
            keys=("n", "n", "n", "n", "n", "n", "s", "ll", "c"),
            ask="Which operation's derivative comes first?",
            answer="That of the mean, the last operation of the loss.",
        ),
        Stage(
            10, "One step of training", "All of it, from a drawn digit to an updated weight.",
            show=("deck/19.html",),
            run=(
                "python examples/train_mnist_ddpm.py --data digits --minutes 0.1 --channels 8 "
                "--samples 4 --sampling-steps 2 --workers 1 --out OUT"
            ),
            ask="What does the first loss tell?",
            answer="About 1: the network says 0, and the noise has a variance of 1.",
        ),
        Stage(
            6, "What to take home", "A network is functions with derivatives beside them.",
            show=("notebooks/unet.html",),
            ask="What would break if a skip connection were added instead of concatenated?",
            answer=(
                "Channels would have to agree, and the network would be another; nothing would "
                "crash."
            ),
        ),
    ),
)  # fmt: skip
