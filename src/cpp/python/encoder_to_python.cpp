#include "python/encoder_to_python.hpp"

#include <cxxabi.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/nvtx.hpp"
#include "python/arguments.hpp"
#include "python/frame_from_python.hpp"
#include "python/held_stream.hpp"
#include "python/kept_frames.hpp"
#include "python/packet_to_python.hpp"
#include "python/settings_from_python.hpp"
#include "python/surface_to_python.hpp"
#include "session/session.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

int64_t seq_of(const py::object& number) {
    const PyRef index(PyNumber_Index(number.ptr()));
    if (index == nullptr) throw py::error_already_set();
    const int64_t seq = PyLong_AsLongLong(index.get());
    if (seq == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    return seq;
}

// A PictureOptions of the Python layer, which gives (force IDR, force intra, messages, time code or None) for a codec.
PictureExtras extras_from_python(const py::object& picture, const char* codec, bool time_codes) {
    PictureExtras extras;
    if (picture.is_none()) return extras;
    if (!py::hasattr(picture, "_native")) {
        throw py::type_error("picture=" + py::repr(picture).cast<std::string>() +
                             " came; it has to be PictureOptions.");
    }
    const auto [force_idr, force_intra, messages, time] =
        picture.attr("_native")(codec, time_codes).cast<std::tuple<bool, bool, py::object, py::object>>();
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
        : format_(&traits_of(options.settings.format)),
          codec_(options.settings.codec),
          rgb_(options.settings.rgb_input),
          time_codes_(options.settings.time_code) {
        set_size(options.settings.width, options.settings.height);
        const WithoutGil unlocked;
        session_ = std::make_shared<Session>(options);
    }

    ~Encoder() {
        {
            const WithoutGil unlocked;
            if (session_ != nullptr) session_->close_quietly();
            session_.reset();
        }
        kept_.take_all();
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
        submit_to(sink, unlocked, {frame, 0, force_idr, stream, picture, py::none()});
        return sink.bytes();
    }

    py::object submit(const py::object& frame, const py::object& seq, bool force_idr, const py::object& stream,
                      const py::object& picture, const py::object& on_released) {
        const NvtxRange range("pdum.encode");
        WithoutGil* unlocked = nullptr;
        PacketSink sink(unlocked);
        submit_to(sink, unlocked, {frame, seq_of(seq), force_idr, stream, picture, on_released});
        return sink.packets();
    }

    std::unique_ptr<Surface> surface(const py::object& stream) {
        const std::shared_ptr<Session> running = shared_session();
        if (rgb_) {
            fail(ErrorKind::unsupported_feature,
                 "surface() was called on an encoder of format 'rgb', whose surfaces hold what is converted.",
                 "Render into an array of your own and submit it: it may be written again at once, on its own stream.");
        }
        const CUstream written = stream.is_none() ? legacy_stream() : stream_from_python(stream);
        std::shared_ptr<SurfaceLease> lease = [&] {
            const WithoutGil unlocked;
            auto lent = std::make_shared<SurfaceLease>(running->lend_surface(written));
            require_array(*lent);
            return lent;
        }();
        return std::make_unique<Surface>(running, std::move(lease), *format_, stream);
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

    // Frames that were read in place are let go only when the engine is done with all.
    void close() {
        if (session_ == nullptr) return;
        const std::vector<KeptFrames::Kept> kept = kept_.take_all();
        const auto tell = [&kept] {
            for (const KeptFrames::Kept& one : kept) {
                if (one.on_released != nullptr) call_released(one.on_released.get(), one.frame.get());
            }
        };
        try {
            const WithoutGil unlocked;
            session_->close();
        } catch (const Error&) {
            tell();
            throw;
        }
        tell();
    }

    size_t in_flight() const {
        const Session& running = session();
        const WithoutGil unlocked;
        return running.in_flight();
    }

    uint32_t width() const { return static_cast<uint32_t>(size_.load() >> 32); }
    uint32_t height() const { return static_cast<uint32_t>(size_.load()); }
    std::string_view format() const {
        if (rgb_) return "rgb";
        return format_ != nullptr ? format_->name : "";
    }
    const char* codec() const { return nvenc::name_of(codec_); }
    const char* abi() const { return session().abi(); }
    int gpu_id() const { return session().gpu(); }

   private:
    // What submit() was called with.
    struct Call {
        const py::object& frame;
        int64_t seq;
        bool force_idr;
        const py::object& stream;
        const py::object& picture;
        const py::object& on_released;
    };

    const std::shared_ptr<Session>& shared_session() const {
        if (session_ == nullptr) {
            fail(ErrorKind::encoder_closed, "This encoder was never made.", "Call super().__init__() first.");
        }
        return session_;
    }

    Session& session() const { return *shared_session(); }

    void submit_to(PythonSink& sink, WithoutGil*& unlocked, const Call& call) {
        PictureExtras extras = extras_from_python(call.picture, codec(), time_codes_);
        extras.force_idr |= call.force_idr;
        if (Surface* surface = as_surface(call.frame)) {
            submit_surface(sink, unlocked, *surface, call, extras);
        } else {
            submit_frame(sink, unlocked, call, extras);
        }
        let_go(sink);
    }

    void submit_frame(PythonSink& sink, WithoutGil*& unlocked, const Call& call, const PictureExtras& extras) {
        Session& running = session();
        HeldStream input_stream(running.input_stream());
        BorrowedFrame borrowed = [&] {
            const NvtxRange range("pdum.read_iface");
            return BorrowedFrame(call.frame.ptr(), call.stream.ptr(), {format_, width(), height(), rgb_},
                                 input_stream.handle());
        }();
        Submission submission;
        try {
            WithoutGil scope;
            unlocked = &scope;
            input_stream.release();
            submission = running.submit(borrowed.view(), call.seq, extras, !call.on_released.is_none(), sink);
        } catch (const Error& error) {
            if (!was_refused(error)) keep_until_closed(borrowed, call);
            throw;
        } catch (...) {
            keep_until_closed(borrowed, call);
            throw;
        }
        if (submission.first_in_place) forget_with_owner(call.frame, borrowed.view().data);
        const std::vector<int64_t>& out = sink.taken();
        const auto own = std::find(out.begin(), out.end(), submission.pts);
        if (submission.in_place && own == out.end()) {
            keep(submission.pts, borrowed, call);
            release_if_out(running, submission.pts);
            return;
        }
        if (!call.on_released.is_none()) call_released(call.on_released.ptr(), call.frame.ptr());
        if (submission.in_place) {
            sink.set_released(static_cast<size_t>(own - out.begin()), PyRef(Py_NewRef(call.frame.ptr())));
        }
    }

    void submit_surface(PythonSink& sink, WithoutGil*& unlocked, Surface& surface, const Call& call,
                        const PictureExtras& extras) {
        Session& running = session();
        if (!surface.belongs_to(running)) {
            fail(ErrorKind::invalid_frame, "A surface of another encoder came.",
                 "Submit it to the encoder that handed it out.");
        }
        const CUstream written = call.stream.is_none() ? surface.stream() : stream_from_python(call.stream);
        WithoutGil scope;
        unlocked = &scope;
        const std::shared_ptr<SurfaceLease> lease = surface.hand_over();
        running.submit_surface(*lease, written, call.seq, extras, sink);
    }

    void flush_to(PythonSink& sink, WithoutGil*& unlocked) {
        const NvtxRange range("pdum.flush");
        Session& running = session();
        {
            WithoutGil scope;
            unlocked = &scope;
            running.flush(sink);
        }
        let_go(sink);
    }

    // With padded rows and chroma at half the pitch, a surface is no single array.
    void require_array(const SurfaceLease& lease) const {
        if (has_padded_array(*format_) || lease.pitch() == row_bytes_of(*format_, lease.width())) return;
        fail(ErrorKind::unsupported_feature,
             "A surface of format '" + std::string(format_->name) + "' and width " + std::to_string(lease.width()) +
                 " cannot be shown as one array.",
             "Use nv12, or a width that is a multiple of 16.");
    }

    static bool was_refused(const Error& error) {
        const ErrorKind kind = error.details().kind;
        return kind == ErrorKind::invalid_frame || kind == ErrorKind::encoder_closed;
    }

    // A call that failed may have put the frame in flight all the same.
    void keep_until_closed(BorrowedFrame& borrowed, const Call& call) {
        constexpr int64_t no_access_unit = -1;
        if (borrowed.view().memory == FrameMemory::device) keep(no_access_unit, borrowed, call);
    }

    void keep(int64_t pts, BorrowedFrame& borrowed, const Call& call) {
        PyRef on_released(call.on_released.is_none() ? nullptr : Py_NewRef(call.on_released.ptr()));
        kept_.keep({pts, PyRef(Py_NewRef(call.frame.ptr())), borrowed.release_owner(), std::move(on_released)});
    }

    // Another thread's call may have had the access unit before the frame was kept: nobody would tell of it then.
    void release_if_out(const Session& running, int64_t pts) {
        {
            const WithoutGil unlocked;
            if (running.is_in_flight(pts)) return;
        }
        const KeptFrames::Kept kept = kept_.take(pts);
        if (kept.on_released != nullptr) call_released(kept.on_released.get(), kept.frame.get());
    }

    // Tells of every frame whose access unit has come out.
    void let_go(PythonSink& sink) {
        if (kept_.empty()) return;
        for (size_t i = 0; i < sink.taken().size(); ++i) {
            KeptFrames::Kept kept = kept_.take(sink.taken()[i]);
            if (kept.frame == nullptr) continue;
            if (kept.on_released != nullptr) call_released(kept.on_released.get(), kept.frame.get());
            sink.set_released(i, std::move(kept.frame));
        }
    }

    // What a callback raises is nothing that the encoder could mend, and no reason to lose packets.
    static void call_released(PyObject* on_released, PyObject* frame) {
        const PyRef result(PyObject_CallOneArg(on_released, frame));
        if (result == nullptr) PyErr_WriteUnraisable(on_released);
    }

    // A registration lives as long as the array that owns the memory: views of it come and go.
    void forget_with_owner(const py::object& frame, const void* data) const {
        py::object owner = frame;
        for (const char* name : {"base", "_base"}) {
            const py::object base = py::getattr(owner, name, py::none());
            if (!base.is_none()) owner = base;
        }
        const std::weak_ptr<Session> session = session_;
        const auto address = reinterpret_cast<CUdeviceptr>(data);
        const py::cpp_function forget([session, address](const py::handle& reference) {
            reference.dec_ref();
            const WithoutGil unlocked;
            if (const std::shared_ptr<Session> alive = session.lock()) alive->forget(address);
        });
        PyObject* reference = PyWeakref_NewRef(owner.ptr(), forget.ptr());
        if (reference == nullptr) PyErr_Clear();  // its type has none: CUDA's number of the allocation tells instead
    }

    // Both in one, since a change of size is read by other threads.
    void set_size(uint32_t width, uint32_t height) { size_ = uint64_t{width} << 32 | height; }

    const FormatTraits* format_;
    std::atomic<uint64_t> size_{0};
    Codec codec_;
    bool rgb_;         // frames are RGB, converted into that format
    bool time_codes_;  // whether pictures may carry them
    KeptFrames kept_;
    std::shared_ptr<Session> session_;
};

CopyMode copy_mode(const std::string& name) {
    if (name == "auto") return CopyMode::automatic;
    if (name == "always") return CopyMode::always;
    if (name == "never") return CopyMode::never;
    fail(ErrorKind::invalid_config, "copy='" + name + "' came; it can be auto, always or never.");
}

std::unique_ptr<Encoder> make_encoder(const py::dict& settings, int gpu_id, uintptr_t cuda_context,
                                      uint32_t extra_output_delay, const std::string& copy,
                                      const py::object& idr_messages, const std::optional<std::string>& abi) {
    SessionOptions options;
    options.settings = settings_from_python(settings);
    options.gpu = gpu_id;
    options.context = reinterpret_cast<CUcontext>(cuda_context);
    options.extra_output_delay = extra_output_delay;
    options.copy = copy_mode(copy);
    options.forced_abi = abi;
    options.at_idr = messages_from_python(idr_messages);
    return std::make_unique<Encoder>(options);
}

// What help() shows of the class that people subclass as NvencEncoder.
namespace doc {

constexpr const char* encode =
    "encode($self, frame, force_idr=False, *, stream=None, picture=None)\n--\n\n"
    "Encodes a frame and returns what is ready: its own access unit, where nothing holds frames back.\n\n"
    "``force_idr`` makes it a frame from which decoding can start. ``stream`` is the CUDA stream on which the frame\n"
    "is made, for frames that do not tell it: a handle, or an object of CuPy, PyTorch or CUDA Python.\n\n"
    "Raises InvalidFrame, with the encoder usable as before, and what the driver answers.";
constexpr const char* submit =
    "submit($self, frame, seq, force_idr=False, *, stream=None, picture=None, on_released=None)\n--\n\n"
    "Encodes a frame and returns the packets that are ready, in decoding order; each has the ``seq`` (any 64-bit\n"
    "number) of the frame that it encodes. At most ``extra_output_delay`` frames stay in flight, or as many as\n"
    "B-frames and lookahead hold back. ``force_idr`` and ``stream`` are those of ``encode``.\n\n"
    "``on_released`` is called with the frame, once, when it may be written again: before this returns where it was\n"
    "copied, else when its packet is out or the encoder closed. Who asks for it waits for it: with ``copy=\"auto\"`` "
    "the\n"
    "frame is then read in place though it stays in flight.";
constexpr const char* surface =
    "The encoder's next input surface as an array to be written (CUDA array interface, DLPack): no copy is made of\n"
    "what is submitted so. ``stream`` is the one on which it is written; without it, the legacy default stream.\n"
    "In a ``with``, a surface that was not submitted is given back. Encoders of format ``\"rgb\"`` have none to lend.";
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
constexpr const char* codec = R"(``"h264"``, ``"hevc"`` or ``"av1"``.)";
constexpr const char* format = "The format of the frames that it takes, as ``\"nv12\"``.";
constexpr const char* abi = "The version of NVIDIA's encode interface in use, as ``\"13.0\"``.";
constexpr const char* gpu_id = "The GPU, as CUDA counts.";

}  // namespace doc

// The methods that are called for each frame, in CPython's own calling convention: pybind11's way to them would be a
// good part of what a frame costs.

Encoder& encoder_of(PyObject* self) {
    auto* instance = reinterpret_cast<py::detail::instance*>(self);
    // The short way holds for every class without another native base; CPython has checked the type.
    void* encoder = instance->simple_layout ? instance->simple_value_holder[0] : nullptr;
    return encoder != nullptr ? *static_cast<Encoder*>(encoder) : py::cast<Encoder&>(py::handle(self));
}

// Runs the body of a method; what it throws becomes Python's error.
template <typename Body>
PyObject* answer(Body body) {
    try {
        return body().release().ptr();
    } catch (const abi::__forced_unwind&) {
        throw;  // the thread is being ended
    } catch (...) {
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
    py::class_<Encoder> encoder(module, "Encoder");
    encoder
        .def(py::init(&make_encoder), py::kw_only(), py::arg("settings"), py::arg("gpu_id"), py::arg("cuda_context"),
             py::arg("extra_output_delay"), py::arg("copy"), py::arg("idr_messages"), py::arg("abi"))
        .def("surface", &Encoder::surface, doc::surface, stream)
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
    add_frame_methods(encoder);
}

}  // namespace pdum::nvenc
