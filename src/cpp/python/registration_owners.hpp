// The arrays whose memory an encoder has registered. A registration is dropped when its array is gone.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <mutex>
#include <vector>

#include "python/python_objects.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {

// Each array has one weak reference of the encoder's at most, for as long as memory of it is registered.
// Call it with the GIL held (if there is one). No Python code runs under the lock.
class RegistrationOwners : public std::enable_shared_from_this<RegistrationOwners> {
   public:
    explicit RegistrationOwners(const std::shared_ptr<Session>& session) : session_(session) {}

    // Watches the array that owns the frame's memory, which was just registered. Views of the array come and go.
    void watch(const pybind11::object& frame, CUdeviceptr address);
    // The session has dropped these registrations.
    void drop(const std::vector<CUdeviceptr>& addresses);
    // The encoder is closed, and its registrations are gone.
    void close();

   private:
    struct Registration {
        CUdeviceptr address = 0;
        PyObject* owner = nullptr;  // keeps it alive; when it goes, this registration goes
        PyRef reference;            // weak; shared by all registrations of the owner
    };

    PyRef reference_to(PyObject* owner);
    void owner_is_gone(PyObject* reference);
    // Removes and returns registrations, so that they are destroyed after the lock is given back.
    template <typename Leaves>
    std::vector<Registration> take_if(Leaves leaves);

    std::weak_ptr<Session> session_;
    std::mutex mutex_;
    std::vector<Registration> registrations_;
    bool closed_ = false;
};

}  // namespace pdum::nvenc
