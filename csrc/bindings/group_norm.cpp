// group_norm_forward and group_norm_backward for Python, with or without Swish: shapes are checked here, once for every version.
#include "common/array.h"
#include "group_norm/group_norm.h"
#include "ladder/rung.h"

namespace {

using Floats = Array<float>;
using Parameter = std::optional<Floats>;

void require(bool condition, const char* relation) {
    if (!condition) throw std::invalid_argument(std::string("group_norm kernel: ") + relation);
}

GroupNorm describe(const Floats& x, int groups, const Parameter& weight, const Parameter& bias, float eps, bool swish, float* y,
                   const Floats& mean, const Floats& inverse_std) {
    require(x.shape.size() == 3, "x must be (images, channels, pixels)");
    const long long N = x.shape[0], C = x.shape[1], P = x.shape[2];
    require(x.size() > 0 && x.size() < (1LL << 31), "x must have 1 to 2^31 - 1 elements");
    require(groups > 0 && C % groups == 0, "groups must divide the channels of x");
    for (const Parameter* parameter : {&weight, &bias})
        require(!*parameter || (*parameter)->size() == C, "weight and bias must have a number for each channel of x");
    require(mean.size() == N * groups && inverse_std.size() == N * groups, "mean and inverse_std must be (images, groups)");
    return {int(N), groups, int(C / groups), int(P), eps, swish, x.data, weight ? weight->data : nullptr, bias ? bias->data : nullptr,
            y, mean.data, inverse_std.data};
}

void forward(const std::string& version, Floats x, int groups, Parameter weight, Parameter bias, float eps, bool swish, Floats y,
             Floats mean, Floats inverse_std, Stream stream) {
    const GroupNorm n = describe(x, groups, weight, bias, eps, swish, y.data, mean, inverse_std);
    require(y.shape == x.shape, "y must be like x");
    if (auto* rung = GroupNormRung::find(version)) return rung(n, stream);
    if (version == "naive") return group_norm_forward_naive(n, stream);
    require(version == "fast", "version must be naive or fast");
    group_norm_forward_fast(n, stream);
}

void backward(const std::string& version, Floats x, int groups, Parameter weight, Parameter bias, float eps, bool swish, Floats mean,
              Floats inverse_std, Floats dy, Floats dx, Floats dweight, Floats dbias, Floats image_dweight, Floats image_dbias,
              Stream stream) {
    const GroupNorm n = describe(x, groups, weight, bias, eps, swish, nullptr, mean, inverse_std);
    require(dy.shape == x.shape && dx.shape == x.shape, "dy and dx must be like x");
    require(dweight.size() == n.channels() && dbias.size() == n.channels(), "dweight and dbias must have a number for each channel");
    for (const Floats* sums : {&image_dweight, &image_dbias})
        require(sums->size() == (long long)n.images * n.channels(), "image_dweight and image_dbias must be (images, channels)");
    const GroupNormGradient g = {dy.data, dx.data, dweight.data, dbias.data, image_dweight.data, image_dbias.data};
    if (version == "naive") return group_norm_backward_naive(n, g, stream);
    require(version == "fast", "version must be naive or fast");
    group_norm_backward_fast(n, g, stream);
}

Bindings bind([](py::module_& module) {
    define(module, "group_norm_forward", forward);
    define(module, "group_norm_backward", backward);
});

}  // namespace
