// A caller's frame: CUDA array interface, DLPack, buffer or frame of PyAV. It is checked before use.
#pragma once

#include <pybind11/pybind11.h>

#include "python/frame_spec.hpp"
#include "python/python_objects.hpp"
#include "session/frame_view.hpp"

namespace pdum::nvenc {

// A frame and the objects that keep it alive. Made and destroyed with the GIL held; its view may be read without.
class BorrowedFrame {
   public:
    // `stream`: where the caller says that the frame is made, or None. `our_stream`: where a DLPack producer is asked
    // to make it ready. Throws invalid_frame.
    BorrowedFrame(PyObject* frame, PyObject* stream, const FrameSpec& spec, CUstream our_stream);
    ~BorrowedFrame() = default;
    BorrowedFrame(const BorrowedFrame&) = delete;
    BorrowedFrame& operator=(const BorrowedFrame&) = delete;

    const FrameView& view() const noexcept { return view_; }
    // The object that keeps the memory alive in addition to the frame itself; may be null.
    PyRef release_owner() { return std::move(memory_); }

   private:
    // A separate member, so that it is released if the constructor throws.
    struct Buffer {
        Buffer() = default;
        ~Buffer() { PyBuffer_Release(&view); }
        Buffer(const Buffer&) = delete;
        Buffer& operator=(const Buffer&) = delete;

        Py_buffer view{};  // nothing to release while its object is null
    };

    bool read_decoded(PyObject* frame, const FrameSpec& spec);
    void read_buffer(PyObject* frame, const FrameSpec& spec);
    bool read_cuda_array(PyObject* frame, const FrameSpec& spec, bool stream_is_given);
    bool read_dlpack(PyObject* frame, const FrameSpec& spec, CUstream our_stream);
    bool read_pyav(PyObject* frame, const FrameSpec& spec);
    void set_producer(CUstream stream);

    FrameView view_;
    PyRef memory_;  // the interface's dict or DLPack's capsule
    Buffer buffer_;
};

}  // namespace pdum::nvenc
