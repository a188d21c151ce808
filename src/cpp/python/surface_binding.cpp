#include "python/surface_binding.hpp"

#include <utility>

#include "core/error.hpp"
#include "python/bound_object.hpp"
#include "python/dlpack.hpp"
#include "python/exported_array.hpp"
#include "python/python_objects.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

PyTypeObject* surface_type = nullptr;

[[noreturn]] void fail_because_used() {
    fail(ErrorKind::invalid_frame, "This surface was submitted or given back already.",
         "Take the next one: `with encoder.surface() as surface`.");
}

}  // namespace

Surface::Surface(std::shared_ptr<Session> session, std::shared_ptr<SurfaceLease> lease, const FormatTraits& format,
                 py::object stream)
    : session_(std::move(session)),
      format_(format),
      width_(lease->width()),
      height_(lease->height()),
      address_(lease->address()),
      pitch_(lease->pitch()),
      stream_handle_(lease->stream()),
      stream_(std::move(stream)),
      lease_(std::move(lease)) {}

Surface::~Surface() { give_back(); }

std::shared_ptr<SurfaceLease> Surface::take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(lease_, nullptr);
}

std::shared_ptr<SurfaceLease> Surface::share() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return lease_;
}

void Surface::require_lent() const {
    session_->require_not_closed();  // a closed encoder shows no surface, though a tensor may still hold its memory
    const std::lock_guard<std::mutex> lock(mutex_);
    if (lease_ == nullptr) fail_because_used();
}

std::shared_ptr<SurfaceLease> Surface::hand_over() {
    session_->require_not_closed();
    std::shared_ptr<SurfaceLease> lease = take();
    if (lease == nullptr) fail_because_used();
    return lease;
}

void Surface::give_back() {
    std::shared_ptr<SurfaceLease> lease = take();
    if (lease == nullptr) return;
    const WithoutGil unlocked;
    lease.reset();
}

int Surface::traverse(visitproc visit, void* arg) const {
    Py_VISIT(stream_.ptr());
    return 0;
}

void Surface::abandon() {
    std::shared_ptr<SurfaceLease> lease = take();
    if (lease == nullptr) return;
    lease->set_stream_lost();
    const WithoutGil unlocked;
    lease.reset();
}

py::tuple Surface::shape() const { return frame_shape(format_, width_, height_); }

py::dict Surface::cuda_array_interface() const {
    require_lent();
    // No other thread works on it, so there is no stream.
    return array_interface({address_, pitch_, shape(), &format_, session_->gpu()}, py::none(), false);
}

py::capsule Surface::dlpack(const py::object& stream, const py::object& max_version, const py::object& dl_device,
                            const py::object& copy) const {
    require_lent();
    // The consumer's stream needs no order: the encoder does not work on a surface that is lent.
    const DlpackRequest request = DlpackRequest::checked({stream, max_version, dl_device, copy}, dlpack_device());
    std::shared_ptr<SurfaceLease> lease = share();
    if (lease == nullptr) fail_because_used();
    const DeviceArray array{lease->address(), lease->pitch(), shape(), &format_, session_->gpu()};
    return export_tensor(array, std::move(lease), stream_, request);
}

py::tuple Surface::dlpack_device() const { return py::make_tuple(dlpack::device_cuda, session_->gpu()); }

void add_surface_type(py::module_& module) {
    // It refers to the stream on which it is written, and that may refer to it.
    py::class_<Surface> type(module, "Surface", py::custom_type_setup(collect_in_cycles<Surface, &Surface::abandon>),
                             "One of the encoder's own surfaces, to be written instead of copied:\n"
                             "``with encoder.surface() as surface``, write ``cupy.asarray(surface)``, submit it.\n\n"
                             "A DLPack tensor keeps the surface: the encoder lends it again only when the tensor is\n"
                             "gone too, and its memory outlives ``close()``.");
    surface_type = reinterpret_cast<PyTypeObject*>(type.ptr());
    type.def_property_readonly("shape", &Surface::shape, "The same as that of a frame of the encoder's format.")
        .def_property_readonly("__cuda_array_interface__", &Surface::cuda_array_interface)
        .def("__dlpack__", &Surface::dlpack, py::kw_only(), py::arg("stream") = py::none(),
             py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(), py::arg("copy") = py::none())
        .def("__dlpack_device__", &Surface::dlpack_device)
        .def("__enter__", [](const py::object& self) { return self; })
        .def("__exit__", [](Surface& surface, const py::args&) { surface.give_back(); });
}

Surface* as_surface(const py::object& object) {
    return Py_TYPE(object.ptr()) == surface_type ? &object.cast<Surface&>() : nullptr;
}

}  // namespace pdum::nvenc
