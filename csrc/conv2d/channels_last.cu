// 2-D convolution with channels last: how the arrays come into that order, and which convolutions it is for. See channels_last.h.
#include "conv2d/channels_last.h"

namespace {

constexpr int SIDE = 32, THREADS = 256, LINES = THREADS / SIDE;  // a block transposes a tile of 32 channels x 32 pixels

// Reads rows of pixels and writes rows of channels, both side by side in memory: the tile is transposed in shared memory. A thread writes a
// quad of channels; its 4 numbers are in different rows of the tile, which are 33 long, so that the lanes of a warp read 32 different banks.
__device__ void transpose_tile(const Transposition& array, int block) {
    __shared__ float tile[SIDE][SIDE + 1];
    const int by_pixels = ceil_div(array.plane, SIDE), by_channels = ceil_div(array.channels, SIDE);
    const int first_pixel = block % by_pixels * SIDE, first_channel = block / by_pixels % by_channels * SIDE;
    const long long image = 1LL * (block / by_pixels / by_channels) * array.channels * array.plane;
    const float* from = array.from + image;
    const int x = threadIdx.x % SIDE, y = threadIdx.x / SIDE;
#pragma unroll
    for (int line = 0; line < SIDE; line += LINES) {
        const int channel = first_channel + line + y, pixel = first_pixel + x;
        if (channel < array.channels && pixel < array.plane) tile[line + y][x] = from[channel * array.plane + pixel];
    }
    __syncthreads();
    const int quad = threadIdx.x % (SIDE / 4) * 4, pixel = threadIdx.x / (SIDE / 4);
    if (first_channel + quad >= array.channels || first_pixel + pixel >= array.plane) return;
    float value[4];
#pragma unroll
    for (int e = 0; e < 4; e++) {
        value[e] = tile[quad + e][pixel];
        if (array.rounded) value[e] = round_to_tf32(value[e]);
    }
    float* to = array.to + image + (first_pixel + pixel) * array.channels + first_channel + quad;
    *reinterpret_cast<float4*>(to) = make_float4(value[0], value[1], value[2], value[3]);
}

// A lane 4 g + t of instruction s takes rows g and g + 8 at k = 4t + 2s, then at the k after it: tile_tf32.h.
__device__ void arrange_block(const Arrangement& a, int block) {
    const WeightOrder& order = a.order;
    const int size = order.size(), place = block * THREADS + threadIdx.x;
    if (place >= size) return;
    const int e = place % 4, t = place / 4 % 4, g = place / 16 % 8, s = place / 128 % 2, tap = place / PIECE_SIZE % order.taps;
    const int slab = place / PIECE_SIZE / order.taps % order.slabs(), piece = place / order.piece(), group = piece / order.pieces();
    const int m = (piece - group * order.pieces()) * PIECE + g + 8 * (e % 2), c = slab * SLAB_CHANNELS + 4 * t + 2 * s + e / 2;
    const bool inside = m < order.M && c < order.C;
    const float value = inside ? a.from[group * order.weight_group + m * order.weight_m + c * order.weight_c + tap] : 0;
    const float high = round_to_tf32(value);
    a.to[place] = high;
    if (a.parts == 2) a.to[size + place] = value - high;
}

// The first blocks transpose the source, the last ones arrange the weights.
__global__ void prepare(Transposition source, Arrangement weights) {
    const int block = blockIdx.x;
    if (block < source.blocks)
        transpose_tile(source, block);
    else
        arrange_block(weights, block - source.blocks);
}

}  // namespace

Transposition transposition_of(const float* from, float* to, int images, int channels, int plane, bool rounded) {
    const long long blocks = 1LL * ceil_div(plane, SIDE) * ceil_div(channels, SIDE) * images;
    return {from, to, channels, plane, rounded, int(blocks)};
}

void to_channels_last(const char* name, const Transposition& source, const Arrangement& weights, cudaStream_t stream) {
    const unsigned blocks = source.blocks + ceil_div(weights.order.size(), THREADS);
    launch(name, prepare, blocks, THREADS, 0, stream, source, weights);
}

WeightOrder order_of(const Conv& conv, bool gradient) {
    const Correlation c = gradient ? input_gradient_correlation(conv, 1, nullptr) : forward_correlation(conv, 1, nullptr, nullptr);
    return {c.groups, c.M, c.C, conv.U * conv.V, c.weight_m, c.weight_c, c.weight_group};
}

long long source_size(const Conv& conv, bool gradient) {
    return whole_quads(gradient ? 1LL * conv.N * conv.O * conv.I * conv.J : 1LL * conv.N * conv.C * conv.H * conv.W);
}

long long channels_last_parts(const Conv& conv, bool gradient, int products) {
    if ((gradient ? conv.group_O() : conv.group_C()) % 4 != 0) return -1;
    return source_size(conv, gradient) + (products == 3 ? 2LL : 1LL) * order_of(conv, gradient).size();
}
