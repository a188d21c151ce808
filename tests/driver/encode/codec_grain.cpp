#include "encode/codec_grain.hpp"

#include <linux/memfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sstream>
#include <stdexcept>

namespace nvsim {
namespace {

constexpr const char* kForever = "9223372036854775807";
constexpr int kSeed = 7391;  // of the first picture; libaom goes on from it

// glibc has a function for this from 2.27 on, and wheels are tried with an older one.
int file_in_memory(const char* name) { return static_cast<int>(syscall(SYS_memfd_create, name, MFD_CLOEXEC)); }

// libaom's own format, version 1.
std::string table_of(const FilmGrain& grain) {
    std::ostringstream out;
    out << "filmgrn1\nE 0 " << kForever << ' ' << grain.apply << ' ' << kSeed << " 1\n\tp " << grain.lag << ' '
        << grain.coefficient_shift << ' ' << grain.pattern_shift << ' ' << grain.scaling_shift << ' '
        << grain.chroma_from_luma << ' ' << grain.overlap;
    for (const auto& mix : grain.mixes)
        for (const int number : mix) out << ' ' << number;
    constexpr const char* planes[] = {"Y", "Cb", "Cr"};
    for (size_t plane = 0; plane < 3; ++plane) {
        out << "\n\ts" << planes[plane] << ' ' << grain.points[plane].size();
        for (const FilmGrain::Point& point : grain.points[plane]) out << ' ' << point.value << ' ' << point.scaling;
    }
    for (size_t plane = 0; plane < 3; ++plane) {
        out << "\n\tc" << planes[plane];
        for (const int coefficient : grain.coefficients[plane]) out << ' ' << coefficient;
    }
    out << '\n';
    return out.str();
}

}  // namespace

GrainTable::~GrainTable() {
    if (file_ >= 0) close(file_);
}

void GrainTable::write(const FilmGrain& grain) {
    if (file_ < 0) file_ = file_in_memory("film grain");
    const std::string table = table_of(grain);
    const bool written = file_ >= 0 && ftruncate(file_, 0) == 0 &&
                         pwrite(file_, table.data(), table.size(), 0) == static_cast<ssize_t>(table.size());
    if (!written) throw std::runtime_error("no file in memory for a table of film grain");
    path_ = "/proc/self/fd/" + std::to_string(file_);
}

}  // namespace nvsim
