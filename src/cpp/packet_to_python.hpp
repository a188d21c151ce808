// Access units as Python objects, each byte of them copied exactly once: from the driver's memory into bytes.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "python_objects.hpp"
#include "session.hpp"

namespace pdum::nvenc {

// Makes the type and puts it into the module. Called once an interpreter.
void add_packet_type(pybind11::module_& module);

// Every access unit as a Packet.
class PacketSink final : public Sink {
   public:
    explicit PacketSink(WithoutGil*& unlocked) : unlocked_(unlocked) {}
    ~PacketSink() override;
    void take(const std::vector<AccessUnit>& units) override;
    // A new list. With the GIL held, after the session's call.
    pybind11::object packets();

   private:
    struct Copied {
        AccessUnit unit;  // its data pointer is spent
        PyObject* bytes;
    };

    WithoutGil*& unlocked_;
    std::vector<Copied> copied_;
};

// All access units in one bytes object.
class BytesSink final : public Sink {
   public:
    explicit BytesSink(WithoutGil*& unlocked) : unlocked_(unlocked) {}
    ~BytesSink() override;
    void take(const std::vector<AccessUnit>& units) override;
    pybind11::object bytes();

   private:
    WithoutGil*& unlocked_;
    PyObject* bytes_ = nullptr;
};

}  // namespace pdum::nvenc
