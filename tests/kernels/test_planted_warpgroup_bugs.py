"""Do the checks of the emulator find bugs in the convolutions by wgmma? One mistake at a time in a copy of a kernel, and each must be found."""

import re

import pytest
from support.planted import Bug, Program, flattened, library_of, possible

THREAD = r"thread \(\d+,\d+,\d+\) of block \(\d+,\d+,\d+\)"
SOURCE, HALO, ROWS = "conv2d/warpgroup.cu", "conv2d/warpgroup_correlate.h", "conv2d/warpgroup_gradient.h"
BATCH, SLAB_READ, SLAB_WRITTEN = (rf"conv2d/warpgroup{end}:\d+" for end in (".h", ".h", "_(correlate|gradient).h"))
NO_FENCE = rf"shared memory without fence_for_wgmma\(\): {THREAD} wrote at {SLAB_WRITTEN} and {THREAD} multiplies at {BATCH}"
TOO_EARLY = "an operand that wgmma still reads|data race in shared memory|a copy that is on its way"

# file of the mistake, right, wrong, what is found
BUGS = {
    # the input gradient of 18 -> 5 channels: three slabs
    "weights that no fence shows to the tensor cores": (
        HALO, "        fence_for_wgmma();\n", "", NO_FENCE),
    "slabs without a barrier": (
        HALO, "        __syncthreads();  // this slab has arrived for everybody, and the stage of the next one to copy is free\n", "", TOO_EARLY),
    "a slab that has not arrived": (HALO, "        wait_for_copies<Tile::AHEAD - 1>();", "        wait_for_copies<Tile::AHEAD>();", "a copy that is on its way"),
    "a stage taken while its products are on their way": (
        HALO, "        if (!Tile::PENDING) wgmma_wait<0>();\n", "", rf"an operand that wgmma still reads: .* at {BATCH}"),
    "the next slab over the one that is multiplied": (HALO, "shared + free * STAGE);", "shared + now * STAGE);", TOO_EARLY),
    "source channels beyond the last": (HALO, "inside && channel < channels_left", "inside", rf"out of bounds: {THREAD} reads at {HALO}:\d+"),
    "rows of pixels beyond the image": (HALO, "unsigned(h) < unsigned(c.source_h) && ", "", rf"out of bounds: {THREAD} reads at {HALO}:\d+"),
    "channels beyond the last": (HALO, "            if (m < c.M) to[m", "            to[m", "out of bounds|data race in global memory"),
    "pixels beyond the last": (HALO, "        if (pixel >= pixels) continue;\n", "", "out of bounds|data race in global memory"),
    "weights beyond the last": (HALO, "m < l.c.M && c + e < l.c.C ? at[e * l.c.weight_c] : 0", "at[e * l.c.weight_c]", "out of bounds"),
    # the weight gradient
    "dy that no fence shows to the tensor cores": (
        ROWS, "        fence_for_wgmma();\n", "", NO_FENCE),
    "rows without a barrier": (ROWS, "        __syncthreads();  // this slab is there for everybody, and a stage of x is free\n", "", TOO_EARLY),
    "two stages of dy": (ROWS, "third = third == 2 ? 0 : third + 1;", "third = third == 1 ? 0 : third + 1;", rf"an operand that wgmma still reads: .* at {SLAB_WRITTEN}"),
    "one stage of x": (ROWS, "(third == 0 ? 2 : third - 1) * Tile::X_STAGE)", "third * Tile::X_STAGE)", TOO_EARLY),
    "margins that are not 0": (
        ROWS, "i < Tile::X_STAGES * Tile::X_STAGE / 4; i", "i < Tile::X_STAGE / 4; i", rf"shared memory that nobody has written: {THREAD} reads at {ROWS}:\d+"),
    "x beyond the last channel": (ROWS, "copy(to, from, inside && c < c_left);", "copy(to, from, inside);", rf"out of bounds: {THREAD} reads at {ROWS}:\d+"),
    "dy beyond the last channel": (ROWS, " && own.o < o_left;", ";", rf"out of bounds: {THREAD} reads at {ROWS}:\d+"),
    "dbias added up while x is read": (ROWS, "    __syncthreads();  // x is needed no more\n", "", "data race in shared memory"),
    "parts added up without a barrier": (
        SOURCE, "        __syncthreads();\n        const int count", "        const int count", rf"shared memory that nobody has written|{TOO_EARLY}"),
    "gradients of channels that there are not": (SOURCE, "if (c < WIDTH && first_c + c < C) {", "if (c < WIDTH) {", "out of bounds|data race in global memory"),
}  # fmt: skip

# What fast.cu defines.
OF_FAST = """
bool aligned(const float*) { return true; }
void sum_parts(const char*, const float*, int, int, const float*, int, int, float*, cudaStream_t) {}
"""
CALLS = {
    HALO: """Correlation c{};
        c.N = 2, c.groups = c.step_h = c.step_w = c.source_step_h = c.source_step_w = c.splits = 1, c.M = 5, c.C = 18, c.V = 3;
        c.result_h = c.source_h = 7, c.result_w = c.source_w = 5, c.weight_m = 9, c.weight_c = 45;
        c.rows[0] = {0, 7, 3, {0, 1, 2}, {1, 0, -1}, Divider(7)}, c.columns[0] = {0, 5, 3, {0, 1, 2}, {1, 0, -1}, Divider(5)};
        Halo l;
        using Tile = HaloTile<2, 32, 2, false, 1, 1, 3>;
        if (!halo_of<Tile>(l, c)) throw std::runtime_error("not for these tiles");
        launch_halo<Tile>("halo", l, dy, weight, nullptr, dx, scratch, 0);""",
    ROWS: """const Conv conv{2, 5, 7, 5, 18, 3, 3, 7, 5, 1, 1, 1, 1, 1, 1, 1};
        RowGradient l;
        using Tile = RowsTile<32, 1, 1, 3>;
        if (!row_gradient_of<Tile>(l, conv, true, 2)) throw std::runtime_error("not for these tiles");
        launch_row_gradient<Tile>("rows", l, dy, x, {gradients, true}, scratch, 0);""",
}


def program(name):
    file, right, wrong, found = BUGS[name]
    return Program(flattened(Bug(SOURCE, file, right, wrong, found)) + OF_FAST, CALLS[HALO if file == HALO else ROWS])


RIGHT = {file: Program(flattened(Bug(SOURCE, SOURCE, "\nnamespace {", "\nnamespace {", "")) + OF_FAST, CALLS[file]) for file in CALLS}
PROGRAMS = {**{name: program(name) for name in BUGS}, **RIGHT} if possible() else {}


library = library_of(PROGRAMS)


@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_is_found(library, name):
    message = library.run_named(name)[0]
    assert re.search(BUGS[name][3], message), message or "nothing was found"


@pytest.mark.parametrize("name", CALLS)
def test_no_false_alarm(library, name):
    assert library.run_named(name)[0] == ""
