// The Python module. Its errors become the exceptions of pdum/nvenc/_errors.py.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "python/colour_binding.hpp"
#include "python/context_binding.hpp"
#include "python/decoder_binding.hpp"
#include "python/encoder_binding.hpp"
#include "python/gpus_binding.hpp"
#include "python/motion_binding.hpp"
#include "python/packet_binding.hpp"
#include "python/profiling_binding.hpp"
#include "python/reconstructed_frame.hpp"
#include "python/statistics_binding.hpp"
#include "python/surface_binding.hpp"
#include "session/probe.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

const char* name_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::driver_not_found: return "driver_not_found";
        case ErrorKind::driver_too_old: return "driver_too_old";
        case ErrorKind::no_encoder: return "no_encoder";
        case ErrorKind::out_of_sessions: return "out_of_sessions";
        case ErrorKind::unsupported_feature: return "unsupported_feature";
        case ErrorKind::invalid_config: return "invalid_config";
        case ErrorKind::invalid_frame: return "invalid_frame";
        case ErrorKind::encoder_closed: return "encoder_closed";
        case ErrorKind::device_lost: return "device_lost";
        case ErrorKind::out_of_memory: return "out_of_memory";
        case ErrorKind::cuda_failed: return "cuda_failed";
        case ErrorKind::encoder_failed: return "encoder_failed";
        case ErrorKind::decoder_closed: return "decoder_closed";
        case ErrorKind::decoder_failed: return "decoder_failed";
    }
    return "encoder_failed";
}

// The driver's text may be in any encoding, or cut off.
py::object text_of(const std::string& bytes) {
    PyObject* text = PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace");
    if (text == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(text);
}

void raise_in_python(const Error& error) {
    const ErrorDetails& details = error.details();
    const py::object type = py::module_::import("pdum.nvenc._errors").attr("BY_KIND")[py::str(name_of(details.kind))];
    const py::object instance =
        type(text_of(error.what()), py::arg("status") = details.status, py::arg("status_name") = details.status_name,
             py::arg("call") = details.call, py::arg("driver_text") = text_of(details.driver_text),
             py::arg("advice") = details.advice);
    PyErr_SetObject(type.ptr(), instance.ptr());
}

py::dict probe_in_python(int gpu_id, const std::optional<std::string>& abi) {
    Probe found;
    {
        const WithoutGil unlocked;
        found = probe(gpu_id, abi);
    }
    py::list codecs;
    for (const Codec codec : found.codecs) codecs.append(nvenc::name_of(codec));
    py::dict answer;
    answer["gpu"] = text_of(found.gpu_name);
    answer["abi"] = found.abi;
    answer["codecs"] = codecs;
    return answer;
}

py::dict capabilities_in_python(int gpu_id, const std::optional<std::string>& abi) {
    std::vector<GpuCapabilities> all;
    {
        const WithoutGil unlocked;
        all = all_capabilities(gpu_id, abi);
    }
    py::dict answer;
    for (const GpuCapabilities& one : all) {
        py::dict values;
        for (const auto& [name, value] : one.values) values[name] = value;
        answer[nvenc::name_of(one.codec)] = values;
    }
    return answer;
}

std::string chosen_abi(const std::optional<std::string>& forced) {
    const WithoutGil unlocked;
    return choose_abi(forced).name;
}

}  // namespace
}  // namespace pdum::nvenc

// PyInit__nvenc below checks the interpreter before it calls this: pybind11's own code hangs in a subinterpreter of
// CPython 3.11.
PYBIND11_MODULE_PYINIT(_nvenc_of_main, py::mod_gil_not_used())

PYBIND11_MODULE_EXEC(_nvenc_of_main, module) {
    using namespace pdum::nvenc;
    module.doc() = "The native part of pdum.nvenc: use pdum.nvenc.NvencEncoder.";
    py::register_local_exception_translator([](std::exception_ptr pointer) {
        // With libc++, pybind11 also brings what is no C++ exception: the interpreter has ended, and so does this
        // thread.
        if (pointer == nullptr) sleep_for_good();
        try {
            std::rethrow_exception(pointer);
        } catch (const Error& error) {
            raise_in_python(error);
        }
    });
    add_packet_type(module);
    add_statistics_type(module);
    add_reconstructed_frame_type(module);
    add_surface_type(module);
    add_colour_conversion(module);
    add_gpu_listing(module);
    add_primary_context(module);
    add_profiling(module);
    module.def("probe", probe_in_python, py::arg("gpu_id"), py::arg("abi"));
    module.def("capabilities", capabilities_in_python, py::arg("gpu_id"), py::arg("abi"));
    module.def("chosen_abi", chosen_abi, py::arg("forced"));

    add_decoder_type(module);
    add_encoder_type(module);
    add_motion_type(module);
}

// Python finds the module by this name.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" PYBIND11_EXPORT PyObject* PyInit__nvenc() {
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "pdum.nvenc was imported in a subinterpreter, where it cannot work. Import it in the main "
                        "interpreter, or use processes: multiprocessing's \"spawn\".");
        return nullptr;
    }
    return PyInit__nvenc_of_main();
}
