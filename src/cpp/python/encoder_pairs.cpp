// Frames that are pairs: what both eyes see, or a frame and its alpha.
#include <string>
#include <utility>

#include "core/error.hpp"
#include "python/encoder.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

// Of what an alpha array holds.
constexpr FormatTraits alpha_plane{PixelFormat::nv12,      "alpha", Chroma::c420, 8, 1, 1, 2, false, false,
                                   "a byte for each pixel"};

struct PairText {
    const char* setting;
    const char* advice;
};
constexpr PairText views_text{"stereo=True", "Give both views, the left one first: encode((left, right))."};
constexpr PairText alpha_text{"alpha and format='nv12'", "Give each frame with its alpha: encode((frame, alpha))."};

std::pair<py::object, py::object> pair_of(const py::object& frame, const PairText& text) {
    const bool is_pair = (py::isinstance<py::tuple>(frame) || py::isinstance<py::list>(frame)) && py::len(frame) == 2;
    if (!is_pair) {
        fail(ErrorKind::invalid_frame,
             std::string("This encoder was made with ") + text.setting + " and got one frame of type " +
                 py::str(py::type::of(frame).attr("__name__")).cast<std::string>() + ", not a pair.",
             text.advice);
    }
    const py::sequence both(frame);
    return {both[0], both[1]};
}

}  // namespace

void Encoder::require_single_frames() const {
    if (!two_views_ && !alpha_pairs_) return;
    fail(ErrorKind::unsupported_feature,
         std::string("surface() was called on an encoder with ") + (two_views_ ? views_text : alpha_text).setting + ".",
         "Render into two arrays of your own and submit them as a pair.");
}

void Encoder::submit_views(PythonSink& sink, const Call& call, const PictureExtras& extras) {
    Session& running = session();
    const auto [left, right] = pair_of(call.frame, views_text);
    HeldStream input_stream(running.input_stream());
    BorrowedFrame of_left = borrow(left, call, input_stream);
    BorrowedFrame of_right = borrow(right, call, input_stream);
    sink.run_without_gil([&] {
        input_stream.release();
        running.submit_views({of_left.view(), of_right.view()}, call.seq, extras, sink);
    });
    if (!call.on_released.is_none()) call.on_released(call.frame);
}

void Encoder::submit_with_alpha(PythonSink& sink, const Call& call, const PictureExtras& extras) {
    Session& running = session();
    const auto [frame, alpha] = pair_of(call.frame, alpha_text);
    HeldStream input_stream(running.input_stream());
    BorrowedFrame colour = borrow(frame, call, input_stream);
    BorrowedFrame plane(alpha.ptr(), call.stream.ptr(), {&alpha_plane, width(), height(), false},
                        input_stream.handle());
    sink.run_without_gil([&] {
        input_stream.release();
        running.submit_with_alpha(colour.view(), plane.view(), call.seq, extras, sink);
    });
    if (!call.on_released.is_none()) call.on_released(call.frame);
}

}  // namespace pdum::nvenc
