"""The operations: formula and derivative of each side by side, one file per family.

arithmetic         add, multiply, exp, log, where, ...
reduction          sum, mean, var, max, ...
shape              reshape, transpose, getitem, pad, ...
activation         swish, sigmoid, gelu, softmax, ...
linear             matmul, linear
conv2d             conv2d
conv_transpose2d   conv_transpose2d
normalization      group_norm, layer_norm, group_norm_swish
attention          attention, self_attention
embedding          embedding
dropout            dropout
resampling         avg_pool2d, interpolate
loss               mse_loss, cross_entropy

flatten, split, std, einsum and others are written with these: see engine/composed.py.

Here are the definitions, as in a textbook. They run inside `use_kernels("reference")`.
Otherwise the table of minidiff.engine.registry may hold something faster: see kernels/.
"""

# isort: off
from minidiff.engine.composed import (
    all, any, chunk, contract, cumprod, cumsum, einsum, flatten, flip, logsumexp,
    max_pool2d, pad, prod, resize, split, std, tril, triu,
)
from minidiff.functional.activation import (
    gelu, log_softmax, relu, sigmoid, silu, softmax, swish, tanh,
)
from minidiff.functional.arithmetic import (
    absolute, add, clip, cos, divide, equal, exp, greater, greater_equal, less,
    less_equal, log, maximum, minimum, multiply, negative, not_equal, power, sin, sqrt,
    subtract, where,
)
from minidiff.functional.attention import attention, self_attention
from minidiff.functional.conv2d import conv2d
from minidiff.functional.conv_transpose2d import conv_transpose2d
from minidiff.functional.dropout import dropout
from minidiff.functional.embedding import embedding
from minidiff.functional.error_function import erfc
from minidiff.functional.linear import linear, matmul
from minidiff.functional.loss import cross_entropy, mse_loss
from minidiff.functional.normalization import group_norm, group_norm_swish, layer_norm
from minidiff.functional.reduction import argmax, max, mean, min, sum, var
from minidiff.functional.resampling import avg_pool2d, interpolate
from minidiff.functional.shape import (
    astype, broadcast_to, concatenate, expand_dims, getitem, reshape, setitem,
    squeeze, stack, swapaxes, transpose,
)

__all__ = [
    "absolute", "add", "all", "any", "argmax", "astype", "attention", "avg_pool2d",
    "broadcast_to", "chunk", "clip", "concatenate", "contract", "conv2d",
    "conv_transpose2d", "cos", "cross_entropy", "cumprod", "cumsum", "divide",
    "dropout", "einsum", "embedding", "equal", "erfc", "exp", "expand_dims", "flatten",
    "flip", "gelu", "getitem", "greater", "greater_equal", "group_norm",
    "group_norm_swish", "interpolate", "layer_norm", "less", "less_equal", "linear",
    "log", "log_softmax", "logsumexp", "matmul", "max", "max_pool2d", "maximum", "mean",
    "min", "minimum", "mse_loss", "multiply", "negative", "not_equal", "pad", "power",
    "prod", "relu", "reshape", "resize", "self_attention", "setitem", "sigmoid", "silu",
    "sin", "softmax", "split", "sqrt", "squeeze", "stack", "std", "subtract", "sum",
    "swapaxes", "swish", "tanh", "transpose", "tril", "triu", "var", "where",
]  # fmt: skip
