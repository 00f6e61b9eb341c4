// What tf32_warpgroup.cu and tf32x3_warpgroup.cu compile, once for each number of products: the tiles for wgmma, which plans number from
// WARPGROUP_TILE (weight gradients: WARPGROUP_GRADIENT_TILE) on.
#pragma once

#include "conv2d/warpgroup_correlate.h"
#include "conv2d/warpgroup_gradient.h"

// use(tile) with the tile of this number; false if there is none.    warpgroups columns stages pending resident blocks
template <int PRODUCTS, int SIDE, class Use>
bool with_halo_tile(int number, Use use) {
    if constexpr (PRODUCTS == 3)
        switch (number - WARPGROUP_TILE) {
            case 0: return use(HaloTile<2, 64, 2, false, 2, 3, SIDE>());
            case 1: return use(HaloTile<3, 64, 3, true, 1, 3, SIDE>());
            case 2: return use(HaloTile<2, 32, 3, true, 2, 3, SIDE>());
            case 3: return use(HaloTile<1, 64, 2, false, 2, 3, SIDE>());
        }
    else
        switch (number - WARPGROUP_TILE) {
            case 0: return use(HaloTile<2, 128, 3, true, 1, 1, SIDE>());
            case 1: return use(HaloTile<3, 64, 2, false, 2, 1, SIDE>());
            case 2: return use(HaloTile<2, 32, 3, true, 3, 1, SIDE>());
            case 3: return use(HaloTile<1, 64, 2, false, 4, 1, SIDE>());
            case 4: return use(HaloTile<3, 128, 2, false, 1, 1, SIDE>());
        }
    return false;
}

// Use is called with the tile and what it knows of the convolution; false if the tile is not for it.
template <int PRODUCTS, class Use>
bool with_halo(const Correlation& c, int number, Use use) {
    const auto use_if_fit = [&](auto tile) {
        Halo l;
        return halo_of<decltype(tile)>(l, c) && use(tile, l);
    };
    return with_halo_tile<PRODUCTS, 3>(number, use_if_fit) || with_halo_tile<PRODUCTS, 2>(number, use_if_fit);
}

// The same for weight gradients: slabs of 56 or 64 pixels, whichever leave fewer empty.    columns steps batch
template <int PRODUCTS, class Use>
bool with_row_gradient(const Conv& conv, bool bias, int splits, int number, Use use) {
    const auto use_shorter = [&](auto seven, auto eight) {
        RowGradient l7, l8;
        const bool fit7 = row_gradient_of<decltype(seven)>(l7, conv, bias, splits);
        const bool fit8 = row_gradient_of<decltype(eight)>(l8, conv, bias, splits);
        if (fit7 && (!fit8 || 7 * l7.slabs <= 8 * l8.slabs)) return use(seven, l7);
        return fit8 && use(eight, l8);
    };
    if constexpr (PRODUCTS == 3)
        switch (number - WARPGROUP_GRADIENT_TILE) {
            case 0: return use_shorter(RowsTile<64, 7, 3, 3>(), RowsTile<64, 8, 3, 3>());
            case 1: return use_shorter(RowsTile<32, 7, 4, 3>(), RowsTile<32, 8, 4, 3>());
        }
    else
        switch (number - WARPGROUP_GRADIENT_TILE) {
            case 0: return use_shorter(RowsTile<64, 7, 4, 1>(), RowsTile<64, 8, 4, 1>());
            case 1: return use_shorter(RowsTile<32, 7, 4, 1>(), RowsTile<32, 8, 4, 1>());
            case 2: return use_shorter(RowsTile<128, 7, 3, 1>(), RowsTile<128, 8, 3, 1>());
        }
    return false;
}

[[noreturn]] inline void no_warpgroup_tile(const char* name, int number) {
    throw std::runtime_error(std::string(name) + ": tile " + std::to_string(number) + " is not for this convolution, or there is none");
}

template <int PRODUCTS>
void correlation_by_warpgroups(const char* name, const Correlation& c, const float* source, const float* weight, const float* bias,
                               float* result, const Plan& plan, cudaStream_t stream) {
    const bool done = with_halo<PRODUCTS>(c, plan.tile, [&](auto tile, const Halo& l) {
        launch_halo<decltype(tile)>(name, l, source, weight, bias, result, plan.parts, stream);
        return true;
    });
    if (!done) no_warpgroup_tile(name, plan.tile);
}

template <int PRODUCTS>
void weight_gradient_by_warpgroups(const char* name, const Conv& conv, const float* dy, const float* x, const Gradients& to, const Plan& plan,
                                   cudaStream_t stream) {
    const bool done = with_row_gradient<PRODUCTS>(conv, to.bias, plan.splits, plan.tile, [&](auto tile, const RowGradient& l) {
        launch_row_gradient<decltype(tile)>(name, l, dy, x, to, plan.parts, stream);
        return true;
    });
    if (!done) no_warpgroup_tile(name, plan.tile);
}

template <int PRODUCTS>
long long warpgroup_parts(const Conv& conv, Sum sum, int tile, int splits, long long result_size) {
    long long size = -1;
    if (sum == Sum::WEIGHT_GRADIENT) {
        const bool bias = result_size > 1LL * conv.O * conv.group_C() * conv.U * conv.V;
        with_row_gradient<PRODUCTS>(conv, bias, splits, tile, [&](auto, const RowGradient& l) {
            size = 1LL * splits * l.part();
            return true;
        });
    } else {
        const bool forward = sum == Sum::FORWARD;
        const Correlation c = forward ? forward_correlation(conv, splits, nullptr, nullptr) : input_gradient_correlation(conv, splits, nullptr);
        with_halo<PRODUCTS>(c, tile, [&](auto tile, const Halo& l) {
            size = l.arranged<decltype(tile)>() + (splits > 1 ? splits * result_size : 0);
            return true;
        });
    }
    return size;
}
