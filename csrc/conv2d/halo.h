// 3 x 3 convolutions of stride 1, forward pass and input gradient: where a block keeps the source pixels that its results read, each of
// them once for all nine taps.
//
// A block owns some results side by side: pixels first, first + 1, ... of all images, counted row by row. They read the source rows around
// them. These come to shared memory as lines, with zeros where the kernel looks outside of the image:
//
//        results (4 of a row of 5)          lines in shared memory           0: zeros. Those behind a line are also the ones before the
//        . . . . .                          0  . . . . .  0                     next line, and those below an image are above the next
//        . . 1 2 3                          0  x x x x x  0  x x x x x  0       one: a line has W + 1 numbers, an image H + 1 lines.
//        4 . . . .                          0  x x x x x  0  ...
//
// So tap (u, v) of the result at `position` is at position + u * pitch + v, for all results. The copies are about a sixth (28 x 28) to a
// quarter (7 x 7) of those of correlate.h, which fetches each pixel anew for each tap.
#pragma once

#include "conv2d/conv2d.h"
#include "common/divider.h"

constexpr int KERNEL = 3, TAPS = KERNEL * KERNEL;
constexpr int MAX_PLANE = 384;  // positions of a channel: a block keeps 8 or 16 channels of them, twice

struct Halo {
    int images, rows, columns;    // of results
    int source_h, source_w;
    int image;                    // numbers of an image in the source, all channels
    int first_row, first_column;  // result (i, j) reads source rows i + first_row, + 1, + 2, and columns likewise
    int above, left;              // zeros above an image, and before a line
    int step, pitch;              // lines of an image, numbers of a line, with the zeros
    int plane;                    // positions of a channel
    Divider by_rows, by_columns, by_step, by_pitch;

    struct Corner {  // of the 3 x 3 source pixels that a result reads
        int line, column;
    };
    __device__ Corner corner(int pixel) const {
        const int row = by_columns.divide(pixel), n = by_rows.divide(row);
        return {n * step + row - n * rows + first_row + above, pixel - row * columns + first_column + left};
    }
    __device__ int position(Corner corner, int first_line) const { return (corner.line - first_line) * pitch + corner.column; }

    // Which number of channel 0 of the source a position holds; -1: a zero.
    __device__ int source_of(int position, int first_line) const {
        const int below = by_pitch.divide(position), w = position - below * pitch - left, line = first_line + below - above;
        if (line < 0 || unsigned(w) >= unsigned(source_w)) return -1;
        const int n = by_step.divide(line), h = line - n * step;
        return n < images && h < source_h ? n * image + h * source_w + w : -1;
    }
};

// For results I x J of a source H x W, whose first tap is `first_row`, `first_column` away. A block has `pixels` results, and its planes
// are rounded up until plane % modulus = rest, so that what a warp reads at once is in different banks.
inline Halo halo_of(int images, int I, int J, int H, int W, int image, int first_row, int first_column, int pixels, int modulus,
                    int rest) {
    Halo halo{};
    halo.images = images, halo.rows = I, halo.columns = J, halo.source_h = H, halo.source_w = W, halo.image = image;
    halo.first_row = first_row, halo.first_column = first_column;
    halo.above = std::max(0, -first_row), halo.left = std::max(0, -first_column);
    halo.step = H + std::max(halo.above, I + KERNEL - 1 + first_row - H);
    halo.pitch = W + std::max(halo.left, J + KERNEL - 1 + first_column - W);
    const int most_rows = (pixels - 2) / J + 2, most_images = (most_rows - 2) / I + 2;
    const long long lines = most_rows + 1LL * (most_images - 1) * (halo.step - I) + KERNEL - 1;
    const long long positions = lines * halo.pitch + halo.left;  // the last line's zeros are before the next one
    halo.plane = positions > MAX_PLANE ? MAX_PLANE + 1 : int(positions + (modulus + rest - positions % modulus) % modulus);
    halo.by_rows = Divider(I), halo.by_columns = Divider(J), halo.by_step = Divider(halo.step), halo.by_pitch = Divider(halo.pitch);
    return halo;
}

// Whether the lines go up from result to result, are few enough for shared memory, and can be counted.
inline bool fits(const Halo& halo) {
    return halo.step >= halo.rows && halo.plane <= MAX_PLANE && (1LL + halo.images + MAX_PLANE) * halo.step < 1LL << 31;
}

inline bool is_3_by_3(const Conv& conv) {
    return conv.U == KERNEL && conv.V == KERNEL && conv.stride_h == 1 && conv.stride_w == 1 && conv.dilation_h == 1 && conv.dilation_w == 1;
}

// The places of a block's source. Forward: x around results of y. Input gradient: dy around results of dx, where tap (2, 2) is the first
// one. A warp reads 8 pixels of 4 channels at once.
inline Halo correlation_halo(const Conv& c, bool gradient, int pixels) {
    const int last = KERNEL - 1;
    return gradient ? halo_of(c.N, c.H, c.W, c.I, c.J, c.O * c.I * c.J, c.padding_h - last, c.padding_w - last, pixels, 16, 8)
                    : halo_of(c.N, c.I, c.J, c.H, c.W, c.C * c.H * c.W, -c.padding_h, -c.padding_w, pixels, 16, 8);
}

constexpr int MOST_PIXELS = 128;  // of a block
inline bool correlation_has_halo(const Conv& conv, bool gradient) {
    return is_3_by_3(conv) && fits(correlation_halo(conv, gradient, MOST_PIXELS));
}
