"""How quickly do clips become what the model sees?

Every contender decodes the same clips to 16 frames of 112 x 112 on one core. For GIFs the ratio is
to the loop that everybody writes: Pillow's ImageSequence, every frame to RGB, the sampled ones
resized; the limit is LZW decoding alone, of every frame, by Pillow's C decoder: nothing composed,
converted or resized. For videos it is to imageio's own loop, and the limit FFmpeg's bare decoding.
Real clips are taken where ../shared lies beside the checkout.
"""

import functools
import io
import multiprocessing
import statistics
import sys
import time
from pathlib import Path

import av
import imageio.v3 as imageio
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image, ImageSequence
from timing import medians

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from helpers.video_corpus import video

from v2t_lib.clips.decode import decode_clip, read_animation
from v2t_lib.datasets.shapes import draw, encode_gif
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec()
SIZE = (SPEC.width, SPEC.height)
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "clips"


def sampled(count: int) -> np.ndarray:
    return np.linspace(0, count - 1, SPEC.frames).round().astype(int)


def loop(data: bytes) -> np.ndarray:
    """What everybody writes."""
    frames = [
        frame.convert("RGB") for frame in ImageSequence.Iterator(Image.open(io.BytesIO(data)))
    ]
    return np.stack([np.asarray(frames[n].resize(SIZE)) for n in sampled(len(frames))])


def imageio_loop(data: bytes, **options) -> np.ndarray:
    """imageio's own reading of every frame."""
    frames = imageio.imread(data, index=None, **options)
    small = [Image.fromarray(frames[n]).resize(SIZE) for n in sampled(len(frames))]
    return np.stack([np.asarray(picture) for picture in small])


def tensorflow(data: bytes) -> np.ndarray:
    """TensorFlow's decoder of every frame."""
    import tensorflow as tf  # Not where the processes below would load it too.

    frames = tf.io.decode_gif(data)
    small = tf.image.resize(tf.gather(frames, sampled(len(frames))), SIZE, method="area")
    return tf.cast(small, tf.uint8).numpy()


def pyav_bare(data: bytes) -> int:
    """FFmpeg's decoder of every frame, through PyAV, nothing converted."""
    with av.open(io.BytesIO(data)) as container:
        container.streams.video[0].thread_count = 1
        return sum(1 for _ in container.decode(video=0))


def pyav_sampled(data: bytes) -> np.ndarray:
    """FFmpeg's decoder of every frame, the sampled ones converted and resized."""
    with av.open(io.BytesIO(data), format="gif") as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        count = sum(1 for packet in container.demux(stream) if packet.size)
        container.seek(0)
        wanted = set(sampled(count).tolist())
        frames = [f for n, f in enumerate(container.decode(stream)) if n in wanted]
    convert = VideoReformatter().reformat
    pictures = [Image.fromarray(convert(frame, format="rgb24").to_ndarray()) for frame in frames]
    return np.stack([np.asarray(picture.resize(SIZE)) for picture in pictures])


def lzw_alone(data: bytes) -> None:
    """Every frame's codes to indices: nothing that decodes all frames can be quicker."""
    for subframe in read_animation("gif", data).subframes:
        subframe.decode(Image.new("P", subframe.size))


def drawn(count: int = 16, times: int = 3) -> list[bytes]:
    """Drawn optimised GIFs: partial frames, unchanged pixels transparent, about 280 x 280."""
    drawings = [draw(np.random.default_rng(number)) for number in range(count)]
    return [
        encode_gif(d.pictures.repeat(times, 1).repeat(times, 2), d.palette, d.delays)
        for d in drawings
    ]


GIF_CONTENDERS = {
    "the loop": loop,
    "v2t_lib": functools.partial(decode_clip, spec=SPEC),
    "LZW alone, the limit": lzw_alone,
    "FFmpeg, bare": pyav_bare,
    "PyAV, sampled": pyav_sampled,
    "imageio": functools.partial(imageio_loop, mode="RGB"),
    "tf.io.decode_gif": tensorflow,
}
VIDEO_CONTENDERS = {
    "imageio with PyAV": functools.partial(imageio_loop, plugin="pyav", thread_count=1),
    "v2t_lib": functools.partial(decode_clip, spec=SPEC),
    "FFmpeg, bare, the limit": pyav_bare,
}


def table(name: str, clips: list[bytes], contenders: dict) -> None:
    def over_all(decode):
        return lambda: [decode(data) for data in clips]

    seconds = medians(**{name: over_all(decode) for name, decode in contenders.items()})
    print(f"{name}, {len(clips)} clips, {sum(map(len, clips)) / 2**20:.1f} MB")
    first = next(iter(contenders))
    for contender, taken in seconds.items():
        print(
            f"  {contender:24} {len(clips) / taken:7.1f} clips/s  {seconds[first] / taken:5.2f} x"
        )


def _decode_for(clips: list[bytes], seconds: float, ready, counts) -> None:
    decode_clip(clips[0], SPEC)
    ready.wait()
    end, done = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        decode_clip(clips[done % len(clips)], SPEC)
        done += 1
    counts.put(done)


def clips_per_second(clips: list[bytes], processes: int, seconds: float = 2.0) -> float:
    """What so many processes decode together."""
    context = multiprocessing.get_context("spawn")
    ready, counts = context.Barrier(processes), context.Queue()
    crew = [
        context.Process(target=_decode_for, args=(clips, seconds, ready, counts))
        for _ in range(processes)
    ]
    for worker in crew:
        worker.start()
    total = sum(counts.get() for _ in crew)
    for worker in crew:
        worker.join()
    return total / seconds


def main() -> None:
    sets = {"drawn, optimised": drawn()}
    if REAL.is_dir():
        sets["TGIF"] = [path.read_bytes() for path in sorted(REAL.glob("tgif_*.gif"))]
    for name, clips in sets.items():
        table(name, clips, GIF_CONTENDERS)
    for name, clips in sets.items():
        pairs = [[clips_per_second(clips, processes) for processes in (1, 2)] for _ in range(5)]
        times = statistics.median(two / one for one, two in pairs)
        print(f"{name}: two processes do {times:.2f} times what one does; the limit is 2")
    videos = [video("mp4-h264", frames=60, size=(320, 240))]
    table("a drawn video", videos, VIDEO_CONTENDERS)
    for path in sorted(REAL.glob("*.mp4")):
        table(path.name, [path.read_bytes()], VIDEO_CONTENDERS)


if __name__ == "__main__":
    main()
