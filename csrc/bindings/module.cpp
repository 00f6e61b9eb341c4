// The Python module, compiled twice: as _kernels_cpu and, with -DMINIDIFF_CUDA, as _kernels_cuda. The operations are in the other files here.
#include "common/array.h"

#ifdef MINIDIFF_CUDA

// What this module finds: (devices, driver's CUDA version, the toolkit's CUDA version it was compiled with); never an exception.
static py::tuple devices() {
    int count = 0, driver = 0;
    cudaDriverGetVersion(&driver);
    if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
    cudaGetLastError();  // not to be reported by the next launch
    return py::make_tuple(count, driver, CUDART_VERSION);
}

static int multiprocessors() {
    int device = 0, count = 0;
    if (cudaGetDevice(&device) != cudaSuccess) return 0;
    cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
    return count;
}

#else

static int multiprocessors() { return 1; }

#endif

PYBIND11_MODULE(MODULE, module) {
#ifdef MINIDIFF_CUDA
    module.def("devices", devices);
    module.attr("architectures") = ARCHITECTURES;
#else
    module.def("set_checking", cuda_cpu::set_checking, "Switch the checks of memory accesses on or off; returns what it was.");
#endif
    module.def("multiprocessors", multiprocessors);
    for (Bindings::Function bind : Bindings::all()) bind(module);
}
