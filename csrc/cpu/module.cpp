// The Python module minidiff._kernels_native: the functions of arguments.h on arrays of NumPy, in the variant for this processor.
// The arrays are checked here, so that no wrong call reads or writes outside of them; what fits together is up to
// minidiff/kernels/cpu/native_*.py. Python's lock is released while the functions run.
#include <cstdlib>

#include "cpu/arrays.h"

using native::Functions;

#define DECLARE(variant)                    \
    namespace variant {                     \
    extern const native::Functions functions; \
    }
DECLARE(plain)
#ifdef __x86_64__
DECLARE(avx2)
DECLARE(avx512)
#endif

namespace {

// Those that this processor runs, the fastest first.
std::vector<const Functions*> variants() {
    std::vector<const Functions*> found;
#ifdef __x86_64__
    __builtin_cpu_init();
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
    if (avx512 && avx2) found.push_back(&avx512::functions);
    if (avx2) found.push_back(&avx2::functions);
#endif
    found.push_back(&plain::functions);
    return found;
}

const Functions* chosen = variants().front();

void choose(const std::string& name) {
    std::string known;
    for (const Functions* variant : variants()) {
        if (variant->name == name) {
            chosen = variant;
            return;
        }
        known += (known.empty() ? "" : ", ") + std::string(variant->name);
    }
    throw py::value_error("variant: wanted one that this processor runs (" + known + "), got '" + name + "'");
}

native::GroupNorm group_norm(const Array& x, int64_t groups, const std::optional<Array>& weight, const std::optional<Array>& bias, float eps,
                             bool swish) {
    numbers("x", x, {-1, -1, -1});
    const int64_t channels = x.shape(2);
    if (groups < 1 || channels < 1 || channels % groups || x.shape(1) < 1) refuse("groups", "a number that divides the channels");
    return {x.shape(0), x.shape(1), channels, groups, optional("weight", weight, channels), optional("bias", bias, channels), eps, swish};
}

void group_norm_forward(const Array& x, int64_t groups, const std::optional<Array>& weight, const std::optional<Array>& bias, float eps,
                        bool swish, const Array& y, const Array& mean, const Array& inverse_std) {
    const native::GroupNorm g = group_norm(x, groups, weight, bias, eps, swish);
    float* to = writable("y", y, {g.images, g.pixels, g.channels});
    float *m = writable("mean", mean, {g.images, groups}), *s = writable("inverse_std", inverse_std, {g.images, groups});
    const float* from = x.data();
    py::gil_scoped_release unlocked;
    chosen->group_norm_forward(g, from, to, m, s);
}

void group_norm_backward(const Array& x, const Array& dy, int64_t groups, const std::optional<Array>& weight,
                         const std::optional<Array>& bias, bool swish, const Array& mean, const Array& inverse_std, const Array& dx,
                         const Array& dweight, const Array& dbias) {
    const native::GroupNorm g = group_norm(x, groups, weight, bias, 0, swish);
    const std::vector<int64_t> shape = {g.images, g.pixels, g.channels};
    const float *from = x.data(), *of_y = numbers("dy", dy, shape);
    const float *m = numbers("mean", mean, {g.images, groups}), *s = numbers("inverse_std", inverse_std, {g.images, groups});
    float* to = writable("dx", dx, shape);
    float *dw = writable("dweight", dweight, {g.channels}), *db = writable("dbias", dbias, {g.channels});
    py::gil_scoped_release unlocked;
    chosen->group_norm_backward(g, from, of_y, m, s, to, dw, db);
}

int64_t tiles(int64_t size) { return (size + 3) / 4; }

// images (N, H, W, C), read in tiles that make (height, width) results
native::Images images(const Array& x, int64_t height, int64_t width, int64_t before_h, int64_t before_w) {
    numbers("images", x, {-1, -1, -1, -1});
    return {x.shape(0), x.shape(1), x.shape(2), x.shape(3), before_h, before_w, tiles(height), tiles(width), 0};
}

// One contiguous matrix (tiles, C) for each of the 36 points; the step from one to the next is noted in i.
float* points(const char* name, const Array& v, native::Images& i, bool written) {
    const int64_t tiles = i.count * i.tall * i.wide, size = sizeof(float);
    const bool fits = v.ndim() == 3 && v.shape(0) == 36 && v.shape(1) == tiles && v.shape(2) == i.channels && v.strides(2) == size &&
                      v.strides(1) == size * i.channels && v.strides(0) % size == 0 && (!written || v.writeable());
    if (!fits) refuse(name, "36 contiguous float32 matrices (" + std::to_string(tiles) + ", " + std::to_string(i.channels) + ")");
    i.point = v.strides(0) / size;
    return const_cast<float*>(v.data());
}

void winograd_pixels(const Array& x, int64_t before_h, int64_t before_w, int64_t height, int64_t width, const Array& v) {
    native::Images i = images(x, height, width, before_h, before_w);
    float* to = points("v", v, i, true);
    const float* from = x.data();
    py::gil_scoped_release unlocked;
    chosen->winograd_pixels(i, from, to);
}

void winograd_results(const Array& y, const Array& m) {
    native::Images i = images(y, y.ndim() == 4 ? y.shape(1) : 0, y.ndim() == 4 ? y.shape(2) : 0, 0, 0);
    float* to = points("m", m, i, true);
    const float* from = y.data();
    py::gil_scoped_release unlocked;
    chosen->winograd_results(i, from, to);
}

void winograd_interpolate(const Array& m, const std::optional<Array>& bias, const Array& y) {
    native::Images i = images(y, y.ndim() == 4 ? y.shape(1) : 0, y.ndim() == 4 ? y.shape(2) : 0, 0, 0);
    const float *from = points("m", m, i, false), *b = optional("bias", bias, i.channels);
    float* to = writable("y", y, {i.count, i.height, i.width, i.channels});
    py::gil_scoped_release unlocked;
    chosen->winograd_interpolate(i, from, b, to);
}

// weight (out, in, 3, 3), and U (36, in, out), or (36, out, in) of the kernels turned round
native::Kernels kernels(const Array& weight, bool turned, const Array& u, bool written) {
    const int64_t out = weight.ndim() == 4 ? weight.shape(0) : 0, in = weight.ndim() == 4 ? weight.shape(1) : 0;
    native::Images as_tiles{turned ? out : in, 1, 1, turned ? in : out, 0, 0, 1, 1, 0};
    points("u", u, as_tiles, written);
    return {out, in, as_tiles.point, turned};
}

void winograd_kernels(const Array& weight, bool turned, const Array& u) {
    const float* from = numbers("weight", weight, {-1, -1, 3, 3});
    const native::Kernels k = kernels(weight, turned, u, true);
    float* to = const_cast<float*>(u.data());
    py::gil_scoped_release unlocked;
    chosen->winograd_kernels(k, from, to);
}

void winograd_kernel_gradient(const Array& du, bool turned, const Array& dweight) {
    float* to = writable("dweight", dweight, {-1, -1, 3, 3});
    const native::Kernels k = kernels(dweight, turned, du, false);
    const float* from = du.data();
    py::gil_scoped_release unlocked;
    chosen->winograd_kernel_gradient(k, from, to);
}

// The convolution from padded images to results (N, height, width, out).
native::Narrow narrow(const Array& x, int64_t rows, int64_t columns, const Array& y) {
    numbers("x", x, {-1, -1, -1, -1});
    numbers("y", y, {x.shape(0), x.shape(1) - rows + 1, x.shape(2) - columns + 1, -1});
    return {x.shape(0), y.shape(1), y.shape(2), x.shape(3), y.shape(3), rows, columns};
}

void few_channels_in(const Array& x, const Array& weight, const std::optional<Array>& bias, const Array& y) {
    const float* w = numbers("weight", weight, {-1, -1, -1, -1});
    const native::Narrow c = narrow(x, weight.shape(0), weight.shape(1), y);
    numbers("weight", weight, {c.rows, c.columns, c.in, c.out});
    const float *from = x.data(), *b = optional("bias", bias, c.out);
    float* to = writable("y", y, {c.images, c.height, c.width, c.out});
    py::gil_scoped_release unlocked;
    chosen->few_channels_in(c, from, w, b, to);
}

void few_channels_out(const Array& x, const Array& weight, const std::optional<Array>& bias, const Array& y) {
    const float* w = numbers("weight", weight, {-1, -1, -1, -1});
    const native::Narrow c = narrow(x, weight.shape(1), weight.shape(2), y);
    numbers("weight", weight, {c.out, c.rows, c.columns, c.in});
    const float *from = x.data(), *b = optional("bias", bias, c.out);
    float* to = writable("y", y, {c.images, c.height, c.width, c.out});
    py::gil_scoped_release unlocked;
    chosen->few_channels_out(c, from, w, b, to);
}

void few_channels_in_gradient(const Array& x, const Array& dy, const Array& dweight) {
    float* to = writable("dweight", dweight, {-1, -1, -1, -1});
    const native::Narrow c = narrow(x, dweight.shape(0), dweight.shape(1), dy);
    numbers("dweight", dweight, {c.rows, c.columns, c.in, c.out});
    const float *from = x.data(), *of_y = dy.data();
    py::gil_scoped_release unlocked;
    chosen->few_channels_in_gradient(c, from, of_y, to);
}

// (N, heads, tokens, size), whose numbers of a token lie side by side
native::Matrix matrix(const char* name, const Array& array, const std::vector<int64_t>& shape, bool written = false) {
    bool fits = array.ndim() == 4 && (array.shape(3) <= 1 || array.strides(3) == sizeof(float)) && (!written || array.writeable());
    for (int axis = 0; axis < 4 && fits; axis++) fits = array.shape(axis) == shape[axis] && array.strides(axis) % sizeof(float) == 0;
    if (!fits) refuse(name, "a float32 array (images, heads, tokens, size) that fits the others, with the numbers of a token side by side");
    const int64_t size = sizeof(float);
    return {const_cast<float*>(array.data()), array.strides(0) / size, array.strides(1) / size, array.strides(2) / size};
}

native::Heads heads(const Array& q, const Array& v, float scale) {
    if (q.ndim() != 4 || v.ndim() != 4) refuse("q and v", "4 axes");
    return {q.shape(0), q.shape(1), q.shape(2), v.shape(2), q.shape(3), v.shape(3), scale};
}

int64_t padded(int64_t keys) { return (keys + chosen->lanes - 1) / chosen->lanes * chosen->lanes; }

void attention_forward(const Array& q, const Array& k, const Array& v, float scale, const Array& y, const Array& p) {
    const native::Heads s = heads(q, v, scale);
    const native::Matrix of_q = matrix("q", q, {s.images, s.heads, s.queries, s.size}), of_k = matrix("k", k, {s.images, s.heads, s.keys, s.size});
    const native::Matrix of_v = matrix("v", v, {s.images, s.heads, s.keys, s.value_size});
    const native::Matrix of_y = matrix("y", y, {s.images, s.heads, s.queries, s.value_size}, true);
    float* to = writable("p", p, {s.images, s.heads, s.queries, padded(s.keys)});
    py::gil_scoped_release unlocked;
    chosen->attention_forward(s, of_q, of_k, of_v, of_y, to);
}

void attention_backward(const Array& q, const Array& k, const Array& v, float scale, const Array& p, const Array& dy, const Array& dq,
                        const Array& dk, const Array& dv) {
    const native::Heads s = heads(q, v, scale);
    const std::vector<int64_t> q_shape = {s.images, s.heads, s.queries, s.size}, k_shape = {s.images, s.heads, s.keys, s.size};
    const std::vector<int64_t> v_shape = {s.images, s.heads, s.keys, s.value_size}, y_shape = {s.images, s.heads, s.queries, s.value_size};
    const native::Matrix of_q = matrix("q", q, q_shape), of_k = matrix("k", k, k_shape), of_v = matrix("v", v, v_shape);
    const native::Matrix of_dy = matrix("dy", dy, y_shape), to_q = matrix("dq", dq, q_shape, true);
    const native::Matrix to_k = matrix("dk", dk, k_shape, true), to_v = matrix("dv", dv, v_shape, true);
    const float* from = numbers("p", p, {s.images, s.heads, s.queries, padded(s.keys)});
    py::gil_scoped_release unlocked;
    chosen->attention_backward(s, of_q, of_k, of_v, from, of_dy, to_q, to_k, to_v);
}

}  // namespace

PYBIND11_MODULE(_kernels_native, module) {
    module.doc() = "Plain C++ for this processor: see csrc/cpu.";
    if (const char* name = std::getenv("MINIDIFF_CPU_VARIANT")) choose(name);
    module.def("variant", [] { return std::string(chosen->name); });
    module.def("lanes", [] { return chosen->lanes; });
    module.def("variants", [] {
        std::vector<std::string> names;
        for (const Functions* variant : variants()) names.push_back(variant->name);
        return names;
    });
    module.def("choose", &choose, py::arg("variant"));
    const auto exact = [](const char* name) { return py::arg(name).noconvert(); };  // another dtype is an error, not a copy
    module.def("group_norm_forward", &group_norm_forward, exact("x"), py::arg("groups"), exact("weight").none(true),
               exact("bias").none(true), py::arg("eps"), py::arg("swish"), exact("y"), exact("mean"), exact("inverse_std"));
    module.def("group_norm_backward", &group_norm_backward, exact("x"), exact("dy"), py::arg("groups"), exact("weight").none(true),
               exact("bias").none(true), py::arg("swish"), exact("mean"), exact("inverse_std"), exact("dx"), exact("dweight"),
               exact("dbias"));
    bind_naive(module);
    module.def("winograd_pixels", &winograd_pixels, exact("x"), py::arg("before_h"), py::arg("before_w"), py::arg("height"),
               py::arg("width"), exact("v"));
    module.def("winograd_results", &winograd_results, exact("y"), exact("m"));
    module.def("winograd_interpolate", &winograd_interpolate, exact("m"), exact("bias").none(true), exact("y"));
    module.def("winograd_kernels", &winograd_kernels, exact("weight"), py::arg("turned"), exact("u"));
    module.def("winograd_kernel_gradient", &winograd_kernel_gradient, exact("du"), py::arg("turned"), exact("dweight"));
    module.def("few_channels_in", &few_channels_in, exact("x"), exact("weight"), exact("bias").none(true), exact("y"));
    module.def("few_channels_out", &few_channels_out, exact("x"), exact("weight"), exact("bias").none(true), exact("y"));
    module.def("few_channels_in_gradient", &few_channels_in_gradient, exact("x"), exact("dy"), exact("dweight"));
    module.def("attention_forward", &attention_forward, exact("q"), exact("k"), exact("v"), py::arg("scale"), exact("y"), exact("p"));
    module.def("attention_backward", &attention_backward, exact("q"), exact("k"), exact("v"), py::arg("scale"), exact("p"), exact("dy"),
               exact("dq"), exact("dk"), exact("dv"));
}
