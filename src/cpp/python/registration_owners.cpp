#include "python/registration_owners.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

// Views have the array that owns their memory as their base.
py::object owner_of(const py::object& frame) {
    py::object owner = frame;
    for (const char* name : {"base", "_base"}) {
        const py::object base = py::getattr(owner, name, py::none());
        if (!base.is_none()) owner = base;
    }
    return owner;
}

}  // namespace

template <typename Leaves>
std::vector<RegistrationOwners::Registration> RegistrationOwners::take_if(Leaves leaves) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto first = std::partition(registrations_.begin(), registrations_.end(),
                                      [&](const Registration& one) { return !leaves(one); });
    std::vector<Registration> taken(std::make_move_iterator(first), std::make_move_iterator(registrations_.end()));
    registrations_.erase(first, registrations_.end());
    return taken;
}

void RegistrationOwners::watch(const py::object& frame, CUdeviceptr address) {
    const py::object owner = owner_of(frame);
    PyRef reference = reference_to(owner.ptr());
    if (reference == nullptr) return;  // its type allows none; CUDA's number of the allocation shows when it is gone
    const std::vector<Registration> outdated = take_if([&](const Registration& one) { return one.address == address; });
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!closed_) registrations_.push_back({address, owner.ptr(), std::move(reference)});
}

PyRef RegistrationOwners::reference_to(PyObject* owner) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto known = std::find_if(registrations_.begin(), registrations_.end(),
                                        [&](const Registration& one) { return one.owner == owner; });
        if (known != registrations_.end()) return PyRef(Py_NewRef(known->reference.get()));
    }
    const py::cpp_function at_its_end([owners = weak_from_this()](const py::handle& reference) {
        if (const auto alive = owners.lock()) alive->owner_is_gone(reference.ptr());
    });
    PyRef reference(PyWeakref_NewRef(owner, at_its_end.ptr()));
    if (reference == nullptr) PyErr_Clear();
    return reference;
}

void RegistrationOwners::owner_is_gone(PyObject* reference) {
    const std::vector<Registration> gone =
        take_if([&](const Registration& one) { return one.reference.get() == reference; });
    const WithoutGil unlocked;
    const std::shared_ptr<Session> session = session_.lock();
    if (session == nullptr) return;
    for (const Registration& one : gone) session->forget(one.address);
}

void RegistrationOwners::drop(const std::vector<CUdeviceptr>& addresses) {
    take_if([&](const Registration& one) {
        return std::find(addresses.begin(), addresses.end(), one.address) != addresses.end();
    });
}

void RegistrationOwners::close() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        closed_ = true;
    }
    take_if([](const Registration&) { return true; });
}

}  // namespace pdum::nvenc
