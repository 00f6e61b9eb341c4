// Scaled dot-product attention: what all its kernels share.
//
//     s_ij = scale * <q_i, k_j> + mask_ij              logits; -inf where query i may not look at key j
//     p_ij = exp(s_ij - lse_i)                         lse_i = log sum_j exp(s_ij), the log-sum-exp of the row
//     o_i  = sum_j p_ij v_j
//
// and for the gradients, with do_i = dL/do_i:
//
//     dp_ij   = <do_i, v_j>
//     delta_i = sum_j p_ij dp_ij = <do_i, o_i>
//     ds_ij   = p_ij (dp_ij - delta_i)
//     dq_i = scale * sum_j ds_ij k_j        dk_j = scale * sum_i ds_ij q_i        dv_j = sum_i p_ij do_i
//
// One "head" below is one (batch, head) pair: nothing is shared between heads, so they are simply counted from 0 to batch_heads - 1.
// Only o and lse are kept for the backward pass: p_ij is recomputed there, so that memory grows with the number of tokens, not its square.
#pragma once

#include "common/device.h"

constexpr int MAX_SIZE = 128;  // of a head

struct Attention {
    int heads, batch_heads;  // heads of one image; heads * images
    int queries, keys;       // tokens of either sequence
    int size, value_size;    // of q_i and k_j; of v_j and o_i
    float scale;
    bool causal;             // query i may look at keys j <= i only
    const float* query;      // (batch_heads, queries, size)
    const float* key;        // (batch_heads, keys, size)
    const float* value;      // (batch_heads, keys, value_size)
    float* output;           // (batch_heads, queries, value_size)
    float* lse;              // (batch_heads, queries); +inf for a row that may look at nothing, which makes its p_ij = exp(-inf) = 0
    const float* mask;       // added to the logits; null if there is none
    long long mask_batch, mask_head, mask_query, mask_key;  // its strides, 0 along an axis it is broadcast over
};

struct AttentionGradient {
    const float* d_output;  // (batch_heads, queries, value_size)
    float* delta;           // (batch_heads, queries), filled by the launcher
    float* d_query;         // (parts, batch_heads, queries, size): dq is the sum over the first axis
    float* d_key;           // (batch_heads, keys, size)
    float* d_value;         // (batch_heads, keys, value_size)
    int parts;              // 1 except for the versions fast and tf32x3
};

void attention_forward_naive(const Attention& a, cudaStream_t stream);
void attention_forward_tiled(const Attention& a, cudaStream_t stream);
void attention_backward_naive(const Attention& a, const AttentionGradient& g, cudaStream_t stream);
void attention_backward_tiled(const Attention& a, const AttentionGradient& g, cudaStream_t stream);
void attention_delta(const Attention& a, const AttentionGradient& g, cudaStream_t stream);

// The fast version has tiles of several shapes; AUTO takes the one that suits the problem and the device.
enum class Tile { AUTO, SMALL, NARROW, MEDIUM, LARGE };
void attention_forward_fast(const Attention& a, Tile tile, cudaStream_t stream);
float attention_forward_cycles(const Attention& a, Tile tile);  // by the model that AUTO chooses with; infinite where the tile does not fit
void attention_backward_fast(const Attention& a, const AttentionGradient& g, Tile tile, cudaStream_t stream);
int attention_fast_parts(int batch_heads, int keys);  // how many parts of dq suit the device
bool attention_fast_fits(int size);                       // whether a block's tiles fit into this device's shared memory

// The same on tensor cores, three products for one: from compute capability 8.0 on. Its tiles are SMALL and LARGE; the others count as AUTO.
void attention_forward_tf32x3(const Attention& a, Tile tile, cudaStream_t stream);
void attention_backward_tf32x3(const Attention& a, const AttentionGradient& g, cudaStream_t stream);
int attention_tf32x3_parts(int batch_heads, int keys, int size);
bool attention_tf32x3_fits(int size);
