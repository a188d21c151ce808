#include "python/exported_array.hpp"

#include <array>
#include <string>
#include <type_traits>
#include <utility>

#include "python/dlpack.hpp"
#include "python/python_objects.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

// A DLPack tensor of either version with everything that it refers to.
template <typename Managed>
struct ExportedTensor {
    ExportedTensor(std::shared_ptr<const void> shared, const py::object& kept)
        : memory(std::move(shared)), object(Py_NewRef(kept.ptr())) {}
    ~ExportedTensor() {
        const WithoutGil unlocked;
        memory.reset();  // may record an event on a stream of the object's, so it comes before the object's release
    }
    ExportedTensor(const ExportedTensor&) = delete;
    ExportedTensor& operator=(const ExportedTensor&) = delete;

    Managed managed{};
    std::array<int64_t, 3> shape{};
    std::array<int64_t, 3> strides{};
    std::shared_ptr<const void> memory;
    PyRef object;
};

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

// The handle, or -1 for no order.
long long consumer_stream(const py::object& stream) {
    if (stream.is_none()) return 1;
    int overflow = 0;
    const long long handle =
        PyLong_Check(stream.ptr()) != 0 ? PyLong_AsLongLongAndOverflow(stream.ptr(), &overflow) : 0;
    if (overflow == 0 && (handle == -1 || handle > 0)) return handle;
    refuse_export("stream=" + text_of(stream) +
                  " was asked for. A CUDA stream in DLPack is a handle above 2, 1 for the legacy default stream, 2 for "
                  "the thread's own, -1 for no synchronisation, or None.");
}

// Whether the consumer knows version 1 of the protocol.
bool knows_versions(const py::object& max_version) {
    return !max_version.is_none() && max_version.cast<py::sequence>()[0].cast<int>() >= 1;
}

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
py::capsule export_as(const DeviceArray& array, std::shared_ptr<const void> memory, const py::object& object) {
    auto exported = std::make_unique<ExportedTensor<Managed>>(std::move(memory), object);
    const auto sample = static_cast<int64_t>(array.format->sample_bytes);
    for (size_t i = 0; i < array.shape.size(); ++i) exported->shape[i] = array.shape[i].cast<int64_t>();
    exported->strides = {static_cast<int64_t>(array.pitch) / sample, array.format->pixel_bytes / sample, 1};
    dlpack::Tensor& tensor = exported->managed.tensor;
    tensor.data = reinterpret_cast<void*>(array.address);
    tensor.device = {dlpack::device_cuda, array.gpu};
    tensor.dimensions = static_cast<int32_t>(array.shape.size());
    tensor.type = {dlpack::type_unsigned, static_cast<uint8_t>(sample * 8), 1};
    tensor.shape = exported->shape.data();
    tensor.strides = exported->strides.data();
    if constexpr (std::is_same_v<Managed, dlpack::ManagedVersioned>) exported->managed.major = 1;
    return capsule_of(std::move(exported));
}

}  // namespace

py::tuple frame_shape(const FormatTraits& format, uint32_t width, uint32_t height) {
    if (has_component_axis(format)) return py::make_tuple(height, width, format.pixel_bytes);
    return py::make_tuple(surface_rows(format, height), width);
}

py::dict array_interface(const DeviceArray& array, const py::object& stream, bool read_only) {
    const FormatTraits& format = *array.format;
    py::dict interface;
    interface["shape"] = array.shape;
    interface["typestr"] = (format.sample_bytes == 1 ? "|u" : "<u") + std::to_string(format.sample_bytes);
    interface["data"] = py::make_tuple(array.address, read_only);
    interface["strides"] = has_component_axis(format) ? py::tuple(py::make_tuple(array.pitch, format.pixel_bytes, 1))
                                                      : py::tuple(py::make_tuple(array.pitch, format.pixel_bytes));
    interface["stream"] = stream;
    interface["version"] = 3;
    return interface;
}

DlpackRequest DlpackRequest::checked(const Arguments& given, const py::tuple& own_device) {
    if (!given.copy.is_none() && py::bool_(given.copy)) {
        refuse_export(
            "copy=True was asked for, but the memory of a surface is there to be used: ask for copy=None or "
            "False.");
    }
    if (!given.dl_device.is_none() && !is_same_device(given.dl_device, own_device)) {
        refuse_export("dl_device=" + text_of(given.dl_device) + " was asked for, but the surface stays on the device " +
                      text_of(own_device) + ".");
    }
    DlpackRequest request;
    const long long handle = consumer_stream(given.stream);
    request.wants_no_order = handle == -1;
    request.stream = request.wants_no_order ? nullptr : reinterpret_cast<CUstream>(handle);
    request.is_versioned = knows_versions(given.max_version);
    return request;
}

py::capsule export_tensor(const DeviceArray& array, std::shared_ptr<const void> memory, const py::object& object,
                          const DlpackRequest& request) {
    return request.is_versioned ? export_as<dlpack::ManagedVersioned>(array, std::move(memory), object)
                                : export_as<dlpack::Managed>(array, std::move(memory), object);
}

}  // namespace pdum::nvenc
