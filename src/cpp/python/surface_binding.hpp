// One of the encoder's own surfaces as a writable array, with the CUDA array interface and DLPack.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <mutex>

#include "abi/pixel_format.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {

// Several threads may use a surface at the same time: only one of them gets the lease.
class Surface {
   public:
    // `stream`: the caller's object. The lease, or a tensor that shares it, keeps it alive.
    Surface(std::shared_ptr<Session> session, std::shared_ptr<SurfaceLease> lease, const FormatTraits& format,
            pybind11::object stream);
    ~Surface();
    Surface(const Surface&) = delete;
    Surface& operator=(const Surface&) = delete;

    bool belongs_to(const Session& session) const { return session_.get() == &session; }
    CUstream stream() const { return stream_handle_; }
    // Returns the lease, once. Afterwards the encoder owns the surface again. Throws invalid_frame. Runs no Python
    // code.
    std::shared_ptr<SurfaceLease> hand_over();
    // Returns the surface without submitting it. May be called twice.
    void give_back();

    // For the garbage collector.
    int traverse(visitproc visit, void* arg) const;
    void clear() { stream_ = pybind11::object(); }
    // The stream may be gone already, so it is unknown when its work ends. The surface is never lent again.
    void abandon();

    pybind11::tuple shape() const;
    pybind11::dict cuda_array_interface() const;
    // Throws Python's BufferError for requests of the protocol that a surface cannot meet.
    pybind11::capsule dlpack(const pybind11::object& stream, const pybind11::object& max_version,
                             const pybind11::object& dl_device, const pybind11::object& copy) const;
    pybind11::tuple dlpack_device() const;

   private:
    std::shared_ptr<SurfaceLease> take();
    std::shared_ptr<SurfaceLease> share() const;
    void require_lent() const;

    const std::shared_ptr<Session> session_;
    const FormatTraits& format_;
    const uint32_t width_;
    const uint32_t height_;
    const CUdeviceptr address_;
    const size_t pitch_;
    const CUstream stream_handle_;
    pybind11::object stream_;

    mutable std::mutex mutex_;             // held only to copy or exchange the pointer
    std::shared_ptr<SurfaceLease> lease_;  // null once submitted or given back
};

void add_surface_type(pybind11::module_& module);
// Null for any other object. This is asked for each frame, and pybind11's own check would cost too much.
Surface* as_surface(const pybind11::object& object);

}  // namespace pdum::nvenc
