// The pixels that N results side by side see, in one piece: the images stand one below the other, each with its padding.
//
//                 . . . . . . . . . .
//                 . - - - - - a=a=a .      a: where the first tap of the first result falls. b: the last tap of the last one
//                 . a=a=a=a=a=a=a=a .
//                 . a=a=a=b - - - - .      The padding between a and b has its places, too
//                 . . . . . . . . . .
#pragma once

#include "conv2d/conv2d.h"

struct Patch {
    int rows, pitch;  // of an image with its padding
    int size;         // places of the largest patch, in whole quads
    int channels;     // how many channels are copied at a time

    // Where the first tap of result n falls, counted from the first image.
    __host__ __device__ int place(const Conv& c, int n) const {
        const int line = n / c.J, image = line / c.I;
        return (image * rows + (line - image * c.I) * c.stride_h) * pitch + (n - line * c.J) * c.stride_w;
    }

    // Which pixel lies there, in the first channel of a group of x. -1 in the padding.
    __device__ int pixel(const Conv& c, int group, int place) const {
        const int line = place / pitch, image = line / rows, h = line % rows - c.padding_h, w = place % pitch - c.padding_w;
        return image < c.N && c.inside(h, w) ? (image * c.C + group * c.group_C()) * c.H * c.W + h * c.W + w : -1;
    }
};

// For blocks of `results` results. In shared memory a place takes an int2, and a channel, twice, a float for each place and `weights` more.
// No more than `most` channels.
inline Patch patch_of(const Conv& c, int results, int weights, int shared_bytes, int most = 4) {
    const int down = (c.U - 1) * c.dilation_h, right = (c.V - 1) * c.dilation_w;  // from the first tap to the last
    Patch patch{(c.I - 1) * c.stride_h + down + 1, (c.J - 1) * c.stride_w + right + 1, 0, 0};
    const int all = c.N * c.I * c.J;
    for (int n = 0; n < all; n += results)
        patch.size = std::max(patch.size, patch.place(c, std::min(n + results, all) - 1) - patch.place(c, n));
    patch.size = ceil_div(patch.size + down * patch.pitch + right + 1, 4) * 4;
    patch.channels = std::min(most, (shared_bytes - int(sizeof(int2)) * patch.size) / (2 * int(sizeof(float)) * (weights + patch.size)));
    return patch;
}
