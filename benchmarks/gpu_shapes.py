"""The shapes at which gpu.py measures kernels: those of the MNIST U-Nets, and attention with more tokens."""

SHAPES = {  # the last of each list is for a dry run
    # channels in, channels out, pixels on a side, kernel, stride, padding: those of the U-Nets with 32 and 64 channels
    "conv2d": [
        (32, 32, 28, 3, 1, 1), (64, 64, 28, 3, 1, 1), (64, 64, 14, 3, 1, 1), (128, 64, 14, 3, 1, 1), (128, 128, 7, 3, 1, 1),
        (256, 128, 7, 3, 1, 1), (32, 32, 28, 3, 2, 1), (96, 32, 28, 1, 1, 0), (2, 3, 6, 3, 2, 1),
    ],
    "conv_transpose2d": [(64, 64, 7, 4, 2, 1), (64, 64, 14, 4, 2, 1), (128, 128, 14, 4, 2, 1), (3, 2, 3, 4, 2, 1)],
    "attention": [(4, 49, 16), (4, 49, 32), (4, 196, 32), (4, 784, 32), (4, 1024, 64), (2, 7, 4)],  # heads, tokens, size of a head
    "group_norm_swish": [(32, 28), (64, 28), (64, 14), (128, 7), (4, 4)],  # channels, pixels on a side; 8 groups
}  # fmt: skip
BATCHES, DRY_BATCH = (128, 32, 1), 2
