// Everything of this folder for one kind of processor. setup.py compiles this file once for each, with other options and with other
// values of VARIANT (a namespace and a name) and LANES.
//
// No templates of the standard library here that make functions (std::vector, ...): the linker keeps one copy of such a function for all
// variants, and a copy with AVX-512 would end the program on a processor that has none.
#include "cpu/attention.h"
#include "cpu/group_norm.h"
#include "cpu/narrow.h"
#include "cpu/winograd.h"

#define TEXT_(name) #name
#define TEXT(name) TEXT_(name)

namespace VARIANT {

extern const native::Functions functions;
const native::Functions functions = {
    TEXT(VARIANT),        LANES,
    group_norm_forward,   group_norm_backward,
    winograd_pixels,      winograd_results,
    winograd_interpolate, winograd_kernels,
    winograd_kernel_gradient,
    few_channels_in,      few_channels_out,
    few_channels_in_gradient,
    attention_forward,    attention_backward,
};

}  // namespace VARIANT
