// Attempts at a picture, as Python sees them.
#include <optional>

#include "core/error.hpp"
#include "core/nvtx.hpp"
#include "python/encoder.hpp"

namespace py = pybind11;

namespace pdum::nvenc {

bool Encoder::begin_attempts(const py::object& frame, const py::object& seq, const py::object& stream,
                             const py::object& picture) {
    const NvtxRange range("pdum.encode");
    Session& running = session();
    running.require_not_closed();
    if (attempts_ == 0) {
        fail(ErrorKind::invalid_config, "begin_attempts() needs an encoder that was made with attempts.",
             "Make one: NvencEncoder(…, attempts=4).");
    }
    if (as_surface(frame) != nullptr) {
        fail(ErrorKind::invalid_frame, "begin_attempts() takes no surface of the encoder.", "Give an array.");
    }
    const int64_t number = seq_of(seq);
    PictureExtras extras = extras_of(picture, false);
    BorrowedMap map(picture, codec(), map_mode_, shared_session());
    extras.map = map.take();
    bool is_open = false;
    if (frame.is_none()) {
        const WithoutGil unlocked;
        is_open = running.begin_attempts(nullptr, number, extras);
        return is_open;
    }
    const Call call{frame, number, false, stream, picture, py::none()};
    HeldStream input_stream(running.input_stream());
    const BorrowedFrame borrowed = borrow(frame, call, input_stream);
    const WithoutGil unlocked;
    input_stream.release();
    is_open = running.begin_attempts(&borrowed.view(), number, extras);
    return is_open;
}

py::object Encoder::attempt(const py::object& picture) {
    const NvtxRange range("pdum.encode");
    Session& running = session();
    PictureExtras extras;
    BorrowedMap map(picture, codec(), map_mode_, shared_session());
    extras.map = map.take();
    PacketSink sink;
    sink.run_without_gil([&] { running.attempt(extras, sink); });
    return py::list(sink.packets())[0];
}

py::object Encoder::earlier_packets() {
    Session& running = session();
    PacketSink sink;
    sink.run_without_gil([&] { running.take_earlier(sink); });
    return sink.packets();
}

void Encoder::keep_attempt(uint32_t number) {
    Session& running = session();
    const WithoutGil unlocked;
    running.keep_attempt(number);
}

void Encoder::drop_attempts() {
    Session& running = session();
    const WithoutGil unlocked;
    running.drop_attempts();
}

}  // namespace pdum::nvenc
