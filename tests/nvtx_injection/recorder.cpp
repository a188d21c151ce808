// An injection library for NVTX, as profilers have one: NVTX's headers load the library that NVTX_INJECTION64_PATH
// names and let it replace their functions. This one appends a line for each range pushed or popped to the file that
// NVTX_LOG names: the thread, "+" or "-", how many ranges the thread is in afterwards, and the name. What it knows of
// NVTX's interface is declared here, so that it builds without the headers.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using AnyFunction = void (*)();

constexpr uint32_t table_of_callbacks = 1;
constexpr int core_module = 1;
constexpr unsigned push_slot = 9;
constexpr unsigned pop_slot = 11;

struct Callbacks {
    size_t size;
    // The functions of a module, as an array of places that hold one each.
    int (*functions_of)(int module, AnyFunction*** places, unsigned* count);
};

thread_local int depth = 0;

void write_line(char sign, const std::string& name) {
    static const int file = open(std::getenv("NVTX_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    const std::string line = std::to_string(syscall(SYS_gettid)) + " " + sign + " " + std::to_string(depth) +
                             (name.empty() ? "" : " " + name) + "\n";
    if (write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::perror("NVTX_LOG");
}

int push(const char* name) {
    ++depth;
    write_line('+', name);
    return depth - 1;
}

int pop() {
    --depth;
    write_line('-', "");
    return depth;
}

}  // namespace

// Answers 1 where the functions have been taken over.
extern "C" __attribute__((visibility("default"))) int InitializeInjectionNvtx2(const void* (*table)(uint32_t id)) {
    const auto* callbacks = static_cast<const Callbacks*>(table(table_of_callbacks));
    if (callbacks == nullptr || callbacks->size < sizeof(Callbacks)) return 0;
    AnyFunction** places = nullptr;
    unsigned count = 0;
    if (callbacks->functions_of(core_module, &places, &count) == 0 || count <= pop_slot) return 0;
    *places[push_slot] = reinterpret_cast<AnyFunction>(&push);
    *places[pop_slot] = reinterpret_cast<AnyFunction>(&pop);
    return 1;
}
