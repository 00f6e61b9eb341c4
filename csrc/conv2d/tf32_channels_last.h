// What tf32_channels_last.cu and tf32x3_channels_last.cu compile, once for each number of products: the tiles of the kernel with channels
// last, which plans number from CHANNELS_LAST_TILE on.
#pragma once

#include "conv2d/channels_last_correlate.h"

// Copies spread over the multiplications save 6 % where there are three products. Where there is one, the multiplications are too short to
// hide them, and spreading costs registers: 5 % for the large tile.
//                                                                                         M    N pieces resident blocks    spread
template <int PRODUCTS> using LargeChannelsLast = ChannelsLastTile<64, 128, 2, 8, 3, PRODUCTS, PRODUCTS == 3>;
template <int PRODUCTS> using WideChannelsLast = ChannelsLastTile<32, 128, 2, 4, PRODUCTS == 1 ? 4 : 3, PRODUCTS, true>;
template <int PRODUCTS> using MediumChannelsLast = ChannelsLastTile<64, 64, 2, 4, PRODUCTS == 1 ? 4 : 3, PRODUCTS, true>;

template <int PRODUCTS>
void correlation_channels_last(const char* name, const Conv& conv, const Correlation& c, bool gradient, const float* source,
                               const float* weight, const float* bias, float* result, const Plan& plan, cudaStream_t stream) {
    if (channels_last_parts(conv, gradient, PRODUCTS) < 0)
        throw std::runtime_error(std::string(name) + ": tiles with channels last are for groups of 4, 8, 12 ... channels, got " +
                                 std::to_string(c.C));
    constexpr int PARTS = PRODUCTS == 3 ? 2 : 1;
    const ChannelsLast l{c, order_of(conv, gradient), conv.U * conv.V, c.groups * c.C};
    float* transposed = plan.parts;  // the source, then the weights, then the parts
    float* arranged = transposed + source_size(conv, gradient);
    float* parts = arranged + PARTS * l.order.size();
    const Transposition transposition =
        transposition_of(source, transposed, conv.N, c.groups * c.C, c.source_h * c.source_w, PRODUCTS == 1);
    const Arrangement arrangement{weight, arranged, l.order, PARTS};
    to_channels_last(name, transposition, arrangement, stream);
    switch (plan.tile - CHANNELS_LAST_TILE) {
        case 0: return launch_channels_last<LargeChannelsLast<PRODUCTS>>(name, l, transposed, arranged, bias, result, parts, stream);
        case 1: return launch_channels_last<WideChannelsLast<PRODUCTS>>(name, l, transposed, arranged, bias, result, parts, stream);
        case 2: return launch_channels_last<MediumChannelsLast<PRODUCTS>>(name, l, transposed, arranged, bias, result, parts, stream);
        default: throw std::runtime_error(std::string(name) + ": there is no tile " + std::to_string(plan.tile));
    }
}
