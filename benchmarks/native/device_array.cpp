// A view of device memory that other libraries can take over, as cheap as a producer can make it: the array interface
// is a dict made at each look, as CuPy does, and DLPack a capsule made at each call.
#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <memory>

namespace py = pybind11;

namespace {

// DLPack 0, the version that every consumer takes.
struct Tensor {
    void* data;
    struct {
        int32_t type, id;
    } device;
    int32_t dimensions;
    struct {
        uint8_t code, bits;
        uint16_t lanes;
    } type;
    int64_t* shape;
    int64_t* strides;
    uint64_t byte_offset;
};

struct Managed {
    Tensor tensor;
    void* context;
    void (*deleter)(Managed*);
};
static_assert(sizeof(Managed) == 64);

constexpr int32_t cuda_device = 2;

struct Export {
    Managed managed{};
    std::array<int64_t, 2> shape{};
    std::array<int64_t, 2> strides{};
};

void drop(Managed* managed) { delete static_cast<Export*>(managed->context); }

void drop_unused(PyObject* capsule) {
    if (PyCapsule_IsValid(capsule, "dltensor") != 0) {
        auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, "dltensor"));
        managed->deleter(managed);
    }
}

// Rows of bytes; the memory is somebody else's, who keeps it.
class DeviceArray {
   public:
    DeviceArray(uint64_t pointer, int64_t rows, int64_t width, int64_t pitch, py::object stream, int32_t gpu)
        : pointer_(pointer), rows_(rows), width_(width), pitch_(pitch), stream_(std::move(stream)), gpu_(gpu) {}

    py::dict cuda_array_interface() const {
        py::dict interface;
        interface["shape"] = py::make_tuple(rows_, width_);
        interface["typestr"] = "|u1";
        interface["data"] = py::make_tuple(pointer_, false);
        interface["strides"] = py::make_tuple(pitch_, 1);
        interface["stream"] = stream_;
        interface["version"] = 3;
        return interface;
    }

    py::object dlpack(const py::object&, const py::object&, const py::object&, const py::object&) const {
        auto exported = std::make_unique<Export>();
        exported->shape = {rows_, width_};
        exported->strides = {pitch_, 1};
        Tensor& tensor = exported->managed.tensor;
        tensor.data = reinterpret_cast<void*>(pointer_);
        tensor.device = {cuda_device, gpu_};
        tensor.dimensions = 2;
        tensor.type = {1, 8, 1};
        tensor.shape = exported->shape.data();
        tensor.strides = exported->strides.data();
        exported->managed.context = exported.get();
        exported->managed.deleter = drop;
        PyObject* capsule = PyCapsule_New(&exported->managed, "dltensor", drop_unused);
        if (capsule == nullptr) throw py::error_already_set();
        static_cast<void>(exported.release());
        return py::reinterpret_steal<py::object>(capsule);
    }

    py::tuple dlpack_device() const { return py::make_tuple(cuda_device, gpu_); }

   private:
    uint64_t pointer_;
    int64_t rows_, width_, pitch_;
    py::object stream_;
    int32_t gpu_;
};

}  // namespace

PYBIND11_MODULE(device_array, module) {
    const auto optional = [](const char* name) { return py::arg(name) = py::none(); };
    py::class_<DeviceArray>(module, "DeviceArray")
        .def(py::init<uint64_t, int64_t, int64_t, int64_t, py::object, int32_t>(), py::arg("pointer"), py::arg("rows"),
             py::arg("width"), py::arg("pitch"), py::arg("stream"), py::arg("gpu"))
        .def_property_readonly("__cuda_array_interface__", &DeviceArray::cuda_array_interface)
        .def("__dlpack__", &DeviceArray::dlpack, py::kw_only(), optional("stream"), optional("max_version"),
             optional("dl_device"), optional("copy"))
        .def("__dlpack_device__", &DeviceArray::dlpack_device);
}
