"""Calls csrc/conv2d/: the convolution and its gradients, on arrays that the kernels take.

Each of these functions computes one of the sums of csrc/conv2d/conv2d.h, by the version that is
named, or two of them at once. conv_transpose2d is made of the same ones, with the roles of x and y
exchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from minidiff.engine.registry import Unsupported
from minidiff.kernels.cuda import plan as planning
from minidiff.kernels.cuda import tuning
from minidiff.kernels.cuda.library import Native, float32, native
from minidiff.kernels.cuda.plan import Plan, Product, Tile, Tiles

VERSIONS = ("naive", "tiled", "tf32", "tf32x3", "fast")
TILES: dict[str, tuple[Tile, ...]] = {
    "fast": planning.FAST,
    "tf32": planning.TF32,
    "tf32x3": planning.TF32X3,
}
GRADIENT_TILES: dict[str, tuple[Tile, ...]] = {
    "fast": planning.FAST_GRADIENT,
    "tf32": planning.TF32_GRADIENT,
    "tf32x3": planning.TF32X3_GRADIENT,
}  # of weight gradients


class Conv(NamedTuple):
    """The sizes of a convolution, with the names of conv2d/conv2d.h.

    x: (N, C, H, W), weight: (O, C / groups, U, V), y: (N, O, I, J).
    """

    N: int
    C: int
    H: int
    W: int
    O: int  # noqa: E741
    U: int
    V: int
    I: int  # noqa: E741
    J: int
    stride_h: int
    stride_w: int
    padding_h: int
    padding_w: int
    dilation_h: int
    dilation_w: int
    groups: int

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.N, self.C, self.H, self.W

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return self.O, self.C // self.groups, self.U, self.V

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.N, self.O, self.I, self.J


def forward(
    version: str, conv: Conv, x: Any, weight: Any, bias: Any = None, plan: Plan | None = None
) -> Any:
    """y (N, O, I, J)."""
    lib, (x, weight, bias) = prepared(version, conv, x=x, weight=weight, bias=bias)
    y = lib.xp.empty(conv.y_shape, "float32")
    product = product_of("forward", conv)

    def launch(plan: Plan) -> None:
        name, tile = named(version, plan.tile)
        sums = parts(lib, name, conv, "forward", tile, plan.splits, product.result_size)
        lib.module.conv2d(name, conv, x, weight, bias, y, tile, plan.splits, sums, lib.stream_now())

    launch(plan or choose(lib, version, ("forward", conv), product, y, launch))
    return y


def input_gradient(
    version: str, conv: Conv, dy: Any, weight: Any, bias: Any = None, plan: Plan | None = None
) -> Any:
    """dx (N, C, H, W). With a bias, it is the forward pass of the transposed convolution.

    bias: (C,), added to every pixel.
    """
    lib, (dy, weight, bias) = prepared(version, conv, dy=dy, weight=weight, bias=bias)
    dx = lib.xp.empty(conv.x_shape, "float32")
    product = product_of("input gradient", conv)

    def launch(plan: Plan) -> None:
        name, tile = named(version, plan.tile)
        arrays = dy, weight, bias, dx
        sums = parts(lib, name, conv, "input gradient", tile, plan.splits, product.result_size)
        lib.module.conv2d_input_gradient(
            name, conv, *arrays, tile, plan.splits, sums, lib.stream_now()
        )

    launch(plan or choose(lib, version, ("input gradient", conv), product, dx, launch))
    return dx


def weight_gradient(version: str, conv: Conv, dy: Any, x: Any, plan: Plan | None = None) -> Any:
    """dweight (O, C / groups, U, V)."""
    return gradients(version, conv, dy, x, False, plan).reshape(conv.weight_shape)


def weight_and_bias_gradient(
    version: str, conv: Conv, dy: Any, x: Any, plan: Plan | None = None
) -> tuple[Any, Any]:
    """dweight (O, C / groups, U, V) and dbias (O,), by one kernel, which reads dy once.

    They are two parts of one array. Versions naive and tiled take two kernels.
    """
    both = gradients(version, conv, dy, x, True, plan)
    return both[: -conv.O].reshape(conv.weight_shape), both[-conv.O :]


def gradients(version: str, conv: Conv, dy: Any, x: Any, bias: bool, plan: Plan | None) -> Any:
    """dweight, followed by dbias if it is wanted."""
    lib, (dy, x) = prepared(version, conv, dy=dy, x=x)
    product = product_of("weight gradient", conv)
    if bias:
        product = product._replace(result_size=product.result_size + conv.O)
    result = lib.xp.empty(product.result_size, "float32")

    def launch(plan: Plan) -> None:
        name, tile = named(version, plan.tile)
        arrays = dy, x, result, bias
        sums = parts(lib, name, conv, "weight gradient", tile, plan.splits, product.result_size)
        lib.module.conv2d_weight_gradient(
            name, conv, *arrays, tile, plan.splits, sums, lib.stream_now()
        )

    launch(plan or choose(lib, version, ("weight gradient", conv), product, result, launch))
    return result


def bias_gradient(version: str, conv: Conv, dy: Any) -> Any:
    """dbias (O,), where no weight gradient is wanted with it."""
    lib, (dy,) = prepared(version, conv, dy=dy)
    dbias = lib.xp.empty(conv.O, "float32")
    lib.module.conv2d_bias_gradient(
        "naive" if version == "naive" else "tiled", conv, dy, dbias, lib.stream
    )
    return dbias


def prepared(version: str, conv: Conv, **arrays: Any) -> tuple[Native, list[Any]]:
    """The module, and the arrays as the kernels want them: float32 and contiguous.

    Raises: Unsupported if that cannot be.
    """
    lib = native(*arrays.values())
    float32(**arrays)
    if max(conv.N * conv.C * conv.H * conv.W, conv.N * conv.O * conv.I * conv.J) >= 2**31 - 2**16:
        raise Unsupported(
            f"x {conv.x_shape} or y {conv.y_shape} has too many elements, the kernels count to 2^31"
        )
    if version in TILES and (reason := lib.module.conv2d_refuses(conv)):
        raise Unsupported(reason)
    return lib, [None if a is None else lib.xp.ascontiguousarray(a) for a in arrays.values()]


def product_of(what: str, conv: Conv) -> Product:
    """The matrix product that one of the three sums is.

    what: "forward", "input gradient" or "weight gradient".
    """
    c, inputs, outputs = conv, conv.C // conv.groups, conv.O // conv.groups
    x_size, y_size = c.N * c.C * c.H * c.W, c.N * c.O * c.I * c.J
    if what == "forward":
        return Product(outputs, c.N * c.I * c.J, inputs * c.U * c.V, c.groups, y_size, x_size)
    if what == "weight gradient":
        taps, size = inputs * c.U * c.V, c.O * inputs * c.U * c.V
        return Product(outputs, taps, c.N * c.I * c.J, c.groups, size)
    # the largest stride class, and the kernel elements that reach it
    rows, columns = planning.ceil_div(c.H, c.stride_h), planning.ceil_div(c.W, c.stride_w)
    taps = planning.ceil_div(c.U, c.stride_h) * planning.ceil_div(c.V, c.stride_w)
    if c.dilation_h > 1 or c.dilation_w > 1:
        taps = c.U * c.V
    copies = c.groups * c.stride_h * c.stride_w
    return Product(inputs, c.N * rows * columns, outputs * taps, copies, x_size, y_size)


def tiles_of(version: str, what: str, tensor_cores: bool) -> tuple[Tile, ...]:
    """The tiles that a plan's number counts.

    Version "fast" may also have the tiles of "tf32x3", which is as exact, where the GPU has tensor
    cores for them.
    """
    of_version = GRADIENT_TILES if what == "weight gradient" else TILES
    tiles = of_version[version]
    if version == "fast" and tensor_cores:
        tiles += of_version["tf32x3"]
    return tiles


@lru_cache(maxsize=4096)
def tiles_for(
    module: Any, device: int | None, version: str, what: str, conv: Conv, tensor_cores: bool
) -> Tiles:
    """The same, None for those that are not for this convolution or this device."""
    tiles = tiles_of(version, what, tensor_cores)

    def takes(number: int) -> bool:
        name, own_number = named(version, number)
        return module.conv2d_takes(name, conv, what, own_number)

    return tuple(tile if takes(number) else None for number, tile in enumerate(tiles))


def choose(
    lib: Native,
    version: str,
    what: tuple[str, Conv],
    product: Product,
    result: Any,
    launch: Callable[[Plan], None],
) -> Plan:
    """The tile and the splits for this sum: by the model, or by trying (tuning.py)."""
    if version not in TILES:
        return Plan(0, 1)
    name, conv = what
    device = getattr(getattr(result, "device", None), "id", None)
    tiles = tiles_for(lib.module, device, version, name, conv, has_tensor_cores(result))
    table = name != "weight gradient"  # these kernels keep one
    candidates = planning.candidates(product, tiles, lib.module.multiprocessors(), table)
    if tuning.plans_are_tuned() and lib.xp.__name__ == "cupy":
        return tuning.fastest(
            lib.xp, (version, *what, lib.xp.cuda.runtime.getDevice()), candidates, launch
        )
    return candidates[0]


def named(version: str, tile: int) -> tuple[str, int]:
    """The version and the tile's number, as csrc/ has them.

    After the tiles of "fast" come those of "tf32x3".
    """
    own = len(TILES["fast"])
    return ("tf32x3", tile - own) if version == "fast" and tile >= own else (version, tile)


def has_tensor_cores(array: Any) -> bool:
    """Whether the array is on a GPU whose tensor cores take TF32: capability 8.0 and newer."""
    capability = getattr(getattr(array, "device", None), "compute_capability", "0")
    return int(capability) >= 80  # as a string, "100" would come before "80"


def parts(
    lib: Native, version: str, conv: Conv, what: str, tile: int, splits: int, result_size: int
) -> Any:
    """The array for the parts of a sum that is split, and for what a tile writes anew; or None."""
    size = lib.module.conv2d_parts(version, conv, what, tile, splits, result_size)
    return lib.xp.empty(size, "float32") if size else None
