// conv2d and its gradients for Python. kernels/cuda/conv2d_launch.py prepares the arrays; what is checked here is that no kernel can be
// sent outside of an array.
#include <array>

#include "common/array.h"
#include "conv2d/conv2d.h"
#include "group_norm/group_norm.h"
#include "ladder/rung.h"

using Numbers = std::array<int, 16>;  // the fields of Conv, in their order
using Bias = std::optional<Array<float>>;

static Conv conv_of(const Numbers& n) {
    const Conv conv{n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10], n[11], n[12], n[13], n[14], n[15]};
    const bool positive = conv.C > 0 && conv.H > 0 && conv.W > 0 && conv.O > 0 && conv.U > 0 && conv.V > 0 && conv.I > 0 && conv.J > 0 &&
                          conv.stride_h > 0 && conv.stride_w > 0 && conv.dilation_h > 0 && conv.dilation_w > 0 && conv.groups > 0;
    if (!positive || conv.N < 0 || conv.padding_h < 0 || conv.padding_w < 0 || conv.C % conv.groups || conv.O % conv.groups)
        throw std::invalid_argument("conv2d: sizes that are no convolution");
    return conv;
}

static void want_size(const char* name, const Array<float>& array, long long size) {
    if (array.size() != size)
        throw std::invalid_argument(std::string("conv2d: ") + name + " must have " + std::to_string(size) + " elements, got " +
                                    std::to_string(array.size()));
}

static void want_sizes(const Conv& conv, const Array<float>* x, const Array<float>* weight, const Array<float>* y) {
    if (x) want_size("x", *x, 1LL * conv.N * conv.C * conv.H * conv.W);
    if (weight) want_size("weight", *weight, 1LL * conv.O * conv.group_C() * conv.U * conv.V);
    if (y) want_size("y", *y, 1LL * conv.N * conv.O * conv.I * conv.J);
}

static const float* want_bias(const char* name, const Bias& bias, int channels) {
    if (!bias) return nullptr;
    want_size(name, *bias, channels);
    return bias->data;
}

static Sum sum_of(const std::string& name) {
    if (name == "forward") return Sum::FORWARD;
    if (name == "input gradient") return Sum::INPUT_GRADIENT;
    if (name == "weight gradient") return Sum::WEIGHT_GRADIENT;
    throw std::invalid_argument("conv2d: wanted the sum forward, input gradient or weight gradient, got " + name);
}

static long long parts_size(const std::string& version, const Conv& conv, const std::string& sum, int tile, int splits, long long result) {
    return conv2d_parts(conv, sum_of(sum), version == "tf32" ? 1 : version == "tf32x3" ? 3 : 0, tile, splits, result);
}

// copies: how many products the sum is made of, groups and stride classes. They and the splits are grid.z of one launch.
static Plan plan_of(const std::string& version, const Conv& conv, const std::string& sum, const Array<float>& result, int tile, int splits,
                    const Bias& parts, long long copies) {
    constexpr long long LARGEST_GRID_Z = 65535;
    if (splits < 1) throw std::invalid_argument("conv2d: splits must be at least 1");
    if (copies * splits > LARGEST_GRID_Z)
        throw std::invalid_argument("conv2d: groups x stride classes x splits must be at most " + std::to_string(LARGEST_GRID_Z) + ", got " +
                                    std::to_string(copies * splits));
    const long long size = parts_size(version, conv, sum, tile, splits, result.size());
    if (size < 0)
        throw std::invalid_argument("conv2d: tile " + std::to_string(tile) + " of " + version + " is not for the " + sum +
                                    " of this convolution, or not for this GPU");
    if (size && !parts) throw std::invalid_argument("conv2d: this tile, or more than one split, needs an array parts");
    if (size) want_size("parts", *parts, size);
    return {tile, splits, parts ? parts->data : nullptr};
}

// naive counts all elements in grid.x, and tiled has no stride classes.
static long long copies_of(const std::string& version, const Conv& conv, bool classes) {
    if (version == "naive") return 1;
    return version == "tiled" || !classes ? conv.groups : 1LL * conv.groups * conv.stride_h * conv.stride_w;
}

[[noreturn]] static void unknown(const std::string& version) { throw std::invalid_argument("conv2d: there is no version " + version); }

static Bindings bind([](py::module_& module) {
    define(module, "conv2d_refuses", [](const Numbers& numbers) -> std::optional<std::string> {
        const char* reason = conv2d_fast_refuses(conv_of(numbers));
        return reason ? std::optional<std::string>(reason) : std::nullopt;
    });

    define(module, "conv2d_takes", [](const std::string& version, const Numbers& numbers, const std::string& sum, int tile) {
        return parts_size(version, conv_of(numbers), sum, tile, 1, 0) >= 0;
    });

    define(module, "conv2d_parts", [](const std::string& version, const Numbers& numbers, const std::string& sum, int tile, int splits,
                                      long long result_size) {
        return parts_size(version, conv_of(numbers), sum, tile, splits, result_size);
    });

    define(module, "conv2d", [](const std::string& version, const Numbers& numbers, Array<float> x, Array<float> weight, Bias bias,
                                Array<float> y, int tile, int splits, Bias parts, Stream stream) {
        const Conv conv = conv_of(numbers);
        want_sizes(conv, &x, &weight, &y);
        const float* b = want_bias("bias", bias, conv.O);
        const Plan plan = plan_of(version, conv, "forward", y, tile, splits, parts, copies_of(version, conv, false));
        if (auto* rung = Conv2dRung::find(version)) return rung(conv, x.data, weight.data, b, y.data, plan, stream);
        if (version == "naive") return conv2d_naive(conv, x.data, weight.data, b, y.data, stream);
        if (version == "tiled") return conv2d_tiled(conv, x.data, weight.data, b, y.data, stream);
        if (version == "fast") return conv2d_fast(conv, x.data, weight.data, b, y.data, plan, stream);
        if (version == "tf32") return conv2d_tf32(conv, x.data, weight.data, b, y.data, plan, stream);
        if (version == "tf32x3") return conv2d_tf32x3(conv, x.data, weight.data, b, y.data, plan, stream);
        unknown(version);
    });

    define(module, "conv2d_of_group_norm_swish",
           [](const std::string& version, const Numbers& numbers, Array<float> x, int num_groups, Bias norm_weight, Bias norm_bias, float eps,
              Array<float> weight, Bias bias, Array<float> scales, Array<float> y, Stream stream) {
               const Conv conv = conv_of(numbers);
               want_sizes(conv, &x, &weight, &y);
               if (num_groups < 1 || conv.C % num_groups)
                   throw std::invalid_argument("conv2d: num_groups must divide the channels of x, got " + std::to_string(num_groups));
               want_size("scales", scales, 2LL * conv.N * conv.C);
               const float *scale = want_bias("norm_weight", norm_weight, conv.C), *shift = want_bias("norm_bias", norm_bias, conv.C);
               const GroupNorm norm{conv.N, num_groups, conv.C / num_groups, conv.H * conv.W, eps, true, x.data, scale, shift,
                                    nullptr, nullptr, nullptr};
               auto* rung = NormConv2dRung::find(version);
               if (!rung) unknown(version);
               rung(norm, conv, weight.data, want_bias("bias", bias, conv.O), reinterpret_cast<float2*>(scales.data), y.data, stream);
           });

    define(module, "conv2d_input_gradient", [](const std::string& version, const Numbers& numbers, Array<float> dy, Array<float> weight,
                                               Bias bias, Array<float> dx, int tile, int splits, Bias parts, Stream stream) {
        const Conv conv = conv_of(numbers);
        want_sizes(conv, &dx, &weight, &dy);
        const float* b = want_bias("bias", bias, conv.C);
        const Plan plan = plan_of(version, conv, "input gradient", dx, tile, splits, parts, copies_of(version, conv, true));
        if (version == "naive") return conv2d_input_gradient_naive(conv, dy.data, weight.data, b, dx.data, stream);
        if (version == "tiled") return conv2d_input_gradient_tiled(conv, dy.data, weight.data, b, dx.data, stream);
        if (version == "fast") return conv2d_input_gradient_fast(conv, dy.data, weight.data, b, dx.data, plan, stream);
        if (version == "tf32") return conv2d_input_gradient_tf32(conv, dy.data, weight.data, b, dx.data, plan, stream);
        if (version == "tf32x3") return conv2d_input_gradient_tf32x3(conv, dy.data, weight.data, b, dx.data, plan, stream);
        unknown(version);
    });

    define(module, "conv2d_weight_gradient", [](const std::string& version, const Numbers& numbers, Array<float> dy, Array<float> x,
                                                Array<float> dweight, bool bias, int tile, int splits, Bias parts, Stream stream) {
        const Conv conv = conv_of(numbers);
        want_sizes(conv, &x, nullptr, &dy);
        const long long size = 1LL * conv.O * conv.group_C() * conv.U * conv.V;
        want_size(bias ? "dweight, followed by dbias," : "dweight", dweight, size + (bias ? conv.O : 0));
        const Plan plan = plan_of(version, conv, "weight gradient", dweight, tile, splits, parts, copies_of(version, conv, false));
        const Gradients to{dweight.data, bias};
        if (version == "fast") return conv2d_weight_gradient_fast(conv, dy.data, x.data, to, plan, stream);
        if (version == "tf32") return conv2d_weight_gradient_tf32(conv, dy.data, x.data, to, plan, stream);
        if (version == "tf32x3") return conv2d_weight_gradient_tf32x3(conv, dy.data, x.data, to, plan, stream);
        if (version == "naive") {
            conv2d_weight_gradient_naive(conv, dy.data, x.data, dweight.data, stream);
            if (bias) conv2d_bias_gradient_naive(conv, dy.data, dweight.data + size, stream);
        } else if (version == "tiled") {
            conv2d_weight_gradient_tiled(conv, dy.data, x.data, dweight.data, stream);
            if (bias) conv2d_bias_gradient_tiled(conv, dy.data, dweight.data + size, stream);
        } else {
            unknown(version);
        }
    });

    define(module, "conv2d_bias_gradient",
           [](const std::string& version, const Numbers& numbers, Array<float> dy, Array<float> dbias, Stream stream) {
               const Conv conv = conv_of(numbers);
               want_sizes(conv, nullptr, nullptr, &dy);
               want_size("dbias", dbias, conv.O);
               if (version == "naive") return conv2d_bias_gradient_naive(conv, dy.data, dbias.data, stream);
               return conv2d_bias_gradient_tiled(conv, dy.data, dbias.data, stream);
           });
});
