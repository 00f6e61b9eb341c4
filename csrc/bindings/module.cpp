// The Python module, compiled twice: as _kernels_cpu and, with -DMINIDIFF_CUDA, as _kernels_cuda. The operations are in the other files here.
#include <array>

#include "common/array.h"
#include "common/wgmma.h"

using namespace py::literals;

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

static py::list take_costs() {
    py::list result;
    for (const cuda_cpu::Cost& c : cuda_cpu::take_costs())
        result.append(py::dict(
            "kernel"_a = c.kernel, "grid"_a = std::array{c.grid.x, c.grid.y, c.grid.z},
            "block"_a = std::array{c.block.x, c.block.y, c.block.z}, "global_read"_a = c.global_read,
            "global_written"_a = c.global_written, "sectors_read"_a = c.sectors_read, "sectors_written"_a = c.sectors_written,
            "shared_read"_a = c.shared_read, "shared_written"_a = c.shared_written, "wavefronts"_a = c.wavefronts,
            "bank_conflicts"_a = c.bank_conflicts, "multiply_adds"_a = c.multiply_adds, "multiplications"_a = c.multiplications,
            "additions"_a = c.additions, "barriers"_a = c.barriers, "warp_steps"_a = c.warp_steps, "lane_steps"_a = c.lane_steps));
    return result;
}

#endif

PYBIND11_MODULE(MODULE, module) {
#ifdef MINIDIFF_CUDA
    module.def("devices", devices);
    module.attr("architectures") = ARCHITECTURES;
#else
    module.def("set_checking", cuda_cpu::set_checking, "Switch the checks of memory accesses on or off; returns what it was.");
    module.def("set_gpu", cuda_cpu::set_gpu, "Keep the limits of a GPU of this compute capability (90); False if it is not known.");
    module.def("gpu", [] { return cuda_cpu::gpu.capability; });
    module.def("allowed_arrays", cuda_cpu::allowed_arrays, "How many arrays kernels may use now.");
    module.def("set_counting", cuda_cpu::set_counting, "Switch the counter of costs on or off; returns what it was.");
    module.def("take_costs", take_costs, "The costs of the launches since the last call: dicts with the fields of Cost.");
#endif
    module.def("multiprocessors", multiprocessors);
    module.def("has_wgmma", has_wgmma, "Whether the GPU and the code that was compiled for it have Hopper's matrix instruction.");
    for (Bindings::Function bind : Bindings::all()) bind(module);
}
