// What the functions of this folder are called with. Plain data: every variant is compiled with these same types.
#pragma once

#include <cstdint>

namespace native {

struct GroupNorm {
    int64_t images, pixels, channels, groups;
    const float *weight, *bias;  // (C,), or null for 1 and 0
    float eps;
    bool swish;
};

struct Images {
    int64_t count, height, width, channels;  // channels last
    int64_t before_h, before_w;              // rows and columns of zeros before the first
    int64_t tall, wide;                      // tiles of 4 x 4 down and across
    int64_t point;                           // from the matrix of one point to the next, in numbers
};

struct Kernels {
    int64_t out, in;  // channels; the kernels are (out, in, 3, 3)
    int64_t point;    // from the matrix of one point to the next, in numbers
    bool turned;      // by half a turn, with `in` and `out` exchanged: the kernels of the input gradient
};

struct Narrow {
    int64_t images, height, width;        // of the results
    int64_t in, out, rows, columns;       // channels, and the size of the kernels
};

struct Heads {
    int64_t images, heads, queries, keys, size, value_size;  // size of a query and of a key, size of a value
    float scale;
};

struct Matrix {  // of each image and head
    float* data;
    int64_t image, head, row;  // steps, in numbers; the numbers of a row lie side by side
};

// One variant of everything, for one kind of processor.
struct Functions {
    const char* name;
    int lanes;
    void (*group_norm_forward)(const GroupNorm&, const float* x, float* y, float* mean, float* inverse_std);
    void (*group_norm_backward)(const GroupNorm&, const float* x, const float* dy, const float* mean, const float* inverse_std, float* dx,
                                float* dweight, float* dbias);
    void (*winograd_pixels)(const Images&, const float* x, float* v);
    void (*winograd_results)(const Images&, const float* y, float* m);
    void (*winograd_interpolate)(const Images&, const float* m, const float* bias, float* y);
    void (*winograd_kernels)(const Kernels&, const float* weight, float* u);
    void (*winograd_kernel_gradient)(const Kernels&, const float* du, float* dweight);
    void (*few_channels_in)(const Narrow&, const float* x, const float* weight, const float* bias, float* y);
    void (*few_channels_out)(const Narrow&, const float* x, const float* weight, const float* bias, float* y);
    void (*few_channels_in_gradient)(const Narrow&, const float* x, const float* dy, float* dweight);
    void (*attention_forward)(const Heads&, Matrix q, Matrix k, Matrix v, Matrix y, float* p);
    void (*attention_backward)(const Heads&, Matrix q, Matrix k, Matrix v, const float* p, Matrix dy, Matrix dq, Matrix dk, Matrix dv);
};

}  // namespace native
