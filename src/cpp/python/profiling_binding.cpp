#include "python/profiling_binding.hpp"

#include "core/nvtx.hpp"

namespace py = pybind11;

namespace pdum::nvenc {

void add_profiling(py::module_& module) {
    module.attr("nvtx_enabled") = nvtx_enabled;
    module.attr("has_profiler") = find_profiler();
    module.def("begin_range", begin_range, py::arg("name"));
    module.def("end_range", end_range);
    module.def("name_this_thread", name_this_thread, py::arg("name"));
}

}  // namespace pdum::nvenc
