"""Kernels: how the operations become fast."""

from minidiff.classroom.plans.plan import Plan, Stage

KERNELS = Plan(
    "kernels", "Kernels",
    "The class has read C once. No GPU is needed: the emulator runs the same source.",
    (
        Stage(
            8, "What runs here",
            "Definition, NumPy, C++, CUDA: one operation, several entries in a table.",
            run="python -m minidiff",
            ask="Who decides which one runs?",
            answer="use_kernels: auto takes the fastest, reference the definition.",
        ),
        Stage(
            15, "Loops",
            "Seven loops are the equation. Then the sum over c becomes a product of matrices.",
            show=("conv2d_five_ways.html",),
            run=(
                "python -c \"import numpy as np, minidiff as md; from minidiff.functional import "
                "conv2d; x = np.ones((1, 1, 4, 4), np.float32); w = np.ones((1, 1, 3, 3), "
                "np.float32); print(conv2d(x, w, padding=1).numpy())\""
            ),
            ask="Which two loops are left in NumPy?",
            answer="Those over the elements u, v of the kernel.",
        ),
        Stage(
            15, "A block of threads", "Who owns what: a thread one result, a block a tile.",
            show=("conv2d_five_ways.html", "source/csrc/conv2d/tiled.cu.html#L1"),
            ask="How often is a pixel loaded in the naive kernel?",
            answer="Once for each weight that meets it and each output channel.",
        ),
        Stage(
            15, "One thread in gdb", "Stop thread (3, 2) of block 1, and look at shared memory.",
            show=("step_through_a_kernel_in_gdb.html",),
            ask="What is in the tile before the barrier?",
            answer=(
                "What this thread and those before it have loaded: the rest is unwritten, and "
                "the emulator knows."
            ),
            mistake=(
                "Leaving out a barrier works on my machine. The race check of the emulator "
                "names the two threads."
            ),
            lab=("k1", "k2"),
        ),
        Stage(
            15, "Attention without the matrix", "Be wrong and repair it: a running maximum.",
            show=("attention_kernel.html",),
            run="python -m minidiff explain ldm.attention --short",
            ask="The maximum rises from m to m'. What must be corrected?",
            answer="Sum and output, both by exp(m - m').",
            lab=("k3",),
        ),
        Stage(
            10, "Backward", "One number per query gives every probability back.",
            show=("attention_kernel.html",),
            ask="What is delta?",
            answer="<do, o>: the part of the softmax's Jacobian that all keys share.",
        ),
        Stage(
            8, "Figures", "Measured, with the machine named.",
            show=("gpu.html", "benchmarks/unet_cpu.html"),
            ask="Which operation would you write next?",
            answer="The one with the largest share in the table.",
        ),
        Stage(
            4, "What to take home", "The definition stays; speed is an entry in a table.",
            show=("notebooks/kernels.html",),
            ask="How do you know that the fast one is right?",
            answer="It is compared with the definition, on shapes that are multiples of nothing.",
        ),
    ),
)  # fmt: skip
