// 2-D convolution by wgmma: which convolutions the tiles are for, what they need to know of one, and the sum of a weight gradient's parts.
// See warpgroup.h.
#include "conv2d/warpgroup_correlate.h"
#include "conv2d/warpgroup_gradient.h"

namespace {

// The taps of an axis, sorted by where they read. False unless there are `side` of them at equal distances.
bool sorted_taps(const Axis& axis, int side, short (&order)[MAX_SIDE], int& distance) {
    if (axis.taps != side) return false;
    const bool descending = axis.shift[side - 1] < axis.shift[0];
    for (int u = 0; u < side; u++) order[u] = short(descending ? side - 1 - u : u);
    distance = axis.shift[order[1]] - axis.shift[order[0]];
    for (int u = 1; u < side; u++)
        if (axis.shift[order[u]] - axis.shift[order[u - 1]] != distance) return false;
    return true;
}

constexpr int LANES = 8;  // threads that share the parts of one result, as in fast.cu

// dweight[o][c][u][v], then dbias[o]: the sums of parts [split][group][u][v][o][c], [group][o], always in the same order.
__global__ void sum_of_gradient_parts(const __grid_constant__ RowGradient l, const float* parts, float* dweight) {
    __shared__ float sums[LANES][32];
    const Conv& conv = l.conv;
    const int place = blockIdx.x * 32 + threadIdx.x, size = l.part();
    float sum = 0;
    if (place < size) {
#pragma unroll 4
        for (int part = threadIdx.y; part < l.splits; part += LANES) sum += parts[1LL * part * size + place];
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || place >= size) return;
    sum = 0;
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane][threadIdx.x];
    const int C = conv.group_C(), O = conv.group_O(), taps = conv.U * conv.V;
    if (place < l.weights()) {
        const int c = place % l.padded_c, o = place / l.padded_c % l.padded_o, tap_of_group = place / l.padded_c / l.padded_o;
        const int tap = tap_of_group % taps, group = tap_of_group / taps;
        if (c < C && o < O) dweight[((group * O + o) * C + c) * taps + tap] = sum;
    } else {
        const int o = (place - l.weights()) % l.padded_o, group = (place - l.weights()) / l.padded_o;
        if (o < O) dweight[conv.O * C * taps + group * O + o] = sum;
    }
}

}  // namespace

bool halo_of(Halo& l, const Correlation& c, int side, int channels, int pixels, int columns, int stride) {
    if (c.source_step_h != 1 || c.source_step_w != 1 || c.step_h * c.step_w > MAX_CLASSES) return false;
    l.c = c;
    l.slabs = ceil_div(c.C, channels);
    l.blocks_m = ceil_div(c.M, columns);
    l.positions = 0;
    for (int number = 0; number < c.step_h * c.step_w; number++) {
        const Axis &rows = c.rows[number / c.step_w], &of_row = c.columns[number % c.step_w];
        HaloClass& halo = l.of_class[number];
        short u_at[MAX_SIDE], v_at[MAX_SIDE];
        int row_distance, distance;
        if (!rows.outputs || !of_row.outputs) return false;
        if (!sorted_taps(rows, side, u_at, row_distance) || !sorted_taps(of_row, side, v_at, distance) || distance != 1) return false;
        halo.first_h = rows.shift[u_at[0]];
        halo.first_w = of_row.shift[v_at[0]];
        halo.more_lines = (side - 1) * row_distance;
        halo.pitch = of_row.outputs + side - 1;
        halo.lines = rows.outputs + halo.more_lines;
        for (int u = 0; u < side; u++) {
            halo.row_at[u] = u * row_distance * halo.pitch;
            for (int v = 0; v < side; v++) halo.tap[u * side + v] = rows.tap[u_at[u]] * c.V + of_row.tap[v_at[v]];
        }
        // `count` numbers in a row, anywhere: over how many pieces of `size` they may be spread
        const auto spread = [](int count, int size) { return count % size == 0 ? count / size : (count - 2) / size + 2; };
        const int plane = rows.outputs * of_row.outputs, images = plane % pixels == 0 ? 1 : spread(pixels, plane);
        const int lines = std::min(spread(pixels, of_row.outputs) + images * halo.more_lines, c.N * halo.lines);
        l.positions = std::max(l.positions, lines * halo.pitch);
    }
    return l.positions <= stride;
}

bool row_gradient_of(RowGradient& l, const Conv& conv, bool bias, int splits, int columns, int depth, int threads) {
    const int pitch = MARGIN + conv.W;
    if (conv.V != TAPS_OF_ROW || conv.stride_h != 1 || conv.stride_w != 1 || conv.dilation_w != 1) return false;
    if (conv.padding_w >= MARGIN || conv.J > depth || pitch > ROWS_STRIDE - MARGIN) return false;
    l.conv = conv, l.by_J = Divider(conv.J), l.splits = splits, l.bias = bias;
    l.rows = std::min({depth / conv.J, conv.I, (ROWS_STRIDE - MARGIN) / pitch});
    l.slabs_of_image = ceil_div(conv.I, l.rows);
    l.slabs = conv.N * l.slabs_of_image;
    l.padded_o = ceil_div(conv.group_O(), columns) * columns;
    l.padded_c = ceil_div(conv.group_C(), GRADIENT_CHANNELS) * GRADIENT_CHANNELS;
    l.x_unit = conv.W % 4 == 0 ? 4 : conv.W % 2 == 0 ? 2 : 1;  // a row, and with it a plane, begins at a multiple of it
    return l.rows * conv.W <= threads;
}

void sum_gradient_parts(const char* name, const RowGradient& l, const float* parts, float* dweight, cudaStream_t stream) {
    launch(name, sum_of_gradient_parts, ceil_div(l.part(), 32), dim3(32, LANES), 0, stream, l, parts, dweight);
}
