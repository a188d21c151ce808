// Runs one of the simulator's codecs over raw pictures, for tests that judge the stream with other people's parsers.
//
//   codec_probe PICTURES STREAM key=value...
//
// PICTURES holds planar pictures, one after the other. STREAM gets the access units, STREAM.headers what headers()
// gives. Standard output: a line an access unit, "serial type qp bytes call", where call is the index of the picture
// whose encode() gave it, -1 for flush(). Exit status 2: make_codec refused, the reason on standard error.
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "encode/coder.hpp"

namespace {

using nvsim::PictureType;

class Arguments {
   public:
    Arguments(int count, char** values) {
        for (int i = 0; i < count; ++i) {
            const std::string word = values[i];
            const size_t equals = word.find('=');
            if (equals == std::string::npos) throw std::runtime_error("not key=value: " + word);
            values_[word.substr(0, equals)] = word.substr(equals + 1);
        }
    }

    std::string text(const std::string& key, const std::string& fallback) {
        used_.insert(key);
        const auto found = values_.find(key);
        return found == values_.end() ? fallback : found->second;
    }
    int number(const std::string& key, int fallback) { return std::stoi(text(key, std::to_string(fallback))); }
    uint32_t count(const std::string& key, uint32_t fallback) {
        return static_cast<uint32_t>(std::stoul(text(key, std::to_string(fallback))));
    }
    std::set<int> numbers(const std::string& key) {
        std::istringstream words(text(key, ""));
        std::set<int> numbers;
        for (std::string word; std::getline(words, word, ',');) numbers.insert(std::stoi(word));
        return numbers;
    }
    void refuse_unknown() const {
        for (const auto& entry : values_)
            if (used_.count(entry.first) == 0) throw std::runtime_error("unknown argument " + entry.first);
    }

   private:
    std::map<std::string, std::string> values_;
    std::set<std::string> used_;
};

void read_stream(Arguments& arguments, nvsim::StreamSettings& settings) {
    const std::string codec = arguments.text("codec", "h264");
    settings.codec = codec == "av1" ? nvsim::Codec::av1 : codec == "hevc" ? nvsim::Codec::hevc : nvsim::Codec::h264;
    settings.format.width = arguments.number("width", 320);
    settings.format.height = arguments.number("height", 192);
    settings.format.chroma = arguments.number("chroma", 1);
    settings.format.bit_depth = arguments.number("depth", 8);
    settings.fps_numerator = arguments.count("fps_num", 30);
    settings.fps_denominator = arguments.count("fps_den", 1);
    settings.b_frames = arguments.number("b_frames", 0);
    settings.b_reference_mode = arguments.number("b_reference", 0);
    settings.profile = arguments.text("profile", "auto");
    settings.level = arguments.number("level", 0);
    settings.tier = arguments.number("tier", 0);
    settings.slices = arguments.number("slices", 1);
    settings.repeat_headers = arguments.number("repeat_headers", 1) != 0;
    settings.omit_headers = arguments.number("omit_headers", 0) != 0;
    settings.aud = arguments.number("aud", 0) != 0;
    settings.bitstream_restriction = arguments.number("restriction", 0) != 0;
    settings.timing_info = arguments.number("timing", 1) != 0;
}

void read_rates(Arguments& arguments, nvsim::StreamSettings& settings) {
    const std::string mode = arguments.text("rc", "constqp");
    settings.rate_control = mode == "cbr"   ? nvsim::RateControl::cbr
                            : mode == "vbr" ? nvsim::RateControl::vbr
                                            : nvsim::RateControl::constqp;
    settings.qp_i = arguments.number("qp_i", 24);
    settings.qp_p = arguments.number("qp_p", 26);
    settings.qp_b = arguments.number("qp_b", 28);
    settings.average_bitrate = arguments.count("bitrate", 0);
    settings.max_bitrate = arguments.count("max_bitrate", 0);
    settings.vbv_size = arguments.count("vbv", 0);
    settings.constant_quality = std::stof(arguments.text("quality", "0"));
    settings.lossless = arguments.number("lossless", 0) != 0;
}

void read_colour(Arguments& arguments, nvsim::StreamSettings& settings) {
    settings.colour.signal_type_present = arguments.number("signal", 0) != 0;
    settings.colour.full_range = arguments.number("full_range", 0) != 0;
    settings.colour.description_present = arguments.number("description", 0) != 0;
    settings.colour.primaries = arguments.number("primaries", 2);
    settings.colour.transfer = arguments.number("transfer", 2);
    settings.colour.matrix = arguments.number("matrix", 2);
}

PictureType type_of(char letter) {
    switch (letter) {
        case 'K': return PictureType::idr;
        case 'I': return PictureType::i;
        case 'B': return PictureType::b;
        case 'P': return PictureType::p;
        default: throw std::runtime_error(std::string("no such picture type: ") + letter);
    }
}

size_t picture_size(const nvsim::PictureFormat& format) {
    const int columns = format.chroma == 3 ? format.width : (format.width + 1) / 2;
    const int rows = format.chroma == 1 ? (format.height + 1) / 2 : format.height;
    const int samples = format.width * format.height + 2 * columns * rows;
    return static_cast<size_t>(samples) * (format.bit_depth > 8 ? 2 : 1);
}

class Run {
   public:
    Run(nvsim::PictureCoder& coder, const std::string& stream) : coder_(coder), stream_(stream, std::ios::binary) {
        const std::vector<uint8_t> headers = coder_.headers();
        std::ofstream(stream + ".headers", std::ios::binary)
            .write(reinterpret_cast<const char*>(headers.data()), static_cast<std::streamsize>(headers.size()));
    }

    void encode(nvsim::Picture picture, int call) {
        coder_.encode(std::move(picture), units_);
        write(call);
    }

    void flush() {
        coder_.flush(units_);
        write(-1);
    }

   private:
    void write(int call) {
        for (const nvsim::AccessUnit& unit : units_) {
            stream_.write(reinterpret_cast<const char*>(unit.data.data()),
                          static_cast<std::streamsize>(unit.data.size()));
            std::cout << unit.serial << ' ' << "PBIK"[static_cast<int>(unit.type)] << ' ' << unit.average_qp << ' '
                      << unit.data.size() << ' ' << call << '\n';
        }
        units_.clear();
    }

    nvsim::PictureCoder& coder_;
    std::ofstream stream_;
    std::vector<nvsim::AccessUnit> units_;
};

int probe(const std::string& pictures, const std::string& stream, Arguments& arguments) {
    nvsim::StreamSettings settings;
    read_stream(arguments, settings);
    read_rates(arguments, settings);
    read_colour(arguments, settings);
    const std::string types = arguments.text("types", "");
    const std::set<int> headers_at = arguments.numbers("headers_at");
    const int first_serial = arguments.number("first_serial", 0);
    const int reconfigure_at = arguments.number("reconfigure_at", -1);
    const uint32_t new_bitrate = arguments.count("new_bitrate", 0);
    const auto sei_type = static_cast<uint32_t>(arguments.number("sei_type", 5));
    const std::string sei = arguments.text("sei", "");
    arguments.refuse_unknown();

    std::string error;
    const auto coder = nvsim::make_codec(settings, error);
    if (coder == nullptr) {
        std::cerr << error << '\n';
        return 2;
    }
    Run run(*coder, stream);
    std::ifstream source(pictures, std::ios::binary);
    for (int index = 0; index < static_cast<int>(types.size()); ++index) {
        nvsim::Picture picture;
        picture.pixels.resize(picture_size(settings.format));
        if (!source.read(reinterpret_cast<char*>(picture.pixels.data()),
                         static_cast<std::streamsize>(picture.pixels.size())))
            throw std::runtime_error("not as many pictures as types");
        picture.serial = static_cast<uint64_t>(first_serial + index);
        picture.type = type_of(types[static_cast<size_t>(index)]);
        picture.output_headers = headers_at.count(index) != 0;
        if (!sei.empty()) picture.sei.push_back({sei_type, {sei.begin(), sei.end()}});
        if (index == reconfigure_at) {
            settings.average_bitrate = settings.max_bitrate = new_bitrate;
            if (!coder->reconfigure(settings)) throw std::runtime_error("the coder cannot reconfigure");
        }
        run.encode(std::move(picture), index);
    }
    run.flush();
    return 0;
}

}  // namespace

int main(int count, char** values) {
    try {
        if (count < 3) throw std::runtime_error("codec_probe PICTURES STREAM key=value...");
        Arguments arguments(count - 3, values + 3);
        return probe(values[1], values[2], arguments);
    } catch (const std::exception& failure) {
        std::cerr << "codec_probe: " << failure.what() << '\n';
        return 1;
    }
}
