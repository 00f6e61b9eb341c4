// Group normalisation with or without Swish, backward (the equations are in group_norm.h).
//
// All sums over pixels that are needed are two numbers per channel of an image, sum dz and sum dz x_hat:
//     dbias_c, dweight_c              add them up over the images
//     average(dx_hat), ... x_hat      add them up over the channels of a group, times weight_c
//
//     naive   a thread owns a channel of an image, for the sums; then a group of an image, for dx
//     fast    a block owns a group of an image: each of its warps sums a slice of a channel, then all write dx from shared memory. Short
//             channels have a kernel of their own: backward_short.cu
// A last kernel adds up the images, in the same order in every run: no atomics.

#include "group_norm/parts.h"

namespace {

// ---- naive ------------------------------------------------------------------------------------------------------------------------------

template <bool SWISH>
__global__ void group_norm_naive_sums(GroupNorm n, GroupNormGradient g) {
    const int row = blockIdx.x * blockDim.x + threadIdx.x;  // among the channels of all images
    if (row >= n.images * n.channels()) return;             // no barrier follows
    const int channel = row % n.channels(), group = row / n.channels_per_group;
    float sum_dz = 0, sum_dz_x_hat = 0;
    for (int p = 0; p < n.pixels; p++) {
        const size_t k = size_t(row) * n.pixels + p;
        const Terms t = terms<SWISH>(n, n.x[k], g.dy[k], n.mean[group], n.inverse_std[group], channel);
        sum_dz += t.dz;
        sum_dz_x_hat += t.dz * t.x_hat;
    }
    g.image_dbias[row] = sum_dz;
    g.image_dweight[row] = sum_dz_x_hat;
}

template <bool SWISH>
__global__ void group_norm_naive_dx(GroupNorm n, GroupNormGradient g) {
    const int group = blockIdx.x * blockDim.x + threadIdx.x;  // of all images
    if (group >= n.images * n.groups) return;                 // no barrier follows
    const int first_row = group * n.channels_per_group, first_channel = group % n.groups * n.channels_per_group;
    const float count = float(n.channels_per_group) * n.pixels, mean = n.mean[group], inverse_std = n.inverse_std[group];
    float sum_dx_hat = 0, sum_dx_hat_x_hat = 0;
    for (int c = 0; c < n.channels_per_group; c++) {
        sum_dx_hat += weight_of(n, first_channel + c) * g.image_dbias[first_row + c];
        sum_dx_hat_x_hat += weight_of(n, first_channel + c) * g.image_dweight[first_row + c];
    }
    for (int c = 0; c < n.channels_per_group; c++) {
        for (int p = 0; p < n.pixels; p++) {
            const size_t k = size_t(first_row + c) * n.pixels + p;
            const Terms t = terms<SWISH>(n, n.x[k], g.dy[k], mean, inverse_std, first_channel + c);
            const float dx_hat = t.dz * weight_of(n, first_channel + c);
            g.dx[k] = inverse_std * (dx_hat - sum_dx_hat / count - t.x_hat * (sum_dx_hat_x_hat / count));
        }
    }
}

// ---- fast: a warp sums a slice of a channel ---------------------------------------------------------------------------------------------

// A slice is a part of a channel; slice s of the group is slice s % slices of channel s / slices. It is `length` packs long, or less.
struct Slices {
    int per_channel, length;
};

template <bool SWISH, int WIDTH>
__global__ void group_norm_backward_fast(GroupNorm n, GroupNormGradient g, Slices slices, bool kept) {
    using Numbers = Pack<WIDTH>;
    __shared__ float2 partial[MAX_WARPS];
    const int group = blockIdx.x, first_channel = group % n.groups * n.channels_per_group, first_row = group * n.channels_per_group;
    const int row_packs = n.pixels / WIDTH, packs = n.channels_per_group * row_packs;
    const int all_slices = n.channels_per_group * slices.per_channel;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    const float count = float(n.channels_per_group) * n.pixels, mean = n.mean[group], inverse_std = n.inverse_std[group];
    const Numbers* x = reinterpret_cast<const Numbers*>(n.x) + size_t(group) * packs;
    const Numbers* dy = reinterpret_cast<const Numbers*>(g.dy) + size_t(group) * packs;
    Numbers* dx = reinterpret_cast<Numbers*>(g.dx) + size_t(group) * packs;
    Numbers* x_hat_copy = dynamic_shared<Numbers>();  // a thread reads only what it wrote itself
    Numbers* dz_copy = x_hat_copy + (kept ? packs : 0);
    float* sum_dz = reinterpret_cast<float*>(dz_copy + (kept ? packs : 0));  // of each slice
    float* sum_dz_x_hat = sum_dz + all_slices;

    for (int s = warp; s < all_slices; s += warps) {
        const int c = s / slices.per_channel, begin = s % slices.per_channel * slices.length, end = min(begin + slices.length, row_packs);
        float dz_of_lane = 0, dz_x_hat_of_lane = 0;
        for (int p = begin + lane; p < end; p += 32) {
            const int k = c * row_packs + p;
            const Numbers xs = x[k], dys = dy[k];
            Numbers x_hat, dz;
#pragma unroll
            for (int w = 0; w < WIDTH; w++) {
                const Terms t = terms<SWISH>(n, xs.at[w], dys.at[w], mean, inverse_std, first_channel + c);
                x_hat.at[w] = t.x_hat, dz.at[w] = t.dz;
                dz_of_lane += t.dz;
                dz_x_hat_of_lane += t.dz * t.x_hat;
            }
            if (kept) x_hat_copy[k] = x_hat, dz_copy[k] = dz;
        }
        dz_of_lane = warp_sum(dz_of_lane);
        dz_x_hat_of_lane = warp_sum(dz_x_hat_of_lane);
        if (lane == 0) sum_dz[s] = dz_of_lane, sum_dz_x_hat[s] = dz_x_hat_of_lane;
    }
    __syncthreads();

    float2 sums = make_float2(0, 0);  // of dx_hat and dx_hat x_hat, over this thread's channels
    for (int c = threadIdx.x; c < n.channels_per_group; c += blockDim.x) {
        float dbias = 0, dweight = 0;
        for (int s = c * slices.per_channel; s < (c + 1) * slices.per_channel; s++) dbias += sum_dz[s], dweight += sum_dz_x_hat[s];
        g.image_dbias[first_row + c] = dbias;
        g.image_dweight[first_row + c] = dweight;
        sums.x += weight_of(n, first_channel + c) * dbias;
        sums.y += weight_of(n, first_channel + c) * dweight;
    }
    sums = block_sums(sums, partial);
    const float average_dx_hat = sums.x / count, average_dx_hat_x_hat = sums.y / count;

    for (int s = warp; s < all_slices; s += warps) {
        const int c = s / slices.per_channel, begin = s % slices.per_channel * slices.length, end = min(begin + slices.length, row_packs);
        const float weight = weight_of(n, first_channel + c);
        for (int p = begin + lane; p < end; p += 32) {
            const int k = c * row_packs + p;
            const Numbers a = kept ? x_hat_copy[k] : x[k], b = kept ? dz_copy[k] : dy[k];
            Numbers result;
#pragma unroll
            for (int w = 0; w < WIDTH; w++) {
                const Terms t = kept ? Terms{a.at[w], b.at[w]} : terms<SWISH>(n, a.at[w], b.at[w], mean, inverse_std, first_channel + c);
                result.at[w] = inverse_std * (t.dz * weight - average_dx_hat - t.x_hat * average_dx_hat_x_hat);
            }
            dx[k] = result;
        }
    }
}

// dweight and dbias: thread (i, j) of a block adds up images j, j + 32, ... of channel i: neighbouring threads read neighbouring channels.
// Then warp j adds up the 32 sums of channel j.
constexpr int CHANNELS = 32;

__global__ void group_norm_sum_images(GroupNorm n, GroupNormGradient g) {
    __shared__ float sums[CHANNELS][CHANNELS + 1];  // read by columns, too: + 1 puts a column into 32 banks
    const int i = threadIdx.x, j = threadIdx.y, channel = blockIdx.x * CHANNELS + i;
    const float* source = blockIdx.y == 0 ? g.image_dweight : g.image_dbias;
    float sum = 0;
    if (channel < n.channels()) {
#pragma unroll 4
        for (int image = j; image < n.images; image += 32) sum += source[size_t(image) * n.channels() + channel];
    }
    sums[j][i] = sum;
    __syncthreads();
    sum = warp_sum(sums[i][j]);
    const int channel_of_warp = blockIdx.x * CHANNELS + j;
    if (i == 0 && channel_of_warp < n.channels()) (blockIdx.y == 0 ? g.dweight : g.dbias)[channel_of_warp] = sum;
}

void sum_images(const GroupNorm& n, const GroupNormGradient& g, cudaStream_t stream) {
    const dim3 blocks(ceil_div(n.channels(), CHANNELS), 2);
    launch("group_norm_sum_images", group_norm_sum_images, blocks, dim3(CHANNELS, 32), 0, stream, n, g);
}

template <bool SWISH, int WIDTH>
void launch_fast(const GroupNorm& n, const GroupNormGradient& g, cudaStream_t stream) {
    // Eight warps at least, if that leaves each lane something to do.
    const int row_packs = n.pixels / WIDTH, wanted = min(ceil_div(8, n.channels_per_group), ceil_div(row_packs, 32));
    const Slices slices = {wanted, ceil_div(row_packs, wanted)};
    const int all_slices = n.channels_per_group * wanted;
    const size_t sums = 2 * sizeof(float) * all_slices, copies = 2 * sizeof(float) * n.channels_per_group * n.pixels;
    const bool kept = sums + copies <= SHARED_BYTES;
    const dim3 blocks(n.images * n.groups), threads(32 * min(all_slices, MAX_WARPS));
    const size_t shared_bytes = kept ? sums + copies : sums;
    launch("group_norm_backward_fast", group_norm_backward_fast<SWISH, WIDTH>, blocks, threads, shared_bytes, stream, n, g, slices, kept);
}

}  // namespace

void group_norm_backward_naive(const GroupNorm& n, const GroupNormGradient& g, cudaStream_t stream) {
    constexpr int THREADS = 32;
    const dim3 rows(ceil_div(n.images * n.channels(), THREADS)), groups(ceil_div(n.images * n.groups, THREADS));
    const auto sums = n.swish ? group_norm_naive_sums<true> : group_norm_naive_sums<false>;
    const auto dx = n.swish ? group_norm_naive_dx<true> : group_norm_naive_dx<false>;
    launch("group_norm_naive_sums", sums, rows, dim3(THREADS), 0, stream, n, g);
    launch("group_norm_naive_dx", dx, groups, dim3(THREADS), 0, stream, n, g);
    sum_images(n, g, stream);
}

void group_norm_backward_fast(const GroupNorm& n, const GroupNormGradient& g, cudaStream_t stream) {
    if (!group_norm_backward_short_channels(n, g, stream)) {
        const bool wide = packs_of_4(n.pixels, {n.x, g.dy, g.dx});
        if (n.swish) wide ? launch_fast<true, 4>(n, g, stream) : launch_fast<true, 1>(n, g, stream);
        else wide ? launch_fast<false, 4>(n, g, stream) : launch_fast<false, 1>(n, g, stream);
    }
    sum_images(n, g, stream);
}
