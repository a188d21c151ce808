// Reads what Python hands in as a frame: CUDA array interface, DLPack or a buffer, each checked before it is used.
#pragma once

#include <pybind11/pybind11.h>

#include "abi/pixel_format.hpp"
#include "python/python_objects.hpp"
#include "session/frame_view.hpp"

namespace pdum::nvenc {

// What a frame has to be.
struct FrameSpec {
    const FormatTraits* format = nullptr;
    uint32_t width = 0;
    uint32_t height = 0;
    bool rgb = false;  // arrays of RGB, to be converted into that format
};

// A frame and what keeps it alive. Made and destroyed with the GIL held; its view may be read without.
class BorrowedFrame {
   public:
    // `stream`: the caller's own word on where the frame is made, or None. `our_stream`: where a DLPack producer is
    // asked to make it ready. Throws invalid_frame.
    BorrowedFrame(PyObject* frame, PyObject* stream, const FrameSpec& spec, CUstream our_stream);
    ~BorrowedFrame() = default;
    BorrowedFrame(const BorrowedFrame&) = delete;
    BorrowedFrame& operator=(const BorrowedFrame&) = delete;

    const FrameView& view() const noexcept { return view_; }
    // What keeps the memory beside the frame itself; may be null.
    PyRef release_owner() { return std::move(kept_); }

   private:
    // A member of its own, so that a constructor that throws gives it back too.
    struct Buffer {
        Buffer() = default;
        ~Buffer() { PyBuffer_Release(&view); }
        Buffer(const Buffer&) = delete;
        Buffer& operator=(const Buffer&) = delete;

        Py_buffer view{};  // nothing to release while its object is null
    };

    void read_buffer(PyObject* frame, const FrameSpec& spec);
    bool read_cuda_array(PyObject* frame, const FrameSpec& spec);
    bool read_dlpack(PyObject* frame, const FrameSpec& spec, CUstream our_stream);
    bool read_pyav(PyObject* frame, const FrameSpec& spec);
    void set_producer(CUstream stream);

    FrameView view_;
    PyRef kept_;  // the interface's dict or DLPack's capsule
    Buffer buffer_;
};

// A stream's handle: a number, or an object of CUDA Python's, CuPy's or PyTorch's that holds one.
CUstream stream_from_python(const pybind11::object& stream);

}  // namespace pdum::nvenc
