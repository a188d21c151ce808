// Access units as Python objects, each byte of them copied exactly once: from the driver's memory into bytes.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "python/python_objects.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {

// Makes the type and puts it into the module. Called once an interpreter.
void add_packet_type(pybind11::module_& module);

// A sink whose access units are told apart by their frames' pts, so that what was kept for a frame can be let go.
class PythonSink : public Sink {
   public:
    explicit PythonSink(WithoutGil*& unlocked) : unlocked_(unlocked) {}
    const std::vector<int64_t>& taken() const { return taken_; }
    // The caller's frame that the i-th access unit has released.
    virtual void set_released(size_t i, PyRef frame) = 0;

   protected:
    WithoutGil*& unlocked_;
    std::vector<int64_t> taken_;
};

// Every access unit as a Packet.
class PacketSink final : public PythonSink {
   public:
    using PythonSink::PythonSink;
    void take(const std::vector<AccessUnit>& units) override;
    void set_released(size_t i, PyRef frame) override { copied_[i].released = std::move(frame); }
    // A new list. With the GIL held, after the session's call.
    pybind11::object packets();

   private:
    struct Copied {
        AccessUnit unit;  // its data pointer is spent
        PyRef bytes;
        PyRef released;
    };

    std::vector<Copied> copied_;
};

// All access units in one bytes object.
class BytesSink final : public PythonSink {
   public:
    using PythonSink::PythonSink;
    void take(const std::vector<AccessUnit>& units) override;
    void set_released(size_t, PyRef) override {}
    pybind11::object bytes();

   private:
    PyRef bytes_;
};

}  // namespace pdum::nvenc
