// Access units as Python objects. Each byte is copied once, from the driver's memory into bytes; once more if several
// access units are joined.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "python/python_objects.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {

// Makes the type and adds it to the module. Call it once.
void add_packet_type(pybind11::module_& module);

// A sink that makes Python objects. It lists its access units by their frames' pts, so that these frames can be
// released.
class PythonSink : public Sink {
   public:
    // Runs `call` without the GIL. The session may hand access units to this sink meanwhile; the sink takes the GIL
    // back only while it allocates.
    template <typename Call>
    void run_without_gil(Call call) {
        WithoutGil scope;
        without_gil_ = &scope;
        call();
    }

    const std::vector<int64_t>& taken() const { return taken_; }
    // Sets the caller's frame that the i-th access unit has released.
    virtual void set_released(size_t i, PyRef frame) = 0;

   protected:
    // Takes the GIL for the allocation only, and copies the bytes without it.
    PyRef copy(const AccessUnit& unit);

   private:
    std::vector<int64_t> taken_;
    WithoutGil* without_gil_ = nullptr;  // of the call that is running
};

// Every access unit as a Packet.
class PacketSink final : public PythonSink {
   public:
    void take(const AccessUnit& unit) override;
    void set_released(size_t i, PyRef frame) override { copied_[i].released = std::move(frame); }
    // A new list. Call it with the GIL held, after the session's call.
    pybind11::object packets();

   private:
    struct Copied {
        AccessUnit unit;  // its data pointer is not valid any more
        PyRef bytes;
        PyRef released;
    };

    std::vector<Copied> copied_;
};

// All access units in one bytes object.
class BytesSink final : public PythonSink {
   public:
    void take(const AccessUnit& unit) override;
    void set_released(size_t, PyRef) override {}
    pybind11::object bytes();

   private:
    std::vector<PyRef> parts_;
};

}  // namespace pdum::nvenc
