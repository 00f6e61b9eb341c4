// What the rungs of attention share: the sizes of a head that they are compiled for. Masks, causality and the last steps,
// o / l and the log-sum-exp, are those of csrc/attention/parts.h.
//
// Work: 2 T^2 D multiply-adds a head of T queries and keys of D numbers. Bytes: at least 16 T D: q, k, v read once, o written once.
#pragma once

#include "attention/parts.h"
#include "ladder/rung.h"

// Calls use with 32, 64 or 128 as a constant: the size of a head, rounded up, so that loops over it can be unrolled.
template <class Use>
void with_head(const Attention& a, Use use) {
    const int size = std::max(a.size, a.value_size);
    if (size <= 32) use(std::integral_constant<int, 32>());
    else if (size <= 64) use(std::integral_constant<int, 64>());
    else use(std::integral_constant<int, 128>());
}
