#include "python/encoder_binding.hpp"
#include "python/bound_object.hpp"

#include <pybind11/stl.h>

#include <exception>
#include <memory>
#include <optional>
#include <string>

#include "core/error.hpp"
#include "python/arguments.hpp"
#include "python/encoder.hpp"
#include "python/settings_from_python.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

CopyMode copy_mode(const std::string& name) {
    if (name == "auto") return CopyMode::automatic;
    if (name == "always") return CopyMode::always;
    if (name == "never") return CopyMode::never;
    fail(ErrorKind::invalid_config, "Expected auto, always or never, got copy='" + name + "'.");
}

std::unique_ptr<Encoder> make_encoder(const py::dict& settings, int gpu_id, uintptr_t cuda_context,
                                      uint32_t extra_output_delay, const std::string& copy,
                                      const std::optional<std::string>& abi) {
    SessionOptions options;
    options.settings = settings_from_python(settings);
    options.gpu = gpu_id;
    options.context = reinterpret_cast<CUcontext>(cuda_context);
    options.extra_output_delay = extra_output_delay;
    options.copy = copy_mode(copy);
    options.forced_abi = abi;
    return std::make_unique<Encoder>(options);
}

// What help() shows.
namespace doc {

constexpr const char* encode =
    "encode($self, frame, force_idr=False, *, stream=None, picture=None)\n--\n\n"
    "Encodes a frame and returns what is ready: its own access unit, if nothing holds frames back.\n\n"
    "``force_idr`` makes it a frame from which decoding can start. ``stream`` is the CUDA stream on which the frame\n"
    "is made, for frames that do not say it: a handle, or an object of CuPy, PyTorch or CUDA Python.\n\n"
    "Raises InvalidFrame, with the encoder usable as before, and what the driver answers.";
constexpr const char* submit =
    "submit($self, frame, seq, force_idr=False, *, stream=None, picture=None, on_released=None)\n--\n\n"
    "Encodes a frame and returns the packets that are ready, in decoding order; each has the ``seq`` (any 64-bit\n"
    "number) of the frame that it encodes. At most ``extra_output_delay`` frames stay in flight, or as many as\n"
    "B-frames and lookahead hold back. ``force_idr`` and ``stream`` are those of ``encode``.\n\n"
    "``on_released`` is called with the frame, once, when it may be written again: before this returns if the frame "
    "was\n"
    "copied, else when its packet is out or the encoder is closed. Because you then wait for that call, "
    "``copy=\"auto\"``\n"
    "reads the frame in place though it stays in flight. If this raises, it is called only for a frame that is in\n"
    "flight all the same.";
constexpr const char* surface =
    "The encoder's next input surface as an array to be written (CUDA array interface, DLPack): no copy is made of\n"
    "what is submitted so. ``stream`` is the one on which it is written; without it, the legacy default stream.\n"
    "In a ``with``, a surface that was not submitted is given back. Encoders of format ``\"rgb\"`` have none to lend.";
constexpr const char* flush =
    "Returns the access units of all frames in flight. If the encoder held frames back, the next one is an IDR.";
constexpr const char* flush_pipeline =
    "Returns the packets of all frames in flight. If the encoder held frames back, the next one is an IDR.";
constexpr const char* lost =
    "Says that the packet of the frame with this ``seq`` has not reached the viewer, so that what follows can be "
    "shown\n"
    "without it. True: the next frame refers to an earlier one that is intact, or does not depend on the lost one.\n"
    "False: the next frame is an IDR, because the GPU cannot do that, no intact frame is kept (``reference_frames``),\n"
    "or frames are held back.";
constexpr const char* reconfigure = "Settings that are checked already: see NvencEncoder.reconfigure.";
constexpr const char* sequence_header =
    "The stream's parameter sets (SPS and PPS, with the VPS for HEVC) or AV1 sequence header, as muxers want them.\n"
    "The stream itself carries them on every IDR, too.";
constexpr const char* close =
    "Ends the stream, waits for the engine and gives everything back. Frames in flight are lost, so flush first. May "
    "be\n"
    "called twice.";
constexpr const char* in_flight = "How many frames have been submitted and have not come out yet.";
constexpr const char* width = "The picture's width in pixels.";
constexpr const char* height = "The picture's height in pixels.";
constexpr const char* codec = R"(``"h264"``, ``"hevc"`` or ``"av1"``.)";
constexpr const char* format = "The format of the frames that it takes, as ``\"nv12\"``.";
constexpr const char* abi = "The version of NVIDIA's encode interface in use, as ``\"13.0\"``.";
constexpr const char* gpu_id = "The GPU, as CUDA counts.";

}  // namespace doc

// The methods that are called for each frame use CPython's own calling convention: with pybind11's, the call would be
// a good part of what a frame costs.

Encoder& encoder_of(PyObject* self) {
    auto* instance = reinterpret_cast<py::detail::instance*>(self);
    // CPython has checked the type. Every class without another native base has the simple layout.
    void* encoder = instance->simple_layout ? instance->simple_value_holder[0] : nullptr;
    return encoder != nullptr ? *static_cast<Encoder*>(encoder) : py::cast<Encoder&>(py::handle(self));
}

// Runs the body of a method; what it throws becomes Python's error.
template <typename Body>
PyObject* answer(Body body) {
    try {
        return body().release().ptr();
    } catch (...) {
        if (std::current_exception() == nullptr)
            sleep_for_good();  // the interpreter has ended, and so does this thread
        py::detail::try_translate_exceptions();
        return nullptr;
    }
}

PyObject* encode(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords) {
    return answer([&] {
        static const Parameters<4> parameters("encode", {"frame", "force_idr", "stream", "picture"}, 1, 2);
        const auto [frame, force_idr, stream, picture] = parameters.bind(given, count, keywords);
        return encoder_of(self).encode(frame, truth_of(force_idr), or_none(stream), or_none(picture));
    });
}

PyObject* submit(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords) {
    return answer([&] {
        static const Parameters<6> parameters("submit",
                                              {"frame", "seq", "force_idr", "stream", "picture", "on_released"}, 2, 3);
        const auto [frame, seq, force_idr, stream, picture, on_released] = parameters.bind(given, count, keywords);
        return encoder_of(self).submit(frame, seq, truth_of(force_idr), or_none(stream), or_none(picture),
                                       or_none(on_released));
    });
}

using FastMethod = PyObject*(PyObject* self, PyObject* const* given, Py_ssize_t count, PyObject* keywords);

void add_method(const py::object& type, PyMethodDef& method) {
    PyObject* descriptor = PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(type.ptr()), &method);
    if (descriptor == nullptr) throw py::error_already_set();
    type.attr(method.ml_name) = py::reinterpret_steal<py::object>(descriptor);
}

void add_frame_methods(const py::object& type) {
    const auto method = [](const char* name, FastMethod* function, const char* documentation) {
        return PyMethodDef{name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)),
                           METH_FASTCALL | METH_KEYWORDS, documentation};
    };
    static PyMethodDef encode_method = method("encode", encode, doc::encode);
    static PyMethodDef submit_method = method("submit", submit, doc::submit);
    add_method(type, encode_method);
    add_method(type, submit_method);
}

}  // namespace

void add_encoder_type(py::module_& module) {
    const auto stream = py::arg("stream") = py::none();
    // It refers to its frames in flight, and these may refer to it.
    py::class_<Encoder> encoder(module, "Encoder", py::custom_type_setup(collect_in_cycles<Encoder, &Encoder::end>));
    encoder
        .def(py::init(&make_encoder), py::kw_only(), py::arg("settings"), py::arg("gpu_id"), py::arg("cuda_context"),
             py::arg("extra_output_delay"), py::arg("copy"), py::arg("abi"))
        .def("surface", &Encoder::surface, doc::surface, stream)
        .def("_begin_slices", &Encoder::begin_slices, py::arg("frame"), py::arg("force_idr"), py::arg("stream"),
             py::arg("picture"))
        .def("_next_slices", &Encoder::next_slices, py::arg("pts"), py::arg("taken"), py::arg("waits"))
        .def("_begin_attempts", &Encoder::begin_attempts, py::arg("frame"), py::arg("seq"), py::arg("stream"),
             py::arg("picture"))
        .def("_attempt", &Encoder::attempt, py::arg("picture"))
        .def("_earlier_packets", &Encoder::earlier_packets)
        .def("_keep_attempt", &Encoder::keep_attempt, py::arg("number"))
        .def("_drop_attempts", &Encoder::drop_attempts)
        .def("flush", &Encoder::flush, doc::flush)
        .def("flush_pipeline", &Encoder::flush_pipeline, doc::flush_pipeline)
        .def("_reconfigure", &Encoder::reconfigure, doc::reconfigure, py::arg("changes"))
        .def("lost", &Encoder::lost, doc::lost, py::arg("seq"))
        .def("sequence_header", &Encoder::sequence_header, doc::sequence_header)
        .def("close", &Encoder::close, doc::close)
        .def_property_readonly("in_flight", &Encoder::in_flight, doc::in_flight)
        .def_property_readonly("width", &Encoder::width, doc::width)
        .def_property_readonly("height", &Encoder::height, doc::height)
        .def_property_readonly("codec", &Encoder::codec, doc::codec)
        .def_property_readonly("format", &Encoder::format, doc::format)
        .def_property_readonly("abi", &Encoder::abi, doc::abi)
        .def_property_readonly("gpu_id", &Encoder::gpu_id, doc::gpu_id);
    add_frame_methods(encoder);
}

}  // namespace pdum::nvenc
