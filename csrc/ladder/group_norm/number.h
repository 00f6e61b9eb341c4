// What the rungs of GroupNorm share: the last step for one number. Its formulas are in csrc/group_norm/parts.h.
//
// Work: some 10 operations a number. Bytes: at least 8 a number, x read and y written.
#pragma once

#include "group_norm/parts.h"
#include "ladder/rung.h"

// y of a number: normalised, scaled and shifted, with Swish behind it where it is wanted.
inline __device__ float finished(const GroupNorm& n, float x, float mean, float inverse_std, float weight, float bias) {
    const float z = (x - mean) * inverse_std * weight + bias;
    return n.swish ? activate<true>(z) : z;
}
