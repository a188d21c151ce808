// Lets a test play a video and look at its pictures.
(() => {
  const until = (target, name, failing = "error") => new Promise((done, fail) => {
    target.addEventListener(name, done, { once: true });
    target.addEventListener(failing, () => fail(new Error(`${name}: ${target.error?.message ?? failing}`)), { once: true });
  });
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
  document.body.append(video);

  /** The next picture that is shown. A video has been sought, or has data, a moment before that. */
  const shown = () => new Promise((done) => video.requestVideoFrameCallback((_, { mediaTime }) => done(mediaTime)));

  /** Plays a file of the server. */
  window.open_file = async (url) => {
    const first = shown();
    video.src = url;
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) await until(video, "loadeddata");
    await first;
    return { duration: video.duration, size: [video.videoWidth, video.videoHeight] };
  };

  /** Plays segments by Media Source Extensions. */
  window.open_segments = async (type, segments) => {
    const first = shown();
    const source = new MediaSource();
    video.src = URL.createObjectURL(source);
    await until(source, "sourceopen", "sourceclose");
    const buffer = source.addSourceBuffer(type);
    const ranges = [];
    for (const segment of segments) {
      const added = until(buffer, "updateend");
      buffer.appendBuffer(bytes(segment));
      await added;
      ranges.push(buffer.buffered.length ? [buffer.buffered.start(0), buffer.buffered.end(0), buffer.buffered.length] : null);
    }
    source.endOfStream();
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) await until(video, "loadeddata");
    await first;
    return { ranges, duration: video.duration, size: [video.videoWidth, video.videoHeight] };
  };

  /** The picture at a time: its own time, and its pixels as RGB without alpha. */
  window.picture_at = async (time) => {
    const sought = until(video, "seeked"), next = shown();
    video.currentTime = time;
    await sought;
    const mediaTime = await next;
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    const context = canvas.getContext("2d", { alpha: false });
    context.drawImage(video, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    let text = "";
    for (let at = 0; at < data.length; at += 4) text += String.fromCharCode(data[at], data[at + 1], data[at + 2]);
    return { time: mediaTime, pixels: btoa(text) };
  };

  /** The root mean square of a file's sound. */
  window.loudness = async (url) => {
    const data = await (await fetch(url)).arrayBuffer();
    const sound = await new OfflineAudioContext(2, 48000, 48000).decodeAudioData(data);
    const samples = sound.getChannelData(0);
    return Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
  };

  /** Plays from the beginning to the end: how many pictures the decoder gave. */
  window.play_all = async () => {
    video.currentTime = 0;
    const ended = until(video, "ended");
    await video.play();
    await ended;
    return { time: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames };
  };
})()
