// One of the encoder's own surfaces as an array to be written: CUDA array interface and DLPack.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "abi/pixel_format.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {

class Surface {
   public:
    Surface(std::shared_ptr<Session> session, LentSurface lent, const FormatTraits& format, uint32_t width,
            uint32_t height, pybind11::object stream);
    ~Surface();
    Surface(const Surface&) = delete;
    Surface& operator=(const Surface&) = delete;

    bool belongs_to(const Session& session) const { return session_.get() == &session; }
    // The surface's number, once: after that it is the encoder's again. Throws invalid_frame.
    size_t hand_over();
    const pybind11::object& stream() const { return stream_; }
    // Without being submitted. May be called twice.
    void give_back();

    pybind11::tuple shape() const;
    pybind11::dict cuda_array_interface() const;
    pybind11::capsule dlpack() const;
    pybind11::tuple dlpack_device() const;

   private:
    void require_lent() const;

    std::shared_ptr<Session> session_;
    LentSurface lent_;
    const FormatTraits& format_;
    uint32_t width_;
    uint32_t height_;
    pybind11::object stream_;  // where the caller writes
    bool is_lent_ = true;
};

void add_surface_type(pybind11::module_& module);
// Null for any other object. It is asked for each frame, which pybind11's own question would be too dear for.
Surface* as_surface(const pybind11::object& object);

}  // namespace pdum::nvenc
