// Group normalisation with or without Swish, backward, where channels are short: 14 x 14 pixels and fewer.
//
// The kernel of backward.cu gives each channel to a warp. With 16 channels of 7 x 7 pixels its block has 512 threads, of which a multiprocessor
// holds two; half of a warp's second step is idle; and rows of 49 numbers can't be read four at a time. Here no channel has threads of its own:
//
//     1. a thread asks for PACKS packs of x and dy, with weight and bias, before it needs the first of them: one trip to memory
//     2. it adds up dz and dz x_hat of each pack, leaves them in shared memory, and adds up dx_hat and dx_hat x_hat of all its packs
//     3. one barrier; dx follows from the block's sums and from what the thread has kept in registers
//     4. while dx is on its way, a few lanes a channel add up the packs of the channel
//
// A group of 4 rows of 49 numbers is a multiple of 4, so that a pack may cross from one channel to the next:
//
//     channel    0 0 0 0 ... 0 0 0 0 | 0 1 1 1 | 1 1 1 1 ...      the pack in the middle has a sum for channel 0 and one for channel 1

#include "group_norm/parts.h"

namespace {

constexpr int PACKS = 4;          // of a thread
constexpr int SHORT = 256;        // a channel of fewer pixels is short
constexpr int CHANNEL_LANES = 8;  // they add up one channel

template <bool SWISH, int WIDTH, bool CROSSING>
__global__ void group_norm_backward_short(GroupNorm n, GroupNormGradient g, LoopDivider by_pixels) {
    using Numbers = Pack<WIDTH>;
    using PackSums = Pack<2 + 2 * CROSSING>;  // of dz and dz x_hat, over the numbers in the first of its channels; then in the second
    __shared__ float2 partial[MAX_WARPS];
    const int group = blockIdx.x, first_channel = group % n.groups * n.channels_per_group, first_row = group * n.channels_per_group;
    const int packs = n.channels_per_group * n.pixels / WIDTH;
    const float count = float(n.channels_per_group) * n.pixels, mean = n.mean[group], inverse_std = n.inverse_std[group];
    const Numbers* x = reinterpret_cast<const Numbers*>(n.x) + size_t(group) * packs;
    const Numbers* dy = reinterpret_cast<const Numbers*>(g.dy) + size_t(group) * packs;
    Numbers* dx = reinterpret_cast<Numbers*>(g.dx) + size_t(group) * packs;
    PackSums* pack_sums = dynamic_shared<PackSums>();

    Numbers x_hat[PACKS], dx_hat[PACKS];  // at first x and dy: all reads are under way before the first number is needed
    PackParameters<WIDTH, CROSSING> parameters[PACKS];
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
        const int k = threadIdx.x + i * blockDim.x;
        if (k < packs) {
            const Numbers xs = x[k], dys = dy[k];
            x_hat[i] = xs, dx_hat[i] = dys;
            parameters[i].read(n, first_channel, by_pixels, k);
        }
    }

    float2 sums = make_float2(0, 0);  // of dx_hat and dx_hat x_hat
#pragma unroll
    for (int i = 0; i < PACKS; i++) {
        const int k = threadIdx.x + i * blockDim.x;
        if (k < packs) {
            const auto& p = parameters[i];
            PackSums of_pack = {};
#pragma unroll
            for (int w = 0; w < WIDTH; w++) {
                const Terms t = terms<SWISH>(x_hat[i].at[w], dx_hat[i].at[w], mean, inverse_std, p.weight(w), p.bias(w));
                x_hat[i].at[w] = t.x_hat;
                dx_hat[i].at[w] = t.dz * p.weight(w);
                if (p.in_second(w)) of_pack.at[2 * CROSSING] += t.dz, of_pack.at[2 * CROSSING + 1] += t.dz * t.x_hat;
                else of_pack.at[0] += t.dz, of_pack.at[1] += t.dz * t.x_hat;
            }
            pack_sums[k] = of_pack;
#pragma unroll
            for (int channel = 0; channel <= CROSSING; channel++) {
                sums.x += p.weights[channel] * of_pack.at[2 * channel];
                sums.y += p.weights[channel] * of_pack.at[2 * channel + 1];
            }
        }
    }
    sums = block_sums(sums, partial);  // its barrier also completes what is in shared memory
    const float average_dx_hat = sums.x / count, average_dx_hat_x_hat = sums.y / count;

#pragma unroll
    for (int i = 0; i < PACKS; i++) {
        const int k = threadIdx.x + i * blockDim.x;
        if (k < packs) {
            Numbers result;
            for (int w = 0; w < WIDTH; w++)
                result.at[w] = inverse_std * (dx_hat[i].at[w] - average_dx_hat - x_hat[i].at[w] * average_dx_hat_x_hat);
            dx[k] = result;
        }
    }

    const int lane = threadIdx.x % CHANNEL_LANES, team = threadIdx.x / CHANNEL_LANES, teams = blockDim.x / CHANNEL_LANES;
    for (int begin = 0; begin < n.channels_per_group; begin += teams) {  // whole warps go through it, since they shuffle
        const int c = begin + team, c_end = c < n.channels_per_group ? c + 1 : c;
        const int first_pack = ceil_div(c * n.pixels, WIDTH), end = ceil_div(c_end * n.pixels, WIDTH);  // those that begin in the channel
        float dbias = 0, dweight = 0;
        for (int k = first_pack + lane; k < end; k += CHANNEL_LANES) {
            const PackSums of_pack = pack_sums[k];
            dbias += of_pack.at[0];
            dweight += of_pack.at[1];
        }
        if (CROSSING && lane == 0 && first_pack < end && c > 0) {  // the pack before them; it has 0 if it ends where the channel begins
            const PackSums of_pack = pack_sums[first_pack - 1];
            dbias += of_pack.at[2 * CROSSING];
            dweight += of_pack.at[2 * CROSSING + 1];
        }
        for (int distance = CHANNEL_LANES / 2; distance > 0; distance /= 2) {
            dbias += __shfl_xor_sync(WHOLE_WARP, dbias, distance);
            dweight += __shfl_xor_sync(WHOLE_WARP, dweight, distance);
        }
        if (lane == 0 && c < n.channels_per_group) {
            g.image_dbias[first_row + c] = dbias;
            g.image_dweight[first_row + c] = dweight;
        }
    }
}

template <bool SWISH, int WIDTH, bool CROSSING>
bool launch_short(const GroupNorm& n, const GroupNormGradient& g, cudaStream_t stream) {
    const long long count = (long long)n.channels_per_group * n.pixels;
    const int warps = ceil_div(count, 32 * WIDTH * PACKS);
    if (warps > MAX_WARPS) return false;
    const dim3 blocks(n.images * n.groups), threads(32 * warps);
    const size_t shared_bytes = sizeof(Pack<2 + 2 * CROSSING>) * (count / WIDTH);
    const auto kernel = group_norm_backward_short<SWISH, WIDTH, CROSSING>;
    launch("group_norm_backward_short", kernel, blocks, threads, shared_bytes, stream, n, g, LoopDivider(n.pixels));
    return true;
}

template <bool SWISH>
bool launch_short(const GroupNorm& n, const GroupNormGradient& g, cudaStream_t stream) {
    switch (packs_of(n, {n.x, g.dy, g.dx})) {
        case Packs::OF_1: return launch_short<SWISH, 1, false>(n, g, stream);
        case Packs::OF_4: return launch_short<SWISH, 4, false>(n, g, stream);
        case Packs::OF_4_CROSSING: return launch_short<SWISH, 4, true>(n, g, stream);
    }
    return false;
}

}  // namespace

bool group_norm_backward_short_channels(const GroupNorm& n, const GroupNormGradient& g, cudaStream_t stream) {
    if (n.pixels >= SHORT) return false;
    return n.swish ? launch_short<true>(n, g, stream) : launch_short<false>(n, g, stream);
}
