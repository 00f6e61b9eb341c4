// The simplest version of each operation for Python: conv2d_naive.h, group_norm_naive.h, attention_naive.h, on contiguous arrays of NumPy.
#include <array>

#include "cpu/arrays.h"
#include "cpu/attention_naive.h"
#include "cpu/conv2d_naive.h"
#include "cpu/group_norm_naive.h"

namespace {

using Optional = std::optional<Array>;

native::Conv2d conv2d_of(const Array& x, const Array& weight, const std::array<int64_t, 9>& options) {
    numbers("x", x, {-1, -1, -1, -1});
    numbers("weight", weight, {-1, -1, -1, -1});
    const auto [I, J, stride_h, stride_w, before_h, before_w, dilation_h, dilation_w, groups] = options;
    if (groups < 1 || x.shape(1) % groups || weight.shape(0) % groups || weight.shape(1) != x.shape(1) / groups)
        refuse("groups", "a number that divides the channels of x and y, and a weight that fits");
    return {x.shape(0), x.shape(1), x.shape(2), x.shape(3), weight.shape(0), weight.shape(2), weight.shape(3), I, J,
            stride_h,   stride_w,   before_h,   before_w,   dilation_h,      dilation_w,      groups};
}

void conv2d(const Array& x, const Array& weight, const Optional& bias, const std::array<int64_t, 9>& options, const Array& y) {
    const native::Conv2d s = conv2d_of(x, weight, options);
    const float *from = x.data(), *w = weight.data(), *b = optional("bias", bias, s.O);
    float* to = writable("y", y, {s.N, s.O, s.I, s.J});
    py::gil_scoped_release unlocked;
    native::conv2d_naive(s, from, w, b, to);
}

void conv2d_backward(const Array& x, const Array& weight, const std::array<int64_t, 9>& options, const Array& dy, const Array& dx,
                     const Array& dweight, const Array& dbias) {
    const native::Conv2d s = conv2d_of(x, weight, options);
    const float *from = x.data(), *w = weight.data(), *of_y = numbers("dy", dy, {s.N, s.O, s.I, s.J});
    float *to_x = writable("dx", dx, {s.N, s.C, s.H, s.W}), *to_bias = writable("dbias", dbias, {s.O});
    float* to_weight = writable("dweight", dweight, {s.O, s.C / s.groups, s.U, s.V});
    py::gil_scoped_release unlocked;
    native::conv2d_backward_naive(s, from, w, of_y, to_x, to_weight, to_bias);
}

native::GroupNorm norm_of(const Array& x, int64_t groups, const Optional& weight, const Optional& bias, float eps, bool swish) {
    numbers("x", x, {-1, -1, -1});
    const int64_t channels = x.shape(1);
    if (groups < 1 || channels < 1 || channels % groups || x.shape(2) < 1) refuse("groups", "a number that divides the channels");
    return {x.shape(0), x.shape(2), channels, groups, optional("weight", weight, channels), optional("bias", bias, channels), eps, swish};
}

void group_norm(const Array& x, int64_t groups, const Optional& weight, const Optional& bias, float eps, bool swish, const Array& y,
                const Array& mean, const Array& inverse_std) {
    const native::GroupNorm g = norm_of(x, groups, weight, bias, eps, swish);
    const float* from = x.data();
    float *to = writable("y", y, {g.images, g.channels, g.pixels}), *m = writable("mean", mean, {g.images, groups});
    float* s = writable("inverse_std", inverse_std, {g.images, groups});
    py::gil_scoped_release unlocked;
    native::group_norm_naive(g, from, to, m, s);
}

void group_norm_backward(const Array& x, const Array& dy, int64_t groups, const Optional& weight, const Optional& bias, bool swish,
                         const Array& mean, const Array& inverse_std, const Array& dx, const Array& dweight, const Array& dbias) {
    const native::GroupNorm g = norm_of(x, groups, weight, bias, 0, swish);
    const std::vector<int64_t> shape = {g.images, g.channels, g.pixels};
    const float *from = x.data(), *of_y = numbers("dy", dy, shape), *m = numbers("mean", mean, {g.images, groups});
    const float* s = numbers("inverse_std", inverse_std, {g.images, groups});
    float *to = writable("dx", dx, shape), *dw = writable("dweight", dweight, {g.channels}), *db = writable("dbias", dbias, {g.channels});
    py::gil_scoped_release unlocked;
    native::group_norm_backward_naive(g, from, of_y, m, s, to, dw, db);
}

// (heads of all images, tokens, size)
native::Heads heads_of(const Array& q, const Array& k, const Array& v, float scale) {
    numbers("q", q, {-1, -1, -1});
    numbers("k", k, {q.shape(0), -1, q.shape(2)});
    numbers("v", v, {q.shape(0), k.shape(1), -1});
    return {1, q.shape(0), q.shape(1), k.shape(1), q.shape(2), v.shape(2), scale};
}

void attention(const Array& q, const Array& k, const Array& v, float scale, const Array& y, const Array& p) {
    const native::Heads s = heads_of(q, k, v, scale);
    const float *of_q = q.data(), *of_k = k.data(), *of_v = v.data();
    float *to = writable("y", y, {s.heads, s.queries, s.value_size}), *kept = writable("p", p, {s.heads, s.queries, s.keys});
    py::gil_scoped_release unlocked;
    native::attention_naive(s, of_q, of_k, of_v, to, kept);
}

void attention_backward(const Array& q, const Array& k, const Array& v, float scale, const Array& p, const Array& dy, const Array& dq,
                        const Array& dk, const Array& dv) {
    const native::Heads s = heads_of(q, k, v, scale);
    const float *of_q = q.data(), *of_k = k.data(), *of_v = v.data(), *kept = numbers("p", p, {s.heads, s.queries, s.keys});
    const float* of_y = numbers("dy", dy, {s.heads, s.queries, s.value_size});
    float *to_q = writable("dq", dq, {s.heads, s.queries, s.size}), *to_k = writable("dk", dk, {s.heads, s.keys, s.size});
    float* to_v = writable("dv", dv, {s.heads, s.keys, s.value_size});
    py::gil_scoped_release unlocked;
    native::attention_backward_naive(s, of_q, of_k, of_v, kept, of_y, to_q, to_k, to_v);
}

}  // namespace

void bind_naive(py::module_& module) {
    const auto exact = [](const char* name) { return py::arg(name).noconvert(); };  // another dtype is an error, not a copy
    module.def("conv2d_naive", &conv2d, exact("x"), exact("weight"), exact("bias").none(true), py::arg("options"), exact("y"));
    module.def("conv2d_backward_naive", &conv2d_backward, exact("x"), exact("weight"), py::arg("options"), exact("dy"), exact("dx"),
               exact("dweight"), exact("dbias"));
    module.def("group_norm_naive", &group_norm, exact("x"), py::arg("groups"), exact("weight").none(true), exact("bias").none(true),
               py::arg("eps"), py::arg("swish"), exact("y"), exact("mean"), exact("inverse_std"));
    module.def("group_norm_backward_naive", &group_norm_backward, exact("x"), exact("dy"), py::arg("groups"), exact("weight").none(true),
               exact("bias").none(true), py::arg("swish"), exact("mean"), exact("inverse_std"), exact("dx"), exact("dweight"), exact("dbias"));
    module.def("attention_naive", &attention, exact("q"), exact("k"), exact("v"), py::arg("scale"), exact("y"), exact("p"));
    module.def("attention_backward_naive", &attention_backward, exact("q"), exact("k"), exact("v"), py::arg("scale"), exact("p"), exact("dy"),
               exact("dq"), exact("dk"), exact("dv"));
}
