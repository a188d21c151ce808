// Film grain in the form in which libaom takes it: a file with a table.
#pragma once

#include "encode/coder.hpp"

namespace nvsim {

// A file in memory, which is there as long as this object.
class GrainTable {
   public:
    GrainTable() = default;
    ~GrainTable();
    GrainTable(const GrainTable&) = delete;
    GrainTable& operator=(const GrainTable&) = delete;

    void write(const FilmGrain& grain);
    const char* path() const { return path_.c_str(); }

   private:
    int file_ = -1;
    std::string path_;
};

}  // namespace nvsim
