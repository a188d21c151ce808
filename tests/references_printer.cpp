// Prints what a decoder's bookkeeping of references says of coded pictures. Its input: records of a letter, a size in
// four bytes (the lowest first), and so many bytes. P: a packet, before it is parsed; D: the slices of a picture that
// is decoded; S: the last picture was spoilt; N: a new stream begins. For each D it prints "affected losses heals".
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "decoder/h264_references.hpp"
#include "decoder/hevc_references.hpp"

namespace {

using namespace pdum::nvenc;

struct Record {
    int letter = EOF;
    std::unique_ptr<uint8_t[]> data;  // of exactly its size, so that a sanitizer sees each byte too many that is read
    size_t size = 0;
};

Record next() {
    Record record;
    record.letter = std::getchar();
    if (record.letter == EOF) return record;
    for (int shift = 0; shift < 32; shift += 8) record.size |= static_cast<size_t>(std::getchar()) << shift;
    record.data = std::make_unique<uint8_t[]>(record.size);
    if (std::fread(record.data.get(), 1, record.size, stdin) != record.size) record.letter = EOF;
    return record;
}

void answer(StreamReferences& references, const Record& record) {
    if (record.letter == 'P') references.read_packet(record.data.get(), record.size);
    if (record.letter == 'S') references.spoil_last();
    if (record.letter == 'N') references.begin_anew();
    if (record.letter != 'D') return;
    const Outlook outlook = references.take_picture(record.data.get(), record.size);
    std::printf("%d %llu %d\n", outlook.is_affected, static_cast<unsigned long long>(outlook.losses), outlook.heals);
    std::fflush(stdout);
}

}  // namespace

int main(int count, char** arguments) {
    std::unique_ptr<StreamReferences> references = std::make_unique<HevcReferences>();
    if (count > 1 && std::strcmp(arguments[1], "h264") == 0) references = std::make_unique<H264References>();
    for (Record record = next(); record.letter != EOF; record = next()) answer(*references, record);
}
