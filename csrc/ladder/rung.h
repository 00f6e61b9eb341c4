// The rungs of the ladders: numbered versions of a kernel, from naive to fast, each in a file of its own and one idea faster than the one
// before. A rung repeats what it has in common with its neighbours, so that it can be read alone, and so that
//     diff ladder/conv2d/05_float4.cu ladder/conv2d/06_lanes.cu
// shows the idea. That is why the rungs stand beside csrc/<operation>/, where nothing is repeated.
//
// A file ends with   Conv2dRung rung("06_lanes", run);   and then Python finds it by this name, and `make run KERNEL=conv2d/06`, too.
#pragma once

#include <string>

#include "common/device.h"

template <class Function>
struct Rung {
    const char* name;
    Function* function;
    Rung* next;
    static inline Rung* first = nullptr;  // of the rungs of this operation, a list

    Rung(const char* name, Function* function) : name(name), function(function), next(first) { first = this; }

    static Function* find(const std::string& name) {  // null if there is none
        for (const Rung* rung = first; rung; rung = rung->next)
            if (name == rung->name) return rung->function;
        return nullptr;
    }
};

struct Conv;
struct Plan;
struct Attention;
struct GroupNorm;
using Conv2dRung = Rung<void(const Conv&, const float* x, const float* weight, const float* bias, float* y, const Plan&, cudaStream_t)>;
using NormConv2dRung = Rung<void(const GroupNorm&, const Conv&, const float* weight, const float* bias, float2* scale_and_shift, float* y,
                                 cudaStream_t)>;  // y = conv2d(swish(group_norm(x)))
using AttentionRung = Rung<void(const Attention&, cudaStream_t)>;
using GroupNormRung = Rung<void(const GroupNorm&, cudaStream_t)>;
