// The transforms of Winograd's convolution F(4 x 4, 3 x 3) (Lavin & Gray 2016), on one thread. 3x3 kernels, stride 1.
//
// A tile is 4 x 4 results, which read 6 x 6 pixels. Seen as polynomials, kernel and pixels are evaluated at 6 points along each axis,
// multiplied there, and interpolated: 36 products instead of 144.
//
//     V = B^T d B   of each tile's pixels d           U = G w G^T   of each kernel w
//     M = V U       at each of the 36 points, a product of matrices (tiles, C) x (C, O): BLAS does that
//     y = A^T M A   + bias
//
// For the weight gradient the same with the roles exchanged: dU = V(dy)^T  (A x A^T).
//
//     points    0, +-5/8, +-3/2, infinity: of symmetrical ones those with the least rounding (error 5e-7 of the result; 1.2e-6 with +-1, +-2)
//     layout    images are channels last, (N, H, W, C); V and M are (36, tiles, C): one matrix for each point. From one to the next it should
//               not be a multiple of 4096 bytes: a tile's 36 numbers of a channel would all want the same few places of L1
//     loops     over tiles, and in a tile over vectors of channels; 6 x 6 vectors are in registers and L1
//     caches    the caller takes as many images at a time as keep V and M in L2
//     bytes     a tile reads 36 C and writes 36 C numbers (V), or reads 36 O and writes 16 O (y)
#pragma once

#include "cpu/arguments.h"
#include "cpu/lanes.h"

namespace VARIANT {

constexpr int TILE = 4, READ = 6;
constexpr float A = 0.625f, B = 1.5f, A2 = A * A, B2 = B * B;  // the points, and their squares

using native::Images;
using native::Kernels;

// B^T d: six numbers along an axis, evaluated. Even and odd places are added apart, for the points +p and -p share them.
inline void evaluate_pixels(const Lanes (&d)[READ], Lanes (&v)[READ]) {
    const Lanes even_a = d[4] - B2 * d[2], odd_a = A * (d[3] - B2 * d[1]);
    const Lanes even_b = d[4] - A2 * d[2], odd_b = B * (d[3] - A2 * d[1]);
    v[0] = A2 * B2 * d[0] - (A2 + B2) * d[2] + d[4];
    v[1] = even_a + odd_a;
    v[2] = even_a - odd_a;
    v[3] = even_b + odd_b;
    v[4] = even_b - odd_b;
    v[5] = A2 * B2 * d[1] - (A2 + B2) * d[3] + d[5];
}

// A^T m: from the values at the six points to four results.
inline void interpolate(const Lanes (&m)[READ], Lanes (&y)[TILE]) {
    const Lanes even_a = m[1] + m[2], odd_a = A * (m[1] - m[2]), even_b = m[3] + m[4], odd_b = B * (m[3] - m[4]);
    y[0] = m[0] + even_a + even_b;
    y[1] = odd_a + odd_b;
    y[2] = A2 * even_a + B2 * even_b;
    y[3] = A2 * odd_a + B2 * odd_b + m[5];
}

// A y: four numbers along an axis, evaluated: the transpose of `interpolate`.
inline void evaluate_results(const Lanes (&y)[TILE], Lanes (&m)[READ]) {
    const Lanes even_a = y[0] + A2 * y[2], odd_a = A * (y[1] + A2 * y[3]);
    const Lanes even_b = y[0] + B2 * y[2], odd_b = B * (y[1] + B2 * y[3]);
    m[0] = y[0];
    m[1] = even_a + odd_a;
    m[2] = even_a - odd_a;
    m[3] = even_b + odd_b;
    m[4] = even_b - odd_b;
    m[5] = y[3];
}

constexpr float SCALE_0 = 1 / (A2 * B2), SCALE_A = 1 / (2 * A2 * (A2 - B2)), SCALE_B = 1 / (2 * B2 * (B2 - A2));

// G w: a kernel's three numbers along an axis, evaluated. The scales are those that interpolation needs.
inline void evaluate_kernel(const Lanes (&w)[3], Lanes (&u)[READ]) {
    const Lanes even_a = SCALE_A * (w[0] + A2 * w[2]), odd_a = SCALE_A * A * w[1];
    const Lanes even_b = SCALE_B * (w[0] + B2 * w[2]), odd_b = SCALE_B * B * w[1];
    u[0] = SCALE_0 * w[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = w[2];
}

// G^T u: the transpose of `evaluate_kernel`.
inline void gather_kernel(const Lanes (&u)[READ], Lanes (&w)[3]) {
    const Lanes even_a = SCALE_A * (u[1] + u[2]), even_b = SCALE_B * (u[3] + u[4]);
    w[0] = SCALE_0 * u[0] + even_a + even_b;
    w[1] = SCALE_A * A * (u[1] - u[2]) + SCALE_B * B * (u[3] - u[4]);
    w[2] = A2 * even_a + B2 * even_b + u[5];
}

// Reads SIZE x SIZE numbers of each tile (6 x 6 pixels or 4 x 4 results) and writes 36, those of each point into a matrix of its own.
template <int SIZE, class Transform>
inline void evaluate_tiles(const Images& images, const float* x, float* v, Transform transform) {
    const int64_t C = images.channels;
    int64_t tile = 0;
    for (int64_t n = 0; n < images.count; n++)
        for (int64_t row = 0; row < images.tall; row++)
            for (int64_t column = 0; column < images.wide; column++, tile++) {
                const float* at[SIZE][SIZE];  // the pixels, null for those outside
                for (int i = 0; i < SIZE; i++)
                    for (int j = 0; j < SIZE; j++) {
                        const int64_t h = row * TILE + i - images.before_h, w = column * TILE + j - images.before_w;
                        const bool inside = h >= 0 && h < images.height && w >= 0 && w < images.width;
                        at[i][j] = inside ? x + ((n * images.height + h) * images.width + w) * C : nullptr;
                    }
                for (int64_t c = 0; c < C; c += LANES) {
                    const int64_t count = C - c < LANES ? C - c : int64_t(LANES);
                    Lanes half[READ][SIZE];  // the columns are done
                    for (int j = 0; j < SIZE; j++) {
                        Lanes d[SIZE], out[READ];
                        for (int i = 0; i < SIZE; i++)
                            d[i] = !at[i][j] ? Lanes{} : count == LANES ? load(at[i][j] + c) : load(at[i][j] + c, count);
                        transform(d, out);
                        for (int i = 0; i < READ; i++) half[i][j] = out[i];
                    }
                    for (int i = 0; i < READ; i++) {
                        Lanes out[READ];
                        transform(half[i], out);
                        for (int j = 0; j < READ; j++) {
                            float* to = v + (i * READ + j) * images.point + tile * C + c;
                            count == LANES ? store(to, out[j]) : store(to, out[j], count);
                        }
                    }
                }
            }
}

// V (36, tiles, C) of x (N, H, W, C)
inline void winograd_pixels(const Images& images, const float* x, float* v) {
    evaluate_tiles<READ>(images, x, v, [](const Lanes (&d)[READ], Lanes (&out)[READ]) { evaluate_pixels(d, out); });
}

// A y A^T (36, tiles, C) of y (N, H, W, C)
inline void winograd_results(const Images& images, const float* y, float* m) {
    evaluate_tiles<TILE>(images, y, m, [](const Lanes (&d)[TILE], Lanes (&out)[READ]) { evaluate_results(d, out); });
}

// y (N, H, W, C) = A^T M A + bias, of m (36, tiles, C); bias (C,) or null
inline void winograd_interpolate(const Images& images, const float* m, const float* bias, float* y) {
    const int64_t C = images.channels;
    int64_t tile = 0;
    for (int64_t n = 0; n < images.count; n++)
        for (int64_t row = 0; row < images.tall; row++)
            for (int64_t column = 0; column < images.wide; column++, tile++)
                for (int64_t c = 0; c < C; c += LANES) {
                    const int64_t count = C - c < LANES ? C - c : int64_t(LANES);
                    Lanes half[TILE][READ];
                    for (int j = 0; j < READ; j++) {
                        Lanes in[READ], out[TILE];
                        for (int i = 0; i < READ; i++) {
                            const float* from = m + (i * READ + j) * images.point + tile * C + c;
                            in[i] = count == LANES ? load(from) : load(from, count);
                        }
                        interpolate(in, out);
                        for (int i = 0; i < TILE; i++) half[i][j] = out[i];
                    }
                    const Lanes b = !bias ? Lanes{} : count == LANES ? load(bias + c) : load(bias + c, count);
                    for (int i = 0; i < TILE && row * TILE + i < images.height; i++) {
                        Lanes out[TILE];
                        interpolate(half[i], out);
                        float* to = y + ((n * images.height + row * TILE + i) * images.width + column * TILE) * C + c;
                        for (int j = 0; j < TILE && column * TILE + j < images.width; j++)
                            count == LANES ? store(to + j * C, out[j] + b) : store(to + j * C, out[j] + b, count);
                    }
                }
}

// The place of tap t of the kernel (row, column) of U: vectors lie along the columns.
inline int64_t tap_at(const Kernels& k, int64_t row, int64_t column, int t) {
    return k.turned ? (row * k.in + column) * 9 + 8 - t : (column * k.in + row) * 9 + t;
}

// U (36, in, out) of weight (out, in, 3, 3); turned: (36, out, in), of the kernels turned round
inline void winograd_kernels(const Kernels& k, const float* weight, float* u) {
    const int64_t rows = k.turned ? k.out : k.in, columns = k.turned ? k.in : k.out;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column += LANES) {
            const int64_t count = columns - column < LANES ? columns - column : int64_t(LANES);
            Lanes half[READ][3], taps[3][3] = {};
            for (int t = 0; t < 9; t++)
                for (int64_t lane = 0; lane < count; lane++) taps[t % 3][t / 3][lane] = weight[tap_at(k, row, column + lane, t)];
            for (int j = 0; j < 3; j++) {
                Lanes out[READ];
                evaluate_kernel(taps[j], out);
                for (int i = 0; i < READ; i++) half[i][j] = out[i];
            }
            for (int i = 0; i < READ; i++) {
                Lanes out[READ];
                evaluate_kernel(half[i], out);
                for (int j = 0; j < READ; j++) {
                    float* to = u + (i * READ + j) * k.point + row * columns + column;
                    count == LANES ? store(to, out[j]) : store(to, out[j], count);
                }
            }
        }
}

// dweight (out, in, 3, 3) = G^T dU G, of du as U is in `winograd_kernels`
inline void winograd_kernel_gradient(const Kernels& k, const float* du, float* dweight) {
    const int64_t rows = k.turned ? k.out : k.in, columns = k.turned ? k.in : k.out;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column += LANES) {
            const int64_t count = columns - column < LANES ? columns - column : int64_t(LANES);
            Lanes half[3][READ];
            for (int j = 0; j < READ; j++) {
                Lanes in[READ], out[3];
                for (int i = 0; i < READ; i++) {
                    const float* from = du + (i * READ + j) * k.point + row * columns + column;
                    in[i] = count == LANES ? load(from) : load(from, count);
                }
                gather_kernel(in, out);
                for (int i = 0; i < 3; i++) half[i][j] = out[i];
            }
            for (int i = 0; i < 3; i++) {
                Lanes out[3];
                gather_kernel(half[i], out);
                for (int j = 0; j < 3; j++)
                    for (int64_t lane = 0; lane < count; lane++) dweight[tap_at(k, row, column + lane, 3 * i + j)] = out[j][lane];
            }
        }
}

}  // namespace VARIANT
