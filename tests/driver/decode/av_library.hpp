// libavcodec, opened at the first use, so that building and loading the simulator need none.
#pragma once

#if __has_include(<libavcodec/avcodec.h>)
#define NVSIM_WITH_LIBAVCODEC 1
extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <libavutil/mem.h>
#include <libavutil/pixdesc.h>
}

namespace nvsim::decode {

#define NVSIM_AVCODEC(use)                                                                                       \
    use(avcodec_find_decoder) use(avcodec_find_decoder_by_name) use(avcodec_alloc_context3) use(avcodec_open2)   \
        use(avcodec_free_context) use(avcodec_send_packet) use(avcodec_receive_frame) use(avcodec_flush_buffers) \
            use(avcodec_default_get_buffer2) use(av_packet_alloc) use(av_packet_free) use(av_new_packet)         \
                use(av_packet_unref)
#define NVSIM_AVUTIL(use)                                                                                   \
    use(av_frame_alloc) use(av_frame_free) use(av_frame_clone) use(av_frame_unref) use(av_pix_fmt_desc_get) \
        use(av_mallocz)

struct AvLibrary {
#define NVSIM_DECLARE(name) decltype(&::name) name = nullptr;
    NVSIM_AVCODEC(NVSIM_DECLARE)
    NVSIM_AVUTIL(NVSIM_DECLARE)
#undef NVSIM_DECLARE
};

// Null if libavcodec is not there.
const AvLibrary* av();

}  // namespace nvsim::decode
#endif
