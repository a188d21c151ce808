#include "python/context_binding.hpp"

#include <memory>

#include "cuda/cuda.hpp"
#include "python/python_objects.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

constexpr const char* doc =
    "The context in which encoders work on that GPU, kept alive as long as this. In a ``with`` it is current in the\n"
    "calling thread; any number of threads may use it so at once, and one of them more than once.";

// CUDA itself remembers the current context of each thread, so this class does not.
class PrimaryContext {
   public:
    explicit PrimaryContext(int gpu) {
        const WithoutGil unlocked;
        context_ = Context::primary(gpu);
    }

    void enter() const {
        const WithoutGil unlocked;
        check_cuda(context_->functions().cuCtxPushCurrent(context_->handle()), "cuCtxPushCurrent");
    }

    void leave(const py::args& /*what_was_raised*/) const {
        const WithoutGil unlocked;
        CUcontext popped = nullptr;
        check_cuda(context_->functions().cuCtxPopCurrent(&popped), "cuCtxPopCurrent");
    }

   private:
    std::shared_ptr<const Context> context_;
};

}  // namespace

void add_primary_context(py::module_& module) {
    py::class_<PrimaryContext>(module, "PrimaryContext", doc)
        .def(py::init<int>(), py::arg("gpu_id"))
        .def("__enter__",
             [](py::object self) {
                 self.cast<const PrimaryContext&>().enter();
                 return self;
             })
        .def("__exit__", &PrimaryContext::leave);
}

}  // namespace pdum::nvenc
