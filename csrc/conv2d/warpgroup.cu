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

constexpr int LARGEST_GRID_Y = 65535;
constexpr int WIDTH = 32, TAPS = 9, MAX_LANES = 3;  // channels c and taps of a block; threads that share the parts of a result

// dweight[o][c][u][v], then dbias[o]: the sums of parts [split][group][u][v][o][c], [group][o], always in the same order. A block reads 32
// channels c side by side for each tap, and writes their taps side by side. blockIdx = (c, o, group), of dbias behind the last c.
__global__ void sum_of_gradient_parts(const __grid_constant__ RowGradient l, const float* parts, float* dweight) {
    __shared__ float sums[MAX_LANES][TAPS][WIDTH + 1];
    const Conv& conv = l.conv;
    const int C = conv.group_C(), O = conv.group_O(), taps = conv.U * conv.V, o = blockIdx.y, group = blockIdx.z, size = l.part();
    const int first_c = blockIdx.x * WIDTH, lanes = blockDim.z;
    if (first_c >= l.padded_c) {  // a warp for dbias
        if (threadIdx.y || threadIdx.z) return;
        float sum = 0;
        for (int part = threadIdx.x; part < l.splits; part += WIDTH) sum += parts[1LL * part * size + l.weights() + group * l.padded_o + o];
        sum = warp_sum(sum);
        if (threadIdx.x == 0) dweight[conv.O * C * taps + group * O + o] = sum;
        return;
    }
    const int thread = (threadIdx.z * TAPS + threadIdx.y) * WIDTH + threadIdx.x;
    for (int first_tap = 0; first_tap < taps; first_tap += TAPS) {
        const int tap = first_tap + threadIdx.y;
        float sum = 0;
        if (tap < taps) {
            const float* at = parts + ((group * taps + tap) * l.padded_o + o) * l.padded_c + first_c + threadIdx.x;
#pragma unroll 4
            for (int part = threadIdx.z; part < l.splits; part += lanes) sum += at[1LL * part * size];
        }
        sums[threadIdx.z][threadIdx.y][threadIdx.x] = sum;
        __syncthreads();
        const int count = min(TAPS, taps - first_tap), c = thread / count, t = thread - c * count;
        if (c < WIDTH && first_c + c < C) {
            sum = 0;
            for (int lane = 0; lane < lanes; lane++) sum += sums[lane][t][c];
            dweight[((group * O + o) * C + first_c + c) * taps + first_tap + t] = sum;
        }
        __syncthreads();
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
    const long long weights = 1LL * conv.groups * conv.U * conv.V * l.padded_o * l.padded_c;
    return l.rows * conv.W <= threads && conv.group_O() <= LARGEST_GRID_Y && weights + conv.groups * l.padded_o < MOST_NUMBERS;
}

void sum_gradient_parts(const char* name, const RowGradient& l, const float* parts, float* dweight, cudaStream_t stream) {
    const int lanes = l.splits > 24 ? MAX_LANES : l.splits > 8 ? 2 : 1;
    const dim3 grid(l.padded_c / WIDTH + l.bias, l.conv.group_O(), l.conv.groups);
    launch(name, sum_of_gradient_parts, grid, dim3(WIDTH, TAPS, lanes), 0, stream, l, parts, dweight);
}
