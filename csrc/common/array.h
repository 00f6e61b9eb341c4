// Arrays of Python in the launchers: `Array<float> x` in a function given to pybind11 takes a NumPy array in the CPU build and a CuPy
// array in the CUDA build, without a copy. They must be contiguous and of exactly this type; minidiff/kernels sees to that.
//
// To bind the launchers of another operation, write bindings/<operation>.cpp:
//
//     #include "array.h"
//     static Bindings bind([](py::module_& module) {
//         define(module, "attention_forward_naive", [](Array<float> q, ..., std::optional<Array<float>> mask, Stream stream) { ... });
//     });
//
// setup.py compiles every csrc/*/*.cu and csrc/bindings/*.cpp, once for each module.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/device.h"
#ifndef MINIDIFF_CUDA
#include "emulator/check.h"
#include "emulator/cost.h"
#endif

namespace py = pybind11;

template <class T>
struct Array {
    T* data = nullptr;
    std::vector<long long> shape;
    std::shared_ptr<void> allowed;  // the CPU build: while it lives, kernels may use the array

    long long size() const {
        long long product = 1;
        for (long long n : shape) product *= n;
        return product;
    }
};

// Of CuPy's current stream, as the integer `cupy.cuda.get_current_stream().ptr`; 0 in the CPU build.
struct Stream {
    cudaStream_t handle = nullptr;
    operator cudaStream_t() const { return handle; }
};

// Collects what the bindings/*.cpp of this module define.
struct Bindings {
    using Function = void (*)(py::module_&);
    explicit Bindings(Function function) { all().push_back(function); }
    static std::vector<Function>& all() {
        static std::vector<Function> functions;
        return functions;
    }
};

template <class Function>
void define(py::module_& module, const char* name, Function function) {
    module.def(name, function);
}

template <class T> constexpr const char* type_code = nullptr;
template <> inline constexpr const char* type_code<float> = "<f4";
template <> inline constexpr const char* type_code<int> = "<i4";
template <> inline constexpr const char* type_code<long long> = "<i8";
template <> inline constexpr const char* type_code<bool> = "|b1";

namespace pybind11::detail {

template <class T>
struct type_caster<Array<T>> {
    PYBIND11_TYPE_CASTER(Array<T>, const_name("array"));

    bool load(handle source, bool) {
#ifdef MINIDIFF_CUDA
        const char* interface = "__cuda_array_interface__";
        const char* library = "CuPy";
#else
        const char* interface = "__array_interface__";
        const char* library = "NumPy";
#endif
        if (source.is_none()) return false;  // for std::optional
        if (!hasattr(source, interface))
            throw py::type_error(std::string("wanted an array of ") + library + ", got " + Py_TYPE(source.ptr())->tp_name);
        const py::dict description = source.attr(interface);
        const std::string type = py::cast<std::string>(description["typestr"]);
        if (type != type_code<T>)
            throw py::type_error(std::string("wanted an array of type ") + type_code<T> + ", got " + type);
        value.shape = py::cast<std::vector<long long>>(description["shape"]);
        if (value.size() && description.contains("strides") && !description["strides"].is_none())
            check_contiguous(py::cast<std::vector<long long>>(description["strides"]));
        value.data = reinterpret_cast<T*>(py::cast<uintptr_t>(description["data"].cast<py::tuple>()[0]));
#ifndef MINIDIFF_CUDA
        allow(source);
#endif
        return true;
    }

#ifndef MINIDIFF_CUDA
    // Until the call ends, also if it ends before it has begun: a later argument may be wrong.
    void allow(handle source) {
        py::object owner = py::reinterpret_borrow<py::object>(source);
        while (hasattr(owner, "base") && hasattr(owner.attr("base"), "__array_interface__")) owner = owner.attr("base");
        const py::dict description = owner.attr("__array_interface__");
        const uintptr_t allocation = py::cast<uintptr_t>(description["data"].cast<py::tuple>()[0]);
        const auto size = size_t(value.size());
        cuda_cpu::allow(value.data, size, sizeof(T), reinterpret_cast<const void*>(allocation));
        value.allowed = std::shared_ptr<void>(value.data, [size](void* data) { cuda_cpu::forget(data, size, sizeof(T)); });
    }
#endif

    void check_contiguous(const std::vector<long long>& strides) const {
        long long expected = sizeof(T);
        for (size_t i = strides.size(); i-- > 0; expected *= value.shape[i])
            if (value.shape[i] != 1 && strides[i] != expected) throw py::type_error("wanted a contiguous array (order C)");
    }
};

template <>
struct type_caster<Stream> {
    PYBIND11_TYPE_CASTER(Stream, const_name("int"));

    bool load(handle source, bool) {
        value.handle = reinterpret_cast<cudaStream_t>(py::cast<uintptr_t>(source));
        return true;
    }
};

}  // namespace pybind11::detail
