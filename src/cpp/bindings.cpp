// The Python module: settings in, one class out, errors as the exceptions of pdum/nvenc/_errors.py.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "colour_from_python.hpp"
#include "error.hpp"
#include "frame_from_python.hpp"
#include "nvtx.hpp"
#include "open_encoder.hpp"
#include "packet_to_python.hpp"
#include "session.hpp"
#include "settings_from_python.hpp"

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
    }
    return "encoder_failed";
}

// The driver's words may be in any encoding, or torn.
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

int64_t seq_of(const py::object& number) {
    const PyRef index(PyNumber_Index(number.ptr()));
    if (index == nullptr) throw py::error_already_set();
    const int64_t seq = PyLong_AsLongLong(index.get());
    if (seq == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    return seq;
}

// A PictureOptions of the Python layer, which gives (force IDR, force intra, messages, time code or None) for a codec.
PictureExtras extras_from_python(const py::object& picture, const char* codec) {
    PictureExtras extras;
    if (picture.is_none()) return extras;
    const auto [force_idr, force_intra, messages, time] =
        picture.attr("_native")(codec).cast<std::tuple<bool, bool, py::object, py::object>>();
    extras.force_idr = force_idr;
    extras.force_intra = force_intra;
    extras.messages = messages_from_python(messages);
    if (!time.is_none()) {
        const auto [hours, minutes, seconds, frames, drop] =
            time.cast<std::tuple<uint32_t, uint32_t, uint32_t, uint32_t, bool>>();
        extras.time_code = TimeCode{hours, minutes, seconds, frames, drop};
    }
    return extras;
}

// The class that Python sees. What Python reads is kept here, so that reading it waits for no turn.
class Encoder {
   public:
    explicit Encoder(const SessionOptions& options)
        : format_(&traits_of(options.settings.format)), codec_(options.settings.codec) {
        set_size(options.settings.width, options.settings.height);
        const WithoutGil unlocked;
        session_ = std::make_unique<Session>(options);
    }

    ~Encoder() {
        const WithoutGil unlocked;
        session_.reset();
    }

    Encoder(const Encoder&) = delete;
    Encoder& operator=(const Encoder&) = delete;

    // Python can call a method of an object whose __init__ has not run, and pybind11 gives it raw memory of this class
    // then: zeroed, it reads as an encoder without a session.
    static void* operator new(size_t size) {
        void* memory = std::calloc(1, size);
        if (memory == nullptr) throw std::bad_alloc();
        return memory;
    }

    static void operator delete(void* memory) { std::free(memory); }

    py::object encode(const py::object& frame, bool force_idr, const py::object& stream, const py::object& picture) {
        const NvtxRange range("pdum.encode");
        WithoutGil* unlocked = nullptr;
        BytesSink sink(unlocked);
        submit_to(sink, unlocked, frame, 0, force_idr, stream, picture);
        return sink.bytes();
    }

    py::object submit(const py::object& frame, const py::object& seq, bool force_idr, const py::object& stream,
                      const py::object& picture) {
        const NvtxRange range("pdum.encode");
        WithoutGil* unlocked = nullptr;
        PacketSink sink(unlocked);
        submit_to(sink, unlocked, frame, seq_of(seq), force_idr, stream, picture);
        return sink.packets();
    }

    py::object flush() {
        WithoutGil* unlocked = nullptr;
        BytesSink sink(unlocked);
        flush_to(sink, unlocked);
        return sink.bytes();
    }

    py::object flush_pipeline() {
        WithoutGil* unlocked = nullptr;
        PacketSink sink(unlocked);
        flush_to(sink, unlocked);
        return sink.packets();
    }

    void reconfigure(const py::dict& items) {
        Session& running = session();
        const std::vector<Change> changes = changes_from_python(items);
        Settings after;
        after.width = width();
        after.height = height();
        for (const Change& change : changes) change(after);
        const WithoutGil unlocked;
        running.reconfigure(changes);
        set_size(after.width, after.height);
    }

    py::bytes sequence_header() {
        Session& running = session();
        std::vector<uint8_t> header;
        {
            const WithoutGil unlocked;
            header = running.sequence_header();
        }
        return {reinterpret_cast<const char*>(header.data()), header.size()};
    }

    void close() {
        if (session_ == nullptr) return;
        const WithoutGil unlocked;
        session_->close();
    }

    size_t in_flight() const {
        const Session& running = session();
        const WithoutGil unlocked;
        return running.in_flight();
    }

    uint32_t width() const { return static_cast<uint32_t>(size_.load() >> 32); }
    uint32_t height() const { return static_cast<uint32_t>(size_.load()); }
    std::string_view format() const { return format_ != nullptr ? format_->name : ""; }
    const char* codec() const { return nvenc::name_of(codec_); }
    const char* abi() const { return session().abi(); }
    int gpu_id() const { return session().gpu(); }

   private:
    Session& session() const {
        if (session_ == nullptr) {
            fail(ErrorKind::encoder_closed, "This encoder was never made.", "Call super().__init__() first.");
        }
        return *session_;
    }

    void submit_to(Sink& sink, WithoutGil*& unlocked, const py::object& frame, int64_t seq, bool force_idr,
                   const py::object& stream, const py::object& picture) {
        Session& running = session();
        PictureExtras extras = extras_from_python(picture, codec());
        extras.force_idr |= force_idr;
        const BorrowedFrame borrowed = [&] {
            const NvtxRange range("pdum.read_iface");
            return BorrowedFrame(frame.ptr(), stream.ptr(), {format_, width(), height()}, running.input_stream());
        }();
        WithoutGil scope;
        unlocked = &scope;
        running.submit(borrowed.view(), seq, extras, sink);
    }

    void flush_to(Sink& sink, WithoutGil*& unlocked) {
        const NvtxRange range("pdum.flush");
        Session& running = session();
        WithoutGil scope;
        unlocked = &scope;
        running.flush(sink);
    }

    // Both in one, since a change of size is read by other threads.
    void set_size(uint32_t width, uint32_t height) { size_ = uint64_t{width} << 32 | height; }

    const FormatTraits* format_;
    std::atomic<uint64_t> size_{0};
    Codec codec_;
    std::unique_ptr<Session> session_;
};

std::unique_ptr<Encoder> make_encoder(const py::dict& settings, int gpu_id, uintptr_t cuda_context,
                                      uint32_t extra_output_delay, const py::object& idr_messages,
                                      const std::optional<std::string>& abi) {
    SessionOptions options;
    options.settings = settings_from_python(settings);
    options.gpu = gpu_id;
    options.context = reinterpret_cast<CUcontext>(cuda_context);
    options.extra_output_delay = extra_output_delay;
    options.forced_abi = abi;
    options.at_idr = messages_from_python(idr_messages);
    return std::make_unique<Encoder>(options);
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

// What help() shows of the class that people subclass as NvencEncoder.
namespace doc {

constexpr const char* encode =
    "Encodes a frame and returns what is ready: its own access unit, where nothing holds frames back.\n\n"
    "``force_idr`` makes it a frame from which decoding can start. ``stream`` is the CUDA stream on which the frame\n"
    "is made, for frames that do not tell it: a handle, or an object of CuPy, PyTorch or CUDA Python.\n\n"
    "Raises InvalidFrame, with the encoder usable as before, and what the driver answers.";
constexpr const char* submit =
    "Encodes a frame and returns the packets that are ready, in decoding order; each has the ``seq`` (any 64-bit\n"
    "number) of the frame that it encodes. At most ``extra_output_delay`` frames stay in flight, or as many as\n"
    "B-frames and lookahead hold back. ``force_idr`` and ``stream`` are those of ``encode``.";
constexpr const char* flush =
    "Returns the access units of all frames in flight. Where the encoder held frames back, the next one is an IDR.";
constexpr const char* flush_pipeline =
    "Returns the packets of all frames in flight. Where the encoder held frames back, the next one is an IDR.";
constexpr const char* reconfigure = "Settings that are checked already: see NvencEncoder.reconfigure.";
constexpr const char* sequence_header =
    "The stream's parameter sets (SPS and PPS, with the VPS for HEVC) or AV1 sequence header, as muxers want them.\n"
    "The stream itself carries them on every IDR, too.";
constexpr const char* close =
    "Waits for the engine and gives everything back; frames in flight are lost, so flush first. May be called twice.";
constexpr const char* in_flight = "How many frames have been submitted and have not come out yet.";
constexpr const char* width = "The picture's width in pixels.";
constexpr const char* height = "The picture's height in pixels.";
constexpr const char* codec = "``\"h264\"``, ``\"hevc\"`` or ``\"av1\"``.";
constexpr const char* format = "The format of the frames that it takes, as ``\"nv12\"``.";
constexpr const char* abi = "The version of NVIDIA's encode interface in use, as ``\"13.0\"``.";
constexpr const char* gpu_id = "The GPU, as CUDA counts.";

}  // namespace doc

}  // namespace
}  // namespace pdum::nvenc

PYBIND11_MODULE(_nvenc, module, py::mod_gil_not_used()) {
    using namespace pdum::nvenc;
    module.doc() = "The native part of pdum.nvenc: use pdum.nvenc.NvencEncoder.";
    py::register_local_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) std::rethrow_exception(pointer);
        } catch (const Error& error) {
            raise_in_python(error);
        }
    });
    add_packet_type(module);
    add_colour_conversion(module);
    module.attr("nvtx_enabled") = nvtx_enabled;
    module.def("probe", probe_in_python, py::arg("gpu_id"), py::arg("abi"));
    module.def("capabilities", capabilities_in_python, py::arg("gpu_id"), py::arg("abi"));
    module.def("chosen_abi", chosen_abi, py::arg("forced"));

    const auto stream = py::arg("stream") = py::none();
    const auto picture = py::arg("picture") = py::none();
    py::class_<Encoder>(module, "Encoder")
        .def(py::init(&make_encoder), py::kw_only(), py::arg("settings"), py::arg("gpu_id"), py::arg("cuda_context"),
             py::arg("extra_output_delay"), py::arg("idr_messages"), py::arg("abi"))
        .def("encode", &Encoder::encode, doc::encode, py::arg("frame"), py::arg("force_idr") = false, py::kw_only(),
             stream, picture)
        .def("submit", &Encoder::submit, doc::submit, py::arg("frame"), py::arg("seq"), py::arg("force_idr") = false,
             py::kw_only(), stream, picture)
        .def("flush", &Encoder::flush, doc::flush)
        .def("flush_pipeline", &Encoder::flush_pipeline, doc::flush_pipeline)
        .def("_reconfigure", &Encoder::reconfigure, doc::reconfigure, py::arg("changes"))
        .def("sequence_header", &Encoder::sequence_header, doc::sequence_header)
        .def("close", &Encoder::close, doc::close)
        .def_property_readonly("in_flight", &Encoder::in_flight, doc::in_flight)
        .def_property_readonly("width", &Encoder::width, doc::width)
        .def_property_readonly("height", &Encoder::height, doc::height)
        .def_property_readonly("codec", &Encoder::codec, doc::codec)
        .def_property_readonly("format", &Encoder::format, doc::format)
        .def_property_readonly("abi", &Encoder::abi, doc::abi)
        .def_property_readonly("gpu_id", &Encoder::gpu_id, doc::gpu_id);
}
