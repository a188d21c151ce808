#include "python/motion_binding.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "python/borrowed_frame.hpp"
#include "python/held_stream.hpp"
#include "python/python_objects.hpp"
#include "session/motion_search.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

// Made at first use: importing the module must not import NumPy.
py::dtype block_type() {
    py::list names;
    py::list formats;
    py::list offsets;
    const auto add = [&](const char* name, const py::object& format, size_t offset) {
        names.append(name);
        formats.append(format);
        offsets.append(offset);
    };
    add("x", py::str("u2"), offsetof(MotionBlock, x));
    add("y", py::str("u2"), offsetof(MotionBlock, y));
    add("size", py::str("u1"), offsetof(MotionBlock, size));
    add("intra", py::str("?"), offsetof(MotionBlock, is_intra));
    add("partition", py::str("u1"), offsetof(MotionBlock, partition));
    add("cost", py::str("u4"), offsetof(MotionBlock, cost));
    add("vectors", py::make_tuple("i2", py::make_tuple(4, 2)), offsetof(MotionBlock, vectors));
    return {names, formats, offsets, static_cast<py::ssize_t>(sizeof(MotionBlock))};
}

class Motion {
   public:
    explicit Motion(const MotionOptions& options)
        : spec_{&traits_of(options.settings.format), options.settings.width, options.settings.height, false} {
        const WithoutGil unlocked;
        search_ = std::make_shared<MotionSearch>(options);
    }

    ~Motion() {
        const WithoutGil unlocked;
        search_.reset();
    }

    Motion(const Motion&) = delete;
    Motion& operator=(const Motion&) = delete;

    // Python can call a method of an object whose __init__ has not run: zeroed memory reads as one without a session.
    static void* operator new(size_t size) {
        void* memory = std::calloc(1, size);
        if (memory == nullptr) throw std::bad_alloc();
        return memory;
    }
    static void operator delete(void* memory) { std::free(memory); }

    py::array estimate(const py::object& frame, const py::object& reference, const py::object& stream) {
        const std::shared_ptr<MotionSearch> running = search();
        HeldStream input(running->input_stream());
        const BorrowedFrame current(frame.ptr(), stream.ptr(), spec_, input.handle());
        const BorrowedFrame earlier(reference.ptr(), stream.ptr(), spec_, input.handle());
        std::vector<MotionBlock> found;
        {
            const WithoutGil unlocked;
            input.release();
            found = running->search(current.view(), earlier.view());
        }
        return {block_type(), std::vector<size_t>{found.size()}, found.data()};
    }

    void close() {
        if (search_ == nullptr) return;
        const WithoutGil unlocked;
        search_->close();
    }

    const char* abi() const { return search()->abi(); }
    int gpu_id() const { return search()->gpu(); }

   private:
    const std::shared_ptr<MotionSearch>& search() const {
        if (search_ == nullptr) {
            fail(ErrorKind::encoder_closed, "This motion estimator was never made.", "Call super().__init__() first.");
        }
        return search_;
    }

    const FrameSpec spec_;
    std::shared_ptr<MotionSearch> search_;
};

std::unique_ptr<Motion> make_motion(const std::string& codec, int preset, const std::string& format, uint32_t width,
                                    uint32_t height, int gpu_id, uintptr_t cuda_context,
                                    const std::optional<std::string>& abi) {
    MotionOptions options;
    options.settings = {codec == "hevc" ? Codec::hevc : Codec::h264, preset, find_format(format)->format, width,
                        height};
    options.gpu = gpu_id;
    options.context = reinterpret_cast<CUcontext>(cuda_context);
    options.forced_abi = abi;
    return std::make_unique<Motion>(options);
}

constexpr const char* estimate_doc =
    "Where each block of ``frame`` lies in ``reference``, as a structured array: see MotionEstimator.";
constexpr const char* close_doc = "Gives everything back. May be called twice.";

}  // namespace

void add_motion_type(py::module_& module) {
    py::class_<Motion>(module, "Motion")
        .def(py::init(&make_motion), py::kw_only(), py::arg("codec"), py::arg("preset"), py::arg("format"),
             py::arg("width"), py::arg("height"), py::arg("gpu_id"), py::arg("cuda_context"), py::arg("abi"))
        .def("_estimate", &Motion::estimate, estimate_doc, py::arg("frame"), py::arg("reference"), py::arg("stream"))
        .def("close", &Motion::close, close_doc)
        .def_property_readonly("abi", &Motion::abi, "The version of NVIDIA's encode interface in use.")
        .def_property_readonly("gpu_id", &Motion::gpu_id, "The GPU, as CUDA counts.");
}

}  // namespace pdum::nvenc
