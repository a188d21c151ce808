// One hardware session, once for every version of the interface. Included inside its namespace.

class Session final : public EncodeApi {
   public:
    explicit Session(void* handle) : f_(functions()), handle_(handle), made_in_(process_generation()) {
        picture_.version = NV_ENC_PIC_PARAMS_VER;
        lock_.version = NV_ENC_LOCK_BITSTREAM_VER;
        map_.version = NV_ENC_MAP_INPUT_RESOURCE_VER;
    }

    // Ignores what the driver answers; destroy() reports it. A forked child leaves the session to its parent.
    ~Session() override {
        if (handle_ != nullptr && made_in_ == process_generation()) f_.nvEncDestroyEncoder(handle_);
    }

    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    const char* version_name() const override { return this_name; }

    std::vector<Codec> codecs() override {
        uint32_t count = 0;
        check(f_.nvEncGetEncodeGUIDCount(handle_, &count), "nvEncGetEncodeGUIDCount", "list the GPU's codecs");
        std::vector<GUID> guids(count);
        check(f_.nvEncGetEncodeGUIDs(handle_, guids.data(), count, &count), "nvEncGetEncodeGUIDs",
              "list the GPU's codecs");
        std::vector<Codec> found;
        for (const Codec codec : {Codec::h264, Codec::hevc, Codec::av1}) {
            const auto is_it = [&](const GUID& guid) { return same_guid(guid, codec_guid(codec)); };
            if (std::any_of(guids.begin(), guids.end(), is_it)) found.push_back(codec);
        }
        return found;
    }

    bool knows(Capability capability) const override {
        return static_cast<uint32_t>(capability) < NV_ENC_CAPS_EXPOSED_COUNT;
    }

    // If this version of the interface cannot ask for it, no GPU can do it here.
    int capability(Codec codec, Capability capability) override {
        if (!knows(capability)) return 0;
        NV_ENC_CAPS_PARAM parameter{};
        parameter.version = NV_ENC_CAPS_PARAM_VER;
        parameter.capsToQuery = static_cast<NV_ENC_CAPS>(capability);
        int value = 0;
        check(f_.nvEncGetEncodeCaps(handle_, codec_guid(codec), &parameter, &value), "nvEncGetEncodeCaps",
              "ask what the GPU can do");
        return value;
    }

    Settings with_presets_numbers(Settings settings) override {
        if (!settings.presets_gop && !settings.presets_b_frames && !settings.rate.presets_lookahead) return settings;
        const NV_ENC_CONFIG preset = preset_of(settings);
        if (settings.presets_gop) {
            const bool is_infinite = preset.gopLength == NVENC_INFINITE_GOPLENGTH;
            settings.gop = is_infinite ? 0 : std::max(preset.gopLength, settings.b_frames + 1);
        }
        if (settings.presets_b_frames) {
            const auto preset_b_frames = static_cast<uint32_t>(std::max(preset.frameIntervalP, 1) - 1);
            const uint32_t fitting = settings.gop == 0 ? preset_b_frames : settings.gop - 1;
            settings.b_frames = std::min(preset_b_frames, fitting);
        }
        if (settings.rate.presets_lookahead) {
            settings.rate.lookahead = preset.rcParams.enableLookahead != 0 ? preset.rcParams.lookaheadDepth : 0;
        }
        settings.presets_gop = settings.presets_b_frames = settings.rate.presets_lookahead = false;
        return settings;
    }

    void initialize(const Settings& settings) override {
        configure(settings);
        check(f_.nvEncInitializeEncoder(handle_, &parameters_), "nvEncInitializeEncoder", "set up the encoder");
    }

    void reconfigure(const Settings& settings, bool from_scratch) override {
        const NV_ENC_CONFIG old_config = config_;
        const NV_ENC_INITIALIZE_PARAMS old_parameters = parameters_;
        config_ = preset_;  // fields that the settings no longer name are as in the preset
        apply_settings(config_, settings);
        put_film_grain(settings);
        apply_settings(parameters_, settings);
        auto request = std::make_unique<NV_ENC_RECONFIGURE_PARAMS>();
        std::memset(request.get(), 0, sizeof *request);
        request->version = NV_ENC_RECONFIGURE_PARAMS_VER;
        request->reInitEncodeParams = parameters_;
        request->resetEncoder = from_scratch;
        request->forceIDR = from_scratch;
        const NVENCSTATUS status = f_.nvEncReconfigureEncoder(handle_, request.get());
        if (status == NV_ENC_SUCCESS) {
            statistics_.set(settings);
            return report_slices(settings);
        }
        config_ = old_config;
        parameters_ = old_parameters;
        check(status, "nvEncReconfigureEncoder", "change the running encoder's settings");
    }

    std::vector<uint8_t> sequence_header() override {
        std::vector<uint8_t> header(NV_MAX_SEQ_HDR_LEN);
        uint32_t size = 0;
        NV_ENC_SEQUENCE_PARAM_PAYLOAD request{};
        request.version = NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER;
        request.inBufferSize = static_cast<uint32_t>(header.size());
        request.spsppsBuffer = header.data();
        request.outSPSPPSPayloadSize = &size;
        check(f_.nvEncGetSequenceParams(handle_, &request), "nvEncGetSequenceParams", "read the parameter sets");
        header.resize(size);
        return header;
    }

    void order_by_streams(const CUstream* input, const CUstream* output) override {
        check(f_.nvEncSetIOCudaStreams(handle_, const_cast<CUstream*>(input), const_cast<CUstream*>(output)),
              "nvEncSetIOCudaStreams", "order the encoder by CUDA streams");
    }

    OutputHandle create_output() override {
        NV_ENC_CREATE_BITSTREAM_BUFFER request{};
        request.version = NV_ENC_CREATE_BITSTREAM_BUFFER_VER;
        check(f_.nvEncCreateBitstreamBuffer(handle_, &request), "nvEncCreateBitstreamBuffer", "make an output buffer");
        return request.bitstreamBuffer;
    }

    void destroy_output(OutputHandle output) override {
        check(f_.nvEncDestroyBitstreamBuffer(handle_, output), "nvEncDestroyBitstreamBuffer", "free an output buffer");
    }

    RegisteredHandle register_surface(CUdeviceptr pointer, uint32_t width, uint32_t height, uint32_t pitch) override {
        return register_memory({pointer, width, height, pitch}, picture_.bufferFmt, NV_ENC_INPUT_IMAGE);
    }

    RegisteredHandle register_reconstruction(CUdeviceptr pointer, PixelFormat format, uint32_t width, uint32_t height,
                                             uint32_t pitch) override {
        return register_memory({pointer, width, height, pitch}, buffer_format(format), NV_ENC_OUTPUT_RECON);
    }

    void unregister_surface(RegisteredHandle surface) override {
        check(f_.nvEncUnregisterResource(handle_, surface), "nvEncUnregisterResource", "unregister an input surface");
    }

    MappedHandle map(RegisteredHandle surface) override {
        map_.registeredResource = surface;
        check(f_.nvEncMapInputResource(handle_, &map_), "nvEncMapInputResource", "map an input surface");
        return map_.mappedResource;
    }

    void unmap(MappedHandle surface) override {
        check(f_.nvEncUnmapInputResource(handle_, surface), "nvEncUnmapInputResource", "unmap an input surface");
    }

    SharedHints packed_hints(Codec codec, const HintVectors& vectors, uint32_t per_block) const override {
        return hints_of(codec, vectors, per_block);
    }

    Accepted encode(const PictureRequest& request) override {
        picture_.inputWidth = request.width;
        picture_.inputHeight = request.height;
        picture_.inputPitch = request.pitch;
        picture_.inputBuffer = request.input;
        picture_.alphaBuffer = request.alpha;
        picture_.outputBitstream = request.output;
        picture_.inputTimeStamp = request.timestamp;
        picture_.inputDuration = 1;
        picture_.frameIdx = next_frame_index_;
        picture_.encodePicFlags = request.force_idr ? NV_ENC_PIC_FLAG_FORCEIDR | NV_ENC_PIC_FLAG_OUTPUT_SPSPPS : 0u;
        if (request.force_intra) picture_.encodePicFlags |= NV_ENC_PIC_FLAG_FORCEINTRA;
        set_map(request.map);
        put_hints(picture_, codec_, request.hints, !manual_types_);
        put_structure(picture_, codec_, request.structure);
        if (manual_types_) put_type(picture_, codec_, request);
        picture_.outputReconBuffer = request.reconstruction;
        if (request.reconstruction != nullptr) picture_.encodePicFlags |= NV_ENC_PIC_FLAG_OUTPUT_RECON_FRAME;
        picture_.stateBufferIdx = request.attempt.value_or(0);
        if (request.attempt) picture_.encodePicFlags |= NV_ENC_PIC_FLAG_DISABLE_ENC_STATE_ADVANCE;
        if (two_views_) put_view(picture_.codecPicParams.hevcPicParams, request);
        const CarriedExtras carried(*this, request);
        const NVENCSTATUS status = while_busy([&] { return f_.nvEncEncodePicture(handle_, &picture_); });
        if (status != NV_ENC_ERR_NEED_MORE_INPUT) check(status, "nvEncEncodePicture", "encode a picture");
        if (!request.attempt) ++next_frame_index_;
        return status == NV_ENC_ERR_NEED_MORE_INPUT ? Accepted::needs_more_input : Accepted::ready;
    }

    void look_ahead(MappedHandle input) override;
    void keep_attempt(uint32_t state_buffer) override;

    void end_of_stream() override {
        auto end = zeroed<NV_ENC_PIC_PARAMS>();
        end.version = NV_ENC_PIC_PARAMS_VER;
        end.encodePicFlags = NV_ENC_PIC_FLAG_EOS;
        check(while_busy([&] { return f_.nvEncEncodePicture(handle_, &end); }), "nvEncEncodePicture", "end the stream");
    }

    void invalidate(uint64_t timestamp) override {
        check(f_.nvEncInvalidateRefFrames(handle_, timestamp), "nvEncInvalidateRefFrames", "invalidate a reference");
    }

    LockedAccessUnit lock(OutputHandle output) override {
        lock_.outputBitstream = output;
        statistics_.ask(lock_);
        check(while_busy([&] { return f_.nvEncLockBitstream(handle_, &lock_); }), "nvEncLockBitstream",
              "get an access unit");
        return {lock_.bitstreamBufferPtr,        lock_.bitstreamSizeInBytes, lock_.outputTimeStamp,
                picture_type(lock_.pictureType), lock_.frameAvgQP,           lock_.temporalId,
                statistics_.read(lock_)};
    }

    LockedPart lock_part(OutputHandle output) override {
        constexpr uint32_t done = 2;
        lock_.outputBitstream = output;
        lock_.doNotWait = 1;
        const NVENCSTATUS status = f_.nvEncLockBitstream(handle_, &lock_);
        lock_.doNotWait = 0;
        if (status == NV_ENC_ERR_LOCK_BUSY || status == NV_ENC_ERR_ENCODER_BUSY) return {};
        check(status, "nvEncLockBitstream", "get slices");
        return {true,
                lock_.hwEncodeStatus == done,
                {lock_.bitstreamBufferPtr, lock_.bitstreamSizeInBytes, lock_.outputTimeStamp,
                 picture_type(lock_.pictureType), lock_.frameAvgQP, lock_.temporalId, nullptr}};
    }

    void unlock(OutputHandle output) override {
        check(f_.nvEncUnlockBitstream(handle_, output), "nvEncUnlockBitstream", "give an output buffer back");
    }

    void initialize_motion(const MotionSettings& settings) override;
    OutputHandle create_motion_output() override;
    void destroy_motion_output(OutputHandle output) override;
    void estimate_motion(MappedHandle input, MappedHandle reference, OutputHandle output) override;
    std::vector<MotionBlock> lock_motion(OutputHandle output) override;

    void destroy() override {
        void* handle = handle_;
        handle_ = nullptr;
        if (handle == nullptr) return;
        const NVENCSTATUS status = f_.nvEncDestroyEncoder(handle);
        if (status != NV_ENC_SUCCESS) throw encode_error(status, "nvEncDestroyEncoder", "close the encode session", {});
    }

   private:
    struct Memory {
        CUdeviceptr pointer;
        uint32_t width;
        uint32_t height;
        uint32_t pitch;
    };

    RegisteredHandle register_memory(const Memory& memory, NV_ENC_BUFFER_FORMAT format, NV_ENC_BUFFER_USAGE usage) {
        NV_ENC_REGISTER_RESOURCE request{};
        request.version = NV_ENC_REGISTER_RESOURCE_VER;
        request.resourceType = NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR;
        request.resourceToRegister = reinterpret_cast<void*>(memory.pointer);
        request.width = memory.width;
        request.height = memory.height;
        request.pitch = memory.pitch;
        request.bufferFormat = format;
        request.bufferUsage = usage;
        check(f_.nvEncRegisterResource(handle_, &request), "nvEncRegisterResource",
              usage == NV_ENC_INPUT_IMAGE ? "register an input surface" : "register memory for a reconstruction");
        return request.registeredResource;
    }

    // Puts a picture's extras into the driver's struct for the time of one call, and takes them out again.
    class CarriedExtras {
       public:
        CarriedExtras(Session& session, const PictureRequest& request)
            : session_(session), has_any_(request.extras != nullptr || (request.is_idr && session.has_hdr_)) {
            if (!has_any_) return;
            if (request.is_idr) {
                add(session_.hdr_messages_);
                session_.hdr_fields_.point_from(session_.picture_.codecPicParams, session_.codec_);
            }
            if (request.extras != nullptr) add(request.extras->messages);
            NV_ENC_CODEC_PIC_PARAMS& picture = session_.picture_.codecPicParams;
            put_messages(picture, session_.codec_, payloads_);
            if (request.extras == nullptr) return;
            put_long_term(picture, session_.codec_, *request.extras, request.is_idr);
            if (request.extras->film_grain)
                session_.film_grain_fields_.update(*request.extras->film_grain, picture.av1PicParams);
            if (request.extras->time_code) put_time_code(picture.h264PicParams.timeCode, *request.extras->time_code);
        }

        ~CarriedExtras() {
            if (has_any_) session_.picture_.codecPicParams = session_.without_extras_;
        }

        CarriedExtras(const CarriedExtras&) = delete;
        CarriedExtras& operator=(const CarriedExtras&) = delete;

       private:
        void add(const std::vector<Message>& messages) {
            for (const Message& message : messages) {
                payloads_.push_back({static_cast<uint32_t>(message.payload.size()), message.type,
                                     const_cast<uint8_t*>(message.payload.data())});
            }
        }

        Session& session_;
        const bool has_any_;
        std::vector<NV_ENC_SEI_PAYLOAD> payloads_;
    };

    // The driver only reads it.
    void set_map(const BlockValues* map) {
        picture_.qpDeltaMap = map != nullptr ? const_cast<int8_t*>(map->data()) : nullptr;
        picture_.qpDeltaMapSize = map != nullptr ? static_cast<uint32_t>(map->size()) : 0;
    }

    void check(NVENCSTATUS status, const char* call, const char* doing) const {
        if (status != NV_ENC_SUCCESS) throw encode_error(status, call, doing, last_error());
    }

    std::string last_error() const {
        const char* text = f_.nvEncGetLastErrorString(handle_);
        return text != nullptr ? text : "";
    }

    // A busy driver is asked again: giving up at once would lose the frame. A quarter of a second is far longer than
    // any picture takes.
    template <typename Call>
    static NVENCSTATUS while_busy(Call call) {
        constexpr int attempts = 250;
        NVENCSTATUS status = call();
        for (int i = 1; i < attempts && (status == NV_ENC_ERR_LOCK_BUSY || status == NV_ENC_ERR_ENCODER_BUSY); ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            status = call();
        }
        return status;
    }

    NV_ENC_CONFIG preset_of(const Settings& settings) const {
        auto preset = std::make_unique<NV_ENC_PRESET_CONFIG>();
        std::memset(preset.get(), 0, sizeof *preset);
        preset->version = NV_ENC_PRESET_CONFIG_VER;
        preset->presetCfg.version = NV_ENC_CONFIG_VER;
        check(f_.nvEncGetEncodePresetConfigEx(handle_, codec_guid(settings.codec), preset_guid(settings.preset),
                                              tuning_info(settings.tuning), preset.get()),
              "nvEncGetEncodePresetConfigEx", "read the preset's configuration");
        return preset->presetCfg;
    }

    void configure(const Settings& settings) {
        std::memset(&parameters_, 0, sizeof parameters_);
        apply_settings(parameters_, settings);
        config_ = preset_ = preset_of(settings);
        apply_settings(config_, settings);
        put_film_grain(settings);
        parameters_.encodeConfig = &config_;
        codec_ = settings.codec;
        manual_types_ = settings.manual_types;
        two_views_ = settings.two_views;
        has_hdr_ = settings.mastering_display || settings.content_light;
        hdr_messages_ = HdrFields::has(codec_) ? std::vector<Message>() : hdr_messages(settings);
        hdr_fields_.set(settings);
        picture_.bufferFmt = buffer_format(settings.format);
        statistics_.set(settings);
        report_slices(settings);
        if (settings.time_code && codec_ == Codec::h264) leave_out(without_extras_.h264PicParams.timeCode);
        picture_.codecPicParams = without_extras_;
    }

    // The driver writes an offset for each slice, of which there are no more than macroblocks.
    void report_slices(const Settings& settings) {
        if (!settings.sub_frames) return;
        slice_offsets_.assign(block_grid(Codec::h264, settings.width, settings.height).count(), 0);
        lock_.sliceOffsets = slice_offsets_.data();
    }

    void put_film_grain(const Settings& settings) {
        if (settings.codec == Codec::av1)
            film_grain_fields_.set(settings.film_grain, config_.encodeCodecConfig.av1Config);
    }

    const NV_ENCODE_API_FUNCTION_LIST& f_;
    void* handle_;
    const uint64_t made_in_;
    Codec codec_ = Codec::h264;
    bool manual_types_ = false;
    bool two_views_ = false;
    uint32_t next_frame_index_ = 0;  // pictures that the driver has taken
    NV_ENC_CONFIG preset_ = zeroed<NV_ENC_CONFIG>();
    NV_ENC_CONFIG config_ = zeroed<NV_ENC_CONFIG>();
    NV_ENC_INITIALIZE_PARAMS parameters_{};
    // Kept from frame to frame: zeroing kilobytes would be the largest cost of a frame here.
    NV_ENC_PIC_PARAMS picture_ = zeroed<NV_ENC_PIC_PARAMS>();
    NV_ENC_CODEC_PIC_PARAMS without_extras_ = zeroed<NV_ENC_CODEC_PIC_PARAMS>();
    // HDR's static metadata, which IDRs carry: in the driver's fields, or as messages if it has none.
    bool has_hdr_ = false;
    HdrFields hdr_fields_;
    FilmGrainFields film_grain_fields_;
    std::vector<Message> hdr_messages_;
    NV_ENC_LOCK_BITSTREAM lock_{};
    StatisticsBuffer statistics_;
    std::vector<uint32_t> slice_offsets_;
    NV_ENC_MAP_INPUT_RESOURCE map_{};
    MotionSettings motion_;
};
