#include "python/reconstructed_frame.hpp"

#include <pybind11/numpy.h>

#include <mutex>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "python/dlpack.hpp"
#include "python/exported_array.hpp"
#include "python/python_objects.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

// The engine is done with it, so readers wait for nothing.
class ReconstructedFrame {
   public:
    explicit ReconstructedFrame(std::shared_ptr<Reconstruction> lease)
        : format_(traits_of(lease->format())),
          width_(lease->width()),
          height_(lease->height()),
          gpu_(lease->context()->gpu()),
          lease_(std::move(lease)) {}

    ~ReconstructedFrame() { release(); }
    ReconstructedFrame(const ReconstructedFrame&) = delete;
    ReconstructedFrame& operator=(const ReconstructedFrame&) = delete;

    uint32_t width() const noexcept { return width_; }
    uint32_t height() const noexcept { return height_; }
    std::string format() const { return std::string(format_.name); }
    py::tuple shape() const { return frame_shape(format_, width_, height_); }
    py::tuple dlpack_device() const { return py::make_tuple(dlpack::device_cuda, gpu_); }

    void release() {
        std::shared_ptr<Reconstruction> lease = [this] {
            const std::lock_guard<std::mutex> lock(mutex_);
            return std::exchange(lease_, nullptr);
        }();
        if (lease == nullptr) return;
        const WithoutGil unlocked;
        lease.reset();
    }

    // The interface does not say where the consumer works: it is taken to be the legacy default stream.
    py::dict cuda_array_interface() const {
        const std::shared_ptr<Reconstruction> lease = share();
        lease->add_reader(legacy_stream());
        return array_interface(array(*lease), py::none(), false);
    }

    py::capsule dlpack(const py::object& stream, const py::object& max_version, const py::object& dl_device,
                       const py::object& copy) const {
        const DlpackRequest request = DlpackRequest::checked({stream, max_version, dl_device, copy}, dlpack_device());
        std::shared_ptr<Reconstruction> lease = share();
        lease->add_reader(request.wants_no_order ? legacy_stream() : request.stream);
        const DeviceArray memory = array(*lease);
        return export_tensor(memory, std::move(lease), py::none(), request);
    }

    py::object to_numpy(const py::object& type) const {
        const size_t rows = surface_rows(format_, height_);
        const py::dtype sample = format_.sample_bytes == 1 ? py::dtype::of<uint8_t>() : py::dtype::of<uint16_t>();
        py::array made(sample, {rows, size_t{width_}});
        copy_to_host(made.mutable_data(), rows);
        return type.is_none() ? py::object(made) : made.attr("astype")(type, py::arg("copy") = false);
    }

   private:
    std::shared_ptr<Reconstruction> share() const {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (lease_ == nullptr) {
            fail(ErrorKind::invalid_frame, "This reconstruction was given back to its encoder.",
                 "Use it inside its `with`, or keep a copy: numpy.asarray(packet.reconstruction).");
        }
        return lease_;
    }

    DeviceArray array(const Reconstruction& lease) const {
        return {lease.address(), lease.pitch(), shape(), &format_, gpu_};
    }

    void copy_to_host(void* target, size_t rows) const {
        std::shared_ptr<Reconstruction> lease = share();
        const WithoutGil unlocked;
        {
            const std::shared_ptr<const Context>& context = lease->context();
            const ContextScope scope(*context);
            const Stream stream(context);
            CUDA_MEMCPY2D copy{};
            copy.srcMemoryType = memory_device;
            copy.srcDevice = lease->address();
            copy.srcPitch = lease->pitch();
            copy.dstMemoryType = memory_host;
            copy.dstHost = target;
            copy.dstPitch = copy.WidthInBytes = row_bytes_of(format_, width_);
            copy.Height = rows;
            check_cuda(context->functions().cuMemcpy2DAsync(&copy, stream.handle()), "cuMemcpy2DAsync");
            stream.synchronize();
        }
        lease.reset();
    }

    const FormatTraits& format_;
    const uint32_t width_;
    const uint32_t height_;
    const int gpu_;
    mutable std::mutex mutex_;               // held only to copy or exchange the pointer
    std::shared_ptr<Reconstruction> lease_;  // null once given back
};

constexpr const char* type_doc =
    "A picture on the GPU as a decoder will show it: ``Packet.reconstruction`` of an encoder with "
    "``reconstruction=True``.\n"
    "CuPy and PyTorch take it as an array (``cupy.asarray(frame)``, ``torch.from_dlpack(frame)``), and\n"
    "``numpy.asarray(frame)`` copies it.\n\n"
    "Its memory belongs to the encoder, which writes another picture there when this object and all DLPack tensors of "
    "it\n"
    "are gone, after the work that their streams have queued by then. It outlives the encoder. In a ``with``, it is "
    "given\n"
    "back at the end.";
constexpr const char* format_doc = R"(The layout: that of the frames; ``"nv12"`` for ``"yuv420"``.)";

std::string text_of(const ReconstructedFrame& frame) {
    return "<ReconstructedFrame " + std::to_string(frame.width()) + "x" + std::to_string(frame.height()) + " " +
           frame.format() + ">";
}

}  // namespace

void add_reconstructed_frame_type(py::module_& module) {
    using Frame = ReconstructedFrame;
    py::class_<Frame>(module, "ReconstructedFrame", type_doc)
        .def_property_readonly("shape", &Frame::shape, "That of a frame of this format.")
        .def_property_readonly("width", &Frame::width, "In pixels.")
        .def_property_readonly("height", &Frame::height, "In pixels.")
        .def_property_readonly("format", &Frame::format, format_doc)
        .def_property_readonly("__cuda_array_interface__", &Frame::cuda_array_interface)
        .def("__dlpack__", &Frame::dlpack, py::kw_only(), py::arg("stream") = py::none(),
             py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(), py::arg("copy") = py::none())
        .def("__dlpack_device__", &Frame::dlpack_device)
        .def(
            "__array__",
            [](const Frame& frame, const py::object& type, const py::object& /*copy*/) { return frame.to_numpy(type); },
            py::arg("dtype") = py::none(), py::arg("copy") = py::none())
        .def("release", &Frame::release, "Gives it back now. May be called twice.")
        .def("__repr__", text_of)
        .def("__enter__", [](const py::object& self) { return self; })
        .def("__exit__", [](Frame& frame, const py::args&) { frame.release(); });
}

py::object reconstructed_frame(std::shared_ptr<Reconstruction> reconstruction) {
    return py::cast(std::make_unique<ReconstructedFrame>(std::move(reconstruction)));
}

}  // namespace pdum::nvenc
