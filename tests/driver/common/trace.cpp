#include "common/trace.hpp"

#include "common/immortal.hpp"
#include "common/line_file.hpp"

namespace nvsim::trace {
namespace {

struct Files {
    LineFile trace, report;
    const char* library = "";
};

Files& files() { return immortal<Files>(); }

}  // namespace

void open(const std::string& path, const std::string& report, const char* library) {
    files().library = library;
    files().trace.open(path, "trace");
    files().report.open(report, "report");
}

void call(const char* name, int status, const CallDetails& details) {
    std::string line = line_start(files().library);
    if (*details.api != '\0') add_member(line, "api", details.api);
    add_member(line, "call", name);
    if (details.session != 0) line += ",\"session\":" + std::to_string(details.session);
    line += ",\"status\":" + std::to_string(status);
    if (!details.args.empty()) line += ",\"args\":" + details.args;
    files().trace.append(std::move(line));
}

void violation(const char* call, const std::string& object, const std::string& message) {
    std::string line = line_start(files().library);
    add_member(line, "violation", message);
    add_member(line, "call", call);
    add_member(line, "object", object);
    files().trace.append(line);
    files().report.append(std::move(line));
}

bool reporting() { return files().report.is_open(); }

void loaded() { files().report.append(line_start(files().library) + ",\"loaded\":true"); }

void ended(const std::string& report) { files().report.append(line_start(files().library) + ",\"ended\":" + report); }

}  // namespace nvsim::trace
