#include "python/colour_binding.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "colour/colour.hpp"
#include "core/error.hpp"
#include "python/python_objects.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

template <typename Value, size_t count>
Value one_of(const char* what, const char* const (&names)[count], std::string_view name) {
    const auto found = std::find(std::begin(names), std::end(names), name);
    if (found == std::end(names)) {
        fail(ErrorKind::invalid_config, std::string("An unknown ") + what + ": '" + std::string(name) + "'.");
    }
    return static_cast<Value>(found - std::begin(names));
}

// In the order of the enumerations.
constexpr const char* layouts[] = {"hwc", "chw"};
constexpr const char* types[] = {"u8", "f16", "f32"};
constexpr const char* formats[] = {"nv12", "p010", "yuv444", "yuv444_10"};
constexpr const char* matrices[] = {"bt601", "bt709", "bt2020"};
constexpr const char* sitings[] = {"left", "centre"};

// The converter that Python holds. It calls the driver without the GIL.
class PythonConverter {
   public:
    explicit PythonConverter(int gpu_id) {
        const WithoutGil unlocked;
        converter_ = std::make_unique<const RgbConverter>(Context::primary(gpu_id));
    }
    ~PythonConverter() {
        const WithoutGil unlocked;
        converter_.reset();
    }
    PythonConverter(const PythonConverter&) = delete;
    PythonConverter& operator=(const PythonConverter&) = delete;

    void convert(const RgbImage& image, const YuvPlanes& planes, const ColourSpace& space, CUstream stream) const {
        const WithoutGil unlocked;
        converter_->convert(image, planes, space, stream);
    }

   private:
    std::unique_ptr<const RgbConverter> converter_;
};

void convert(const PythonConverter& converter, CUdeviceptr source, const std::array<int64_t, 3>& shape,
             const std::optional<std::array<int64_t, 3>>& strides, const std::string& layout, const std::string& type,
             CUdeviceptr destination, size_t pitch, const std::string& format, const std::string& matrix,
             bool full_range, const std::string& siting, uintptr_t stream) {
    const RgbImage image = rgb_image(source, one_of<RgbLayout>("layout", layouts, layout),
                                     one_of<RgbType>("type", types, type), shape, strides ? strides->data() : nullptr);
    const YuvPlanes planes = yuv_planes(one_of<YuvFormat>("format", formats, format), destination, pitch, image.height);
    const ColourSpace space{one_of<ColourMatrix>("matrix", matrices, matrix), full_range,
                            one_of<ChromaSiting>("siting", sitings, siting)};
    converter.convert(image, planes, space, reinterpret_cast<CUstream>(stream));
}

}  // namespace

void add_colour_conversion(py::module_& module) {
    py::class_<PythonConverter>(module, "_RgbConverter")
        .def(py::init<int>(), py::arg("gpu_id") = 0)
        .def("convert", &convert, py::kw_only(), py::arg("source"), py::arg("shape"), py::arg("strides") = py::none(),
             py::arg("layout"), py::arg("type"), py::arg("destination"), py::arg("pitch"), py::arg("format"),
             py::arg("matrix"), py::arg("full_range"), py::arg("siting"), py::arg("stream"));
}

}  // namespace pdum::nvenc
