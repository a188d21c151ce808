#include "python/gpus_binding.hpp"

#include <string>
#include <vector>

#include "cuda/gpus.hpp"
#include "python/python_objects.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

py::list gpus_in_python() {
    std::vector<Gpu> all;
    {
        const WithoutGil unlocked;
        all = all_gpus();
    }
    py::list answer;
    for (const Gpu& gpu : all) {
        py::dict one;
        const py::bytes name(gpu.name);
        one["name"] = name.attr("decode")("utf-8", "replace");
        one["uuid"] = py::bytes(reinterpret_cast<const char*>(gpu.uuid.data()), gpu.uuid.size());
        one["pci_bus_id"] = gpu.pci_bus_id;
        one["memory_bytes"] = gpu.memory_bytes;
        answer.append(one);
    }
    return answer;
}

py::tuple cuda_version_in_python() {
    int version = 0;
    {
        const WithoutGil unlocked;
        version = cuda_version();
    }
    return py::make_tuple(version / 1000, version % 1000 / 10);
}

py::tuple encode_version_in_python() {
    EncodeVersion version;
    {
        const WithoutGil unlocked;
        version = max_encode_version();
    }
    return py::make_tuple(version.major, version.minor);
}

}  // namespace

void add_gpu_listing(py::module_& module) {
    module.def("gpus", gpus_in_python);
    module.def("cuda_version", cuda_version_in_python);
    module.def("encode_version", encode_version_in_python);
}

}  // namespace pdum::nvenc
