// 2-D convolution: what a plan's tile needs beside the arrays, and whether it is for this convolution and this GPU.
#include "conv2d/channels_last.h"
#include "conv2d/warpgroup.h"

long long conv2d_parts(const Conv& conv, Sum sum, int products, int tile, int splits, long long result_size) {
    const bool weights = sum == Sum::WEIGHT_GRADIENT;
    long long written_anew = 0;
    if (products && tile >= (weights ? WARPGROUP_GRADIENT_TILE : WARPGROUP_TILE)) {
        if (!has_wgmma()) return -1;
        return products == 3 ? warpgroup_parts<3>(conv, sum, tile, splits, result_size) : warpgroup_parts<1>(conv, sum, tile, splits, result_size);
    }
    if (products && !weights && tile >= CHANNELS_LAST_TILE) written_anew = channels_last_parts(conv, sum == Sum::INPUT_GRADIENT, products);
    return written_anew < 0 ? -1 : written_anew + (splits > 1 ? splits * result_size : 0);
}
