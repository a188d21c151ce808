#include "python/surface_binding.hpp"

#include <array>
#include <string>
#include <type_traits>
#include <utility>

#include "core/error.hpp"
#include "python/bound_object.hpp"
#include "python/dlpack.hpp"
#include "python/python_objects.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

// A DLPack tensor of either version with everything that it refers to. Until its consumer deletes it, the surface is
// not lent again and its memory stays alive.
template <typename Managed>
struct ExportedTensor {
    ExportedTensor(std::shared_ptr<SurfaceLease> shared, const py::object& written_on)
        : lease(std::move(shared)), stream(Py_NewRef(written_on.ptr())) {}
    ~ExportedTensor() {
        const WithoutGil unlocked;
        lease.reset();  // records an event on the stream, so it comes before the stream's release
    }
    ExportedTensor(const ExportedTensor&) = delete;
    ExportedTensor& operator=(const ExportedTensor&) = delete;

    Managed managed{};
    std::array<int64_t, 3> shape{};
    std::array<int64_t, 3> strides{};
    std::shared_ptr<SurfaceLease> lease;
    PyRef stream;
};

PyTypeObject* surface_type = nullptr;

// Consumers call this from any thread, with the GIL or without it. After the end of the interpreter the process is
// about to end as well, and nothing is given back.
template <typename Managed>
void delete_tensor(Managed* managed) {
    if (Py_IsInitialized() == 0) return;
    const PyGILState_STATE state = PyGILState_Ensure();
    std::unique_ptr<ExportedTensor<Managed>>(static_cast<ExportedTensor<Managed>*>(managed->context)).reset();
    PyGILState_Release(state);
}

// A consumer renames the capsule when it takes the tensor.
template <typename Managed>
void delete_capsule(PyObject* capsule) {
    if (PyCapsule_IsValid(capsule, Managed::capsule_name) == 0) return;
    auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, Managed::capsule_name));
    managed->deleter(managed);
}

[[noreturn]] void refuse_export(const std::string& message) { throw py::buffer_error(message); }

std::string text_of(const py::object& object) { return py::repr(object).cast<std::string>(); }

bool is_same_device(const py::object& wanted, const py::tuple& own) {
    const int same = PyObject_RichCompareBool(wanted.ptr(), own.ptr(), Py_EQ);
    if (same < 0) throw py::error_already_set();
    return same == 1;
}

// The consumer's stream needs no order: the encoder does not work on a surface that is lent.
void check_consumer_stream(const py::object& stream) {
    if (stream.is_none()) return;
    int overflow = 0;
    const long long handle =
        PyLong_Check(stream.ptr()) != 0 ? PyLong_AsLongLongAndOverflow(stream.ptr(), &overflow) : 0;
    if (overflow == 0 && (handle == -1 || handle > 0)) return;
    refuse_export("stream=" + text_of(stream) +
                  " was asked for. A CUDA stream in DLPack is a handle above 2, 1 for the legacy default stream, 2 for "
                  "the thread's own, -1 for no synchronisation, or None.");
}

[[noreturn]] void fail_because_used() {
    fail(ErrorKind::invalid_frame, "This surface was submitted or given back already.",
         "Take the next one: `with encoder.surface() as surface`.");
}

// Whether the consumer knows version 1 of the protocol.
bool knows_versions(const py::object& max_version) {
    return !max_version.is_none() && max_version.cast<py::sequence>()[0].cast<int>() >= 1;
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

// The shape of a frame for encode().
py::tuple Surface::shape() const {
    if (has_component_axis(format_)) return py::make_tuple(height_, width_, format_.pixel_bytes);
    return py::make_tuple(surface_rows(format_, height_), width_);
}

py::dict Surface::cuda_array_interface() const {
    require_lent();
    py::dict interface;
    interface["shape"] = shape();
    interface["typestr"] = (format_.sample_bytes == 1 ? "|u" : "<u") + std::to_string(format_.sample_bytes);
    interface["data"] = py::make_tuple(address_, false);
    interface["strides"] = has_component_axis(format_) ? py::tuple(py::make_tuple(pitch_, format_.pixel_bytes, 1))
                                                       : py::tuple(py::make_tuple(pitch_, format_.pixel_bytes));
    interface["stream"] = py::none();  // no other thread works on it
    interface["version"] = 3;
    return interface;
}

namespace {

template <typename Managed>
py::capsule capsule_of(std::unique_ptr<ExportedTensor<Managed>> exported) {
    exported->managed.context = exported.get();
    exported->managed.deleter = delete_tensor<Managed>;
    PyObject* capsule = PyCapsule_New(&exported->managed, Managed::capsule_name, delete_capsule<Managed>);
    if (capsule == nullptr) throw py::error_already_set();
    static_cast<void>(exported.release());  // the capsule or its consumer owns it now
    return py::reinterpret_steal<py::capsule>(capsule);
}

template <typename Managed>
py::capsule export_tensor(std::shared_ptr<SurfaceLease> lease, const py::object& stream, const py::tuple& extents,
                          const FormatTraits& format, int gpu) {
    const size_t pitch = lease->pitch();
    const CUdeviceptr address = lease->address();
    auto exported = std::make_unique<ExportedTensor<Managed>>(std::move(lease), stream);
    const auto sample = static_cast<int64_t>(format.sample_bytes);
    for (size_t i = 0; i < extents.size(); ++i) exported->shape[i] = extents[i].cast<int64_t>();
    exported->strides = {static_cast<int64_t>(pitch) / sample, format.pixel_bytes / sample, 1};
    dlpack::Tensor& tensor = exported->managed.tensor;
    tensor.data = reinterpret_cast<void*>(address);
    tensor.device = {dlpack::device_cuda, gpu};
    tensor.dimensions = static_cast<int32_t>(extents.size());
    tensor.type = {dlpack::type_unsigned, static_cast<uint8_t>(sample * 8), 1};
    tensor.shape = exported->shape.data();
    tensor.strides = exported->strides.data();
    if constexpr (std::is_same_v<Managed, dlpack::ManagedVersioned>) exported->managed.major = 1;
    return capsule_of(std::move(exported));
}

}  // namespace

py::capsule Surface::dlpack(const py::object& stream, const py::object& max_version, const py::object& dl_device,
                            const py::object& copy) const {
    require_lent();
    if (!copy.is_none() && py::bool_(copy)) {
        refuse_export("copy=True was asked for, but a surface is there to be written: ask for copy=None or False.");
    }
    if (!dl_device.is_none() && !is_same_device(dl_device, dlpack_device())) {
        refuse_export("dl_device=" + text_of(dl_device) + " was asked for, but the surface stays on the device " +
                      text_of(dlpack_device()) + ".");
    }
    check_consumer_stream(stream);
    const bool versioned = knows_versions(max_version);
    const py::tuple extents = shape();
    std::shared_ptr<SurfaceLease> lease = share();
    if (lease == nullptr) fail_because_used();
    const int gpu = session_->gpu();
    return versioned ? export_tensor<dlpack::ManagedVersioned>(std::move(lease), stream_, extents, format_, gpu)
                     : export_tensor<dlpack::Managed>(std::move(lease), stream_, extents, format_, gpu);
}

py::tuple Surface::dlpack_device() const { return py::make_tuple(dlpack::device_cuda, session_->gpu()); }

namespace {

int traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    const auto* surface = bound_or_null<Surface>(self);
    return surface != nullptr ? surface->traverse(visit, arg) : 0;
}

int clear(PyObject* self) {
    if (auto* surface = bound_or_null<Surface>(self)) surface->clear();
    return 0;
}

// Runs in the garbage collector alone, before it takes a cycle apart.
void finalize(PyObject* self) {
    if (auto* surface = bound_or_null<Surface>(self)) surface->abandon();
}

// A surface refers to the stream on which it is written, and that may refer to it.
void collect_in_cycles(PyHeapTypeObject* heap_type) {
    PyTypeObject& type = heap_type->ht_type;
    type.tp_flags |= Py_TPFLAGS_HAVE_GC;
    type.tp_traverse = traverse;
    type.tp_clear = clear;
    type.tp_finalize = finalize;
}

}  // namespace

void add_surface_type(py::module_& module) {
    py::class_<Surface> type(module, "Surface", py::custom_type_setup(collect_in_cycles),
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
