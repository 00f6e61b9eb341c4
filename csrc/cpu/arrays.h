// The arrays of NumPy that the functions of this module get: checked, so that no wrong call reads or writes outside of them.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "cpu/arguments.h"

namespace py = pybind11;

using Array = py::array_t<float>;

[[noreturn]] inline void refuse(const std::string& name, const std::string& wanted) { throw py::value_error(name + ": wanted " + wanted); }

// The array's numbers, if it is contiguous and has this shape; -1 stands for any size.
inline float* numbers(const char* name, const Array& array, const std::vector<int64_t>& shape) {
    bool fits = array.ndim() == int64_t(shape.size()) && (array.flags() & py::array::c_style);
    std::string wanted;
    for (size_t axis = 0; axis < shape.size(); axis++) {
        wanted += (axis ? ", " : "") + (shape[axis] < 0 ? std::string("...") : std::to_string(shape[axis]));
        if (fits && shape[axis] >= 0 && array.shape(axis) != shape[axis]) fits = false;
    }
    if (!fits) refuse(name, "a contiguous float32 array of shape (" + wanted + ")");
    return const_cast<float*>(array.data());
}

inline float* writable(const char* name, const Array& array, const std::vector<int64_t>& shape) {
    if (!array.writeable()) refuse(name, "an array that may be written");
    return numbers(name, array, shape);
}

inline const float* optional(const char* name, const std::optional<Array>& array, int64_t size) {
    return array ? numbers(name, *array, {size}) : nullptr;
}

void bind_naive(py::module_& module);  // naive.cpp
