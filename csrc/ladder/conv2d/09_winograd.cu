// conv2d, rung 9: fewer multiplications (Winograd's F(2 x 2, 3 x 3)). For 3 x 3 kernels of stride 1.
//
// Against rung 8: four results side by side read the same 16 pixels, and 36 multiplications make them. 16 are enough: pixels d and weights
// g are first transformed by additions, then multiplied place by place, and the products transformed back,
//
//     Y = A' [ (G g G') . (B' d B) ] A           B' = [1 0 -1 0]    G = [ 1   0   0 ]    A' = [1 1  1  0]
//                                                     [0 1  1 0]        [ 1/2 1/2 1/2]        [0 1 -1 -1]
//                                                     [0 -1 1 0]        [ 1/2 -1/2 1/2]
//                                                     [0 1  0 -1]       [ 0   0   1 ]
//
// The sum over the channels is taken between the transforms. So at each of the 16 places it is a product of matrices, as on the rungs
// before, with k = c. Nothing but x, weight and y is in global memory ("fused"). (Winograd 1980; Lavin and Gray, arXiv:1509.09308.)
//
//     block     owns 32 channels x 32 tiles of 2 x 2 results; blockIdx = (tiles, channels, group)
//     slab      8 channels: a thread transforms the pixels of one tile and channel, and the weights of one m and channel
//     thread    owns 8 x 8 sums of one place: 16 threads a place, two places a warp, in different halves of the banks
//     bytes     a block reads 16 numbers of x for each tile and channel, each pixel 4 times, and 9 weights for each m and channel
//     counted   for 32 multiply-adds: 6.0836502 bytes read of global memory, 37.231939 of shared memory, 0.43536122 turns of its banks
#include "ladder/conv2d/product.h"

namespace conv2d_09 {

constexpr int M = 32, TILES = 32, DEPTH = 8, PLACES = 16, THREADS = 256, PITCH = DEPTH * 32 + 16;  // of a place

__device__ void transform_pixels(float& a, float& b, float& c, float& d) {
    const float first = a - c, second = b + c, third = c - b, last = b - d;
    a = first, b = second, c = third, d = last;
}
__device__ void transform_weights(float& a, float& b, float& c, float& d) {  // of a, b and c
    const float ends = (a + c) / 2, middle = b / 2;
    d = c, b = ends + middle, c = ends - middle;
}
__device__ void transform_products(float& a, float& b, float c, float d) { a += b + c, b -= c + d; }  // to a and b

__global__ void __launch_bounds__(THREADS, 2) kernel(const Product p, Divider by_rows, Divider by_columns) {
    __shared__ __align__(16) float weights[PLACES][PITCH], pixels[PLACES][PITCH];
    __shared__ float raw[M][DEPTH * 9 + 1];  // weights of a slab as they lie in memory, read by whole sectors
    const int t = threadIdx.x, mine = t % 32, slot = t / 32;  // transforms tile or m `mine`, channel `slot` of a slab
    const int place = t / 16, row = t % 16 / 4 * 4, column = t % 4 * 4, group = blockIdx.z, C = p.conv.group_C();
    const int tile = blockIdx.x * TILES + mine, line = by_columns.divide(tile), image = by_rows.divide(line), first_m = blockIdx.y * M;
    const int i = (line - image * by_rows.divisor) * 2, j = (tile - line * by_columns.divisor) * 2;
    const float* x = p.x + (image * p.conv.C + group * C) * p.conv.H * p.conv.W;

    float sum[8][8] = {};
    for (int first_c = 0; first_c < C; first_c += DEPTH) {
        const int c = first_c + slot, h = i - p.conv.padding_h, w = j - p.conv.padding_w;
        float d[4][4], g[4][4];
        __syncthreads();  // nobody needs the slab before this one any more
        for (int e = t; e < M * DEPTH * 9; e += THREADS) raw[e / 72][e % 72] = p.left(group, first_m + e / 72, first_c * 9 + e % 72);
        for (int a = 0; a < 4; a++)
            for (int b = 0; b < 4; b++)
                d[a][b] = image < p.conv.N && c < C && p.conv.inside(h + a, w + b) ? x[(c * p.conv.H + h + a) * p.conv.W + w + b] : 0;
        __syncthreads();
        for (int e = 0; e < 9; e++) g[e / 3][e % 3] = raw[mine][slot * 9 + e];
        for (int b = 0; b < 4; b++) transform_pixels(d[0][b], d[1][b], d[2][b], d[3][b]);
        for (int b = 0; b < 3; b++) transform_weights(g[0][b], g[1][b], g[2][b], g[3][b]);
        for (int a = 0; a < 4; a++) {
            transform_pixels(d[a][0], d[a][1], d[a][2], d[a][3]);
            transform_weights(g[a][0], g[a][1], g[a][2], g[a][3]);
            for (int b = 0; b < 4; b++) pixels[4 * a + b][slot * 32 + mine] = d[a][b], weights[4 * a + b][slot * 32 + mine] = g[a][b];
        }
        __syncthreads();  // the slab is complete
        for (int k = 0; k < DEPTH; k++) {
            float left[8], right[8];
            for (int e = 0; e < 8; e += 4)
                read_quad(left + e, &weights[place][k * 32 + row + e * 4]), read_quad(right + e, &pixels[place][k * 32 + column + e * 4]);
            for (int r = 0; r < 8; r++)
                for (int e = 0; e < 8; e++) sum[r][e] += left[r] * right[e];
        }
    }
#pragma unroll
    for (int part = 0; part < 4; part++) {  // 8 of the 32 channels at a time change hands: from a place's threads to a tile's
        __syncthreads();
        if (row / 8 == part % 2)
            for (int r = 0; r < 4; r++)
                for (int e = 0; e < 8; e++) pixels[place][(row % 8 + r) * 32 + column + e / 4 * 16 + e % 4] = sum[part / 2 * 4 + r][e];
        __syncthreads();
        float z[4][4];
        for (int n = 0; n < PLACES; n++) z[n / 4][n % 4] = pixels[n][slot * 32 + mine];
        for (int b = 0; b < 4; b++) transform_products(z[0][b], z[1][b], z[2][b], z[3][b]);
        for (int a = 0; a < 2; a++) {
            transform_products(z[a][0], z[a][1], z[a][2], z[a][3]);
            for (int b = 0; b < 2; b++)
                if (image < p.conv.N && i + a < p.conv.I && j + b < p.conv.J)
                    p.store(group, first_m + part * 8 + slot, (image * p.conv.I + i + a) * p.conv.J + j + b, z[a][b]);
        }
    }
}

void run(const Conv& conv, const float* x, const float* weight, const float* bias, float* y, const Plan&, cudaStream_t stream) {
    const bool suits = conv.U == 3 && conv.V == 3 && conv.stride_h * conv.stride_w * conv.dilation_h * conv.dilation_w == 1;
    if (!suits) throw std::runtime_error("conv2d_09_winograd: for 3 x 3 kernels of stride 1, without dilation");
    const Product p(conv, x, weight, bias, y);
    const int rows = ceil_div(conv.I, 2), columns = ceil_div(conv.J, 2);
    const dim3 grid(ceil_div(1LL * conv.N * rows * columns, TILES), ceil_div(p.M, M), conv.groups);
    launch("conv2d_09_winograd", kernel, grid, THREADS, 0, stream, p, Divider(unsigned(rows)), Divider(unsigned(columns)));
}

Conv2dRung rung("09_winograd", run);

}  // namespace conv2d_09
