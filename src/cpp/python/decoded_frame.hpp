// A decoded frame on the GPU as an array: the CUDA array interface, DLPack, and a copy for NumPy.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <mutex>

#include "decoder/video.hpp"
#include "python/exported_array.hpp"

namespace pdum::nvenc {

// The stream on which a decoder's frames are read, if nothing else says it.
struct ReaderStream {
    CUstream handle = nullptr;
    pybind11::object object;  // keeps the stream alive
};

// Several threads may use it.
class DecodedFrame {
   public:
    // `memory`: the Python object that lives as long as the memory of the decoder's surfaces does.
    DecodedFrame(DecodedPicture picture, ReaderStream reader, pybind11::object memory);
    ~DecodedFrame();
    DecodedFrame(const DecodedFrame&) = delete;
    DecodedFrame& operator=(const DecodedFrame&) = delete;

    const DecodedPicture& picture() const noexcept { return picture_; }
    // Throws decoder_closed if the frame was given back.
    std::shared_ptr<FrameLease> share() const;
    void give_back();
    pybind11::object memory() const;

    DeviceArray array(const FrameLease& lease) const;
    pybind11::tuple shape() const;
    pybind11::dict cuda_array_interface() const;
    pybind11::capsule dlpack(const pybind11::object& stream, const pybind11::object& max_version,
                             const pybind11::object& dl_device, const pybind11::object& copy) const;
    pybind11::tuple dlpack_device() const;
    pybind11::object to_numpy() const;

    // For the garbage collector.
    int traverse(visitproc visit, void* arg) const;
    void clear();
    // The reader's stream may be gone already.
    void abandon();

   private:
    std::shared_ptr<FrameLease> take();

    DecodedPicture picture_;  // its lease is moved into the member below
    ReaderStream reader_;
    pybind11::object memory_;

    mutable std::mutex mutex_;           // held only to copy or exchange the pointer
    std::shared_ptr<FrameLease> lease_;  // null once given back
};

void add_decoded_frame_type(pybind11::module_& module);
// Null for any other object. It is asked for each frame that is encoded.
DecodedFrame* as_decoded_frame(PyObject* object);

}  // namespace pdum::nvenc
