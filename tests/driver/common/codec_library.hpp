// A codec library opened at run time by its SONAME, so that building and loading the simulator needs none of them.
#pragma once

#include <dlfcn.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace nvsim {

// Stays open for the rest of the process: the codecs keep threads and tables that must not lose their code.
class CodecLibrary {
   public:
    explicit CodecLibrary(const std::string& soname) : handle_(dlopen(soname.c_str(), RTLD_NOW | RTLD_LOCAL)) {
        if (handle_ == nullptr) {
            const char* reason = dlerror();
            throw std::runtime_error("cannot open " + soname + ": " + (reason != nullptr ? reason : "no reason given"));
        }
    }

    template <typename Function>
    void load(Function*& function, const std::string& name) const {
        void* symbol = dlsym(handle_, name.c_str());
        if (symbol == nullptr) throw std::runtime_error("the codec library has no " + name);
        function = reinterpret_cast<Function*>(symbol);
    }

   private:
    void* handle_;
};

}  // namespace nvsim
