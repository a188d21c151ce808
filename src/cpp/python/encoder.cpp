#include "python/encoder.hpp"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/nvtx.hpp"
#include "python/settings_from_python.hpp"
#include "python/stream_from_python.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

// `picture` is a PictureOptions or None. It gives (force IDR, force intra, messages, time code or None) for a codec.
PictureExtras extras_from_python(const py::object& picture, const char* codec, bool time_codes) {
    PictureExtras extras;
    if (picture.is_none()) return extras;
    if (!py::hasattr(picture, "_native")) {
        throw py::type_error("Expected PictureOptions, got picture=" + py::repr(picture).cast<std::string>() + ".");
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

}  // namespace

Encoder::Encoder(const SessionOptions& options)
    : format_(&traits_of(options.settings.format)),
      codec_(options.settings.codec),
      rgb_(options.settings.rgb_input),
      time_codes_(options.settings.time_code),
      map_mode_(options.settings.map_mode),
      motion_hints_(options.settings.motion_hints),
      long_terms_(options.settings.long_term_references),
      manual_types_(options.settings.manual_types),
      sub_frames_(options.settings.sub_frames),
      has_grain_(options.settings.film_grain.has_value()),
      is_interlaced_(options.settings.structure != Structure::frame),
      two_views_(options.settings.two_views),
      attempts_(options.settings.attempts),
      alpha_pairs_(options.settings.alpha.has_value() && options.settings.format == PixelFormat::nv12) {
    set_size(options.settings.width, options.settings.height);
    const WithoutGil unlocked;
    session_ = std::make_shared<Session>(options);
    owners_ = std::make_shared<RegistrationOwners>(session_);
}

Encoder::~Encoder() {
    end();
    const WithoutGil unlocked;
    session_.reset();
}

int64_t Encoder::seq_of(const py::object& number) {
    const PyRef index(PyNumber_Index(number.ptr()));
    if (index == nullptr) throw py::error_already_set();
    const int64_t seq = PyLong_AsLongLong(index.get());
    if (seq == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    return seq;
}

py::object Encoder::encode(const py::object& frame, bool force_idr, const py::object& stream,
                           const py::object& picture) {
    const NvtxRange range("pdum.encode");
    BytesSink sink;
    submit_to(sink, {frame, 0, force_idr, stream, picture, py::none()});
    return sink.bytes();
}

py::object Encoder::submit(const py::object& frame, const py::object& seq, bool force_idr, const py::object& stream,
                           const py::object& picture, const py::object& on_released) {
    const NvtxRange range("pdum.encode");
    PacketSink sink;
    submit_to(sink, {frame, seq_of(seq), force_idr, stream, picture, on_released});
    return sink.packets();
}

int64_t Encoder::begin_slices(const py::object& frame, bool force_idr, const py::object& stream,
                              const py::object& picture) {
    const NvtxRange range("pdum.encode");
    session().require_not_closed();
    if (!sub_frames_) {
        fail(ErrorKind::invalid_config, "encode_slices() needs an encoder that was made with sub_frames=True.",
             "Make one: NvencEncoder(…, sub_frames=True, slices=4).");
    }
    if (as_surface(frame) != nullptr) {
        fail(ErrorKind::invalid_frame, "encode_slices() takes no surface of the encoder.", "Give an array.");
    }
    if (in_flight() > 0) {
        fail(ErrorKind::encoder_failed, "The slices of another picture are being read.",
             "Read all that encode_slices() gives, or call flush(), before the next frame.");
    }
    PacketSink sink;
    return submit_to(sink, {frame, 0, force_idr, stream, picture, py::none(), true});
}

py::tuple Encoder::next_slices(int64_t pts, size_t taken, bool waits) {
    Session& running = session();
    std::vector<uint8_t> part;
    PacketSink sink;
    bool is_over = false;
    try {
        sink.run_without_gil([&] { is_over = running.next_part(pts, taken, waits, part, sink); });
    } catch (...) {
        release_finished_frames();
        throw;
    }
    release_frames(sink);
    return py::make_tuple(py::bytes(reinterpret_cast<const char*>(part.data()), part.size()), is_over);
}

std::unique_ptr<Surface> Encoder::surface(const py::object& stream) {
    const std::shared_ptr<Session> running = shared_session();
    require_single_frames();
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

py::object Encoder::flush() {
    BytesSink sink;
    flush_to(sink);
    return sink.bytes();
}

py::object Encoder::flush_pipeline() {
    PacketSink sink;
    flush_to(sink);
    return sink.packets();
}

void Encoder::reconfigure(const py::dict& items) {
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

bool Encoder::lost(const py::object& seq) {
    Session& running = session();
    const int64_t number = seq_of(seq);
    const WithoutGil unlocked;
    return running.lost(number);
}

py::bytes Encoder::sequence_header() {
    Session& running = session();
    std::vector<uint8_t> header;
    {
        const WithoutGil unlocked;
        header = running.sequence_header();
    }
    return {reinterpret_cast<const char*>(header.data()), header.size()};
}

void Encoder::close() {
    if (session_ == nullptr) return;
    try {
        const WithoutGil unlocked;
        session_->close();
    } catch (const Error&) {
        after_close();
        throw;
    }
    after_close();
}

void Encoder::end() {
    if (session_ == nullptr) return;
    const py::error_scope raised;
    {
        const WithoutGil unlocked;
        session_->close_quietly();
    }
    after_close();
}

size_t Encoder::in_flight() const {
    const Session& running = session();
    const WithoutGil unlocked;
    return running.in_flight();
}

const std::shared_ptr<Session>& Encoder::shared_session() const {
    if (session_ == nullptr) {
        fail(ErrorKind::encoder_closed, "This encoder was never made.", "Call super().__init__() first.");
    }
    return session_;
}

PictureExtras Encoder::extras_of(const py::object& picture, bool force_idr) const {
    PictureExtras extras = extras_from_python(picture, codec(), time_codes_);
    read_references(picture, long_terms_, manual_types_, extras);
    if (!picture.is_none()) {
        extras.film_grain = film_grain_from_python(picture.attr("_film_grain")(codec(), has_grain_));
        extras.structure = structure_from_python(picture.attr("_structure")(is_interlaced_));
    }
    extras.force_idr |= force_idr;
    extras.hints = hints_from_python(picture, codec(), width(), height(), motion_hints_);
    return extras;
}

int64_t Encoder::submit_to(PythonSink& sink, const Call& call) {
    int64_t pts = 0;
    PictureExtras extras = extras_of(call.picture, call.force_idr);
    BorrowedMap map(call.picture, codec(), map_mode_, shared_session());
    extras.map = map.take();
    if (two_views_) {
        submit_views(sink, call, extras);
    } else if (alpha_pairs_) {
        submit_with_alpha(sink, call, extras);
    } else if (Surface* surface = as_surface(call.frame)) {
        submit_surface(sink, *surface, call, extras);
    } else {
        pts = submit_frame(sink, call, extras);
    }
    release_frames(sink);
    return pts;
}

BorrowedFrame Encoder::borrow(const py::object& frame, const Call& call, const HeldStream& input_stream) const {
    const NvtxRange range("pdum.read_iface");
    return {frame.ptr(), call.stream.ptr(), {format_, width(), height(), rgb_}, input_stream.handle()};
}

int64_t Encoder::submit_frame(PythonSink& sink, const Call& call, const PictureExtras& extras) {
    Session& running = session();
    HeldStream input_stream(running.input_stream());
    BorrowedFrame borrowed = borrow(call.frame, call, input_stream);
    Submission submission;
    submission.leaves = call.leaves;
    try {
        sink.run_without_gil([&] {
            input_stream.release();
            running.submit(borrowed.view(), call.seq, extras, !call.on_released.is_none(), sink, submission);
        });
    } catch (...) {
        after_submit(sink, submission, borrowed, call);
        release_finished_frames();
        throw;
    }
    after_submit(sink, submission, borrowed, call);
    return submission.pts;
}

void Encoder::after_submit(PythonSink& sink, const Submission& submission, BorrowedFrame& borrowed, const Call& call) {
    if (!submission.unregistered.empty()) owners_->drop(submission.unregistered);
    if (submission.registered) {
        owners_->watch(call.frame, reinterpret_cast<CUdeviceptr>(borrowed.view().data));
    }
    if (!submission.accepted) return;
    FrameInFlight frame{submission.pts, PyRef(Py_NewRef(call.frame.ptr())), nullptr,
                        PyRef(call.on_released.is_none() ? nullptr : Py_NewRef(call.on_released.ptr()))};
    const std::vector<int64_t>& out = sink.taken();
    const auto own = std::find(out.begin(), out.end(), submission.pts);
    if (submission.in_place && own == out.end()) {
        frame.memory = borrowed.release_owner();
        frames_.add(std::move(frame));
        release_if_finished(submission.pts);
        return;
    }
    frame.tell();
    if (submission.in_place) sink.set_released(static_cast<size_t>(own - out.begin()), std::move(frame.frame));
}

void Encoder::submit_surface(PythonSink& sink, Surface& surface, const Call& call, const PictureExtras& extras) {
    Session& running = session();
    if (!surface.belongs_to(running)) {
        fail(ErrorKind::invalid_frame, "The surface belongs to another encoder.",
             "Submit it to the encoder that handed it out.");
    }
    const CUstream written = call.stream.is_none() ? surface.stream() : stream_from_python(call.stream);
    sink.run_without_gil([&] {
        const std::shared_ptr<SurfaceLease> lease = surface.hand_over();
        running.submit_surface(*lease, written, call.seq, extras, sink);
    });
}

void Encoder::flush_to(PythonSink& sink) {
    const NvtxRange range("pdum.flush");
    Session& running = session();
    try {
        sink.run_without_gil([&] { running.flush(sink); });
    } catch (...) {
        release_finished_frames();
        throw;
    }
    release_frames(sink);
}

void Encoder::require_array(const SurfaceLease& lease) const {
    if (has_padded_array(*format_) || lease.pitch() == row_bytes_of(*format_, lease.width())) return;
    fail(ErrorKind::unsupported_feature,
         "A surface of format '" + std::string(format_->name) + "' and width " + std::to_string(lease.width()) +
             " cannot be shown as one array.",
         "Use nv12, or a width that is a multiple of 16.");
}

void Encoder::after_close() {
    owners_->close();
    for (const FrameInFlight& frame : frames_.take_all()) frame.tell();
}

void Encoder::release_if_finished(int64_t pts) {
    {
        const WithoutGil unlocked;
        if (session_->is_in_flight(pts)) return;
    }
    frames_.take(pts).tell();
}

void Encoder::release_finished_frames() {
    for (const int64_t pts : frames_.all_pts()) release_if_finished(pts);
}

void Encoder::release_frames(PythonSink& sink) {
    if (frames_.empty()) return;
    for (size_t i = 0; i < sink.taken().size(); ++i) {
        FrameInFlight frame = frames_.take(sink.taken()[i]);
        if (frame.frame == nullptr) continue;
        frame.tell();
        sink.set_released(i, std::move(frame.frame));
    }
}

}  // namespace pdum::nvenc
