// A file of JSON lines to which several libraries and processes append, each line with one write.
#pragma once

#include <mutex>
#include <string>

namespace nvsim {

class LineFile {
   public:
    // An empty path closes the file. Throws std::runtime_error that begins with `what` if it cannot be opened.
    void open(const std::string& path, const char* what);
    // Adds the closing brace. A file that cannot be written (disk full) must not change what the client sees.
    void append(std::string line);

    bool is_open();

   private:
    std::mutex mutex_;
    int descriptor_ = -1;
};

// The opening brace and what every line has: time, process, thread and library.
std::string line_start(const char* library);
void add_member(std::string& line, const char* key, const std::string& text);

}  // namespace nvsim
