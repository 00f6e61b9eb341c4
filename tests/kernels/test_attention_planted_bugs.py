"""Do the checks of the emulator find mistakes in attention on tensor cores? One at a time is made in a copy of a kernel."""

import re

import pytest
from support.planted import Bug, Program, flattened, library_of

FORWARD, BACKWARD, TILES = "attention/tf32_forward.cu", "attention/tf32_backward.cu", "attention/tf32_tiles.h"

BUGS = {
    "keys multiplied before they have arrived": Bug(
        FORWARD, FORWARD, "wait_for_copies<0>();", "", r"a copy that is on its way: .* at attention/tf32_tiles.h:\d+"),
    "keys that arrive after the barrier": Bug(
        FORWARD, FORWARD, "wait_for_copies<0>();\n        __syncthreads();", "__syncthreads();\n        wait_for_copies<0>();",
        r"a copy that is on its way|data race in shared memory"),
    "the stage copied that is multiplied": Bug(
        FORWARD, FORWARD, "copy(stage ^ 1, j0 + KEYS);", "copy(stage, j0 + KEYS);", "a copy that is on its way|data race in shared memory"),
    "the next keys copied before the barrier": Bug(
        FORWARD, FORWARD, "__syncthreads();  // this tile has arrived for everybody, and nobody needs the one before it any more", "",
        "a copy that is on its way|data race in shared memory|shared memory that nobody has written"),
    "keys beyond the last": Bug(
        FORWARD, TILES, "from + size_t(row) * size, row < rows_left && d < size);", "from + size_t(row) * size, d < size);",
        r"out of bounds: .* reads at attention/tf32_tiles.h:\d+"),
    "queries beyond the last": Bug(
        FORWARD, FORWARD, "first + 2 * t + e < a.queries ? a.value_size : 0", "a.value_size",
        r"out of bounds: .* writes at attention/tf32_tiles.h:\d+|data race in global memory"),
    "Q split by another warp": Bug(
        FORWARD, FORWARD, "query(shared + B::Q + warp *", "query(shared + B::Q + 0 *", "data race in shared memory"),
    "dS read before it is complete": Bug(
        BACKWARD, BACKWARD, "__syncthreads();  // dS is complete, and nobody needs these queries any more", "",
        r"shared memory that nobody has written|data race in shared memory|a copy that is on its way"),
    "the next dS written while this one is read": Bug(
        BACKWARD, BACKWARD, "__syncthreads();  // the tiles are complete, and nobody reads the dS before", "",
        r"shared memory that nobody has written|data race in shared memory|a copy that is on its way"),
    "queries that nobody waits for": Bug(
        BACKWARD, BACKWARD, "            wait_for_copies<0>();\n", "", r"a copy that is on its way: .* reads at attention/tiles.h:\d+"),
    "dQ of a part in the place of another": Bug(
        BACKWARD, BACKWARD, "(size_t(part) * a.batch_heads * a.queries + first_query)", "first_query", "data race in global memory"),
    "keys of one part in the other": Bug(
        BACKWARD, BACKWARD, "min(a.keys, begin + tiles_of_part * KEYS);", "a.keys;", "data race in global memory"),
}  # fmt: skip
NOT_BUGS = {source: Bug(source, source, "\nnamespace {", "\nnamespace {", "") for source in (FORWARD, BACKWARD)}

# 17 queries and 70 keys of 4 numbers: two tiles of keys. The values and the result are the last of what their arrays hold.
CALL = """const Attention a{1, 1, 17, 70, 4, 4, 0.5f, false, x, weight, dy + 980, y + 1192, dbias, nullptr, 0, 0, 0, 0};
          """
CALLS = {
    FORWARD: CALL + "launch_tf32x3<32, 1, 64, 4>(a, nullptr);",
    BACKWARD: CALL + "launch_tf32x3<32>(a, {x, bias, parts, dx, gradients, 2}, nullptr);",
}


def shorten(file, text):
    """Without the launchers: the other tiles would take long to compile."""
    return text[: text.index("}  // namespace\n\n")] + "}  // namespace\n" if file in (FORWARD, BACKWARD) else text


PROGRAMS = {name: Program(flattened(bug, shorten), CALLS[bug.source]) for name, bug in {**BUGS, **NOT_BUGS}.items()}


library = library_of(PROGRAMS)


@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_is_found(library, name):
    message, _ = library.run_named(name)
    assert re.search(BUGS[name].found, message), message


@pytest.mark.parametrize("name", NOT_BUGS)
def test_no_false_alarm(library, name):
    assert library.run_named(name)[0] == ""
