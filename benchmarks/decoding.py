"""How quickly do GIFs become what the model sees, and in how much memory?

Every contender decodes the same clips to 16 frames of 112 x 112 on one core. The ratio is to the
loop that everybody writes: Pillow's ImageSequence, every frame to RGB, the sampled ones resized.
The limit is LZW decoding alone, of every frame, by Pillow's C decoder: nothing composed, converted
or resized. Real TGIF clips are taken where ../shared lies beside the checkout.
"""

import functools
import io
import multiprocessing
import time
from pathlib import Path

import av
import imageio.v3 as imageio
import numpy as np
import tensorflow as tf
from fuzz_clips import forget_peak, peak_megabytes
from PIL import Image, ImageSequence
from timing import medians

from v2t_lib.animations import read_animation
from v2t_lib.clips import decode_clip
from v2t_lib.shapes import draw, encode_gif
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec()
SIZE = (SPEC.width, SPEC.height)
TGIF = Path(__file__).resolve().parents[2] / "shared" / "data" / "clips"


def sampled(count: int) -> np.ndarray:
    return np.linspace(0, count - 1, SPEC.frames).round().astype(int)


def loop(data: bytes) -> np.ndarray:
    """What everybody writes."""
    frames = [
        frame.convert("RGB") for frame in ImageSequence.Iterator(Image.open(io.BytesIO(data)))
    ]
    return np.stack([np.asarray(frames[n].resize(SIZE)) for n in sampled(len(frames))])


def imageio_loop(data: bytes) -> np.ndarray:
    """imageio's own reading of every frame, by Pillow."""
    frames = imageio.imread(data, index=None, mode="RGB")
    small = [Image.fromarray(frames[n]).resize(SIZE) for n in sampled(len(frames))]
    return np.stack([np.asarray(picture) for picture in small])


def tensorflow(data: bytes) -> np.ndarray:
    """TensorFlow's decoder of every frame."""
    frames = tf.io.decode_gif(data)
    small = tf.image.resize(tf.gather(frames, sampled(len(frames))), SIZE, method="area")
    return tf.cast(small, tf.uint8).numpy()


def pyav_bare(data: bytes) -> int:
    """FFmpeg's decoder of every frame, through PyAV, nothing converted."""
    with av.open(io.BytesIO(data), format="gif") as container:
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
    pictures = [Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in frames]
    return np.stack([np.asarray(picture.resize(SIZE)) for picture in pictures])


def lzw_alone(data: bytes) -> None:
    """Every frame's codes to indices: nothing that decodes all frames can be quicker."""
    for part in read_animation("gif", data).parts:
        part.decode(Image.new("P", part.size))


def drawn(count: int = 16, times: int = 3) -> list[bytes]:
    """Drawn optimised GIFs: partial frames, unchanged pixels transparent, about 280 x 280."""
    drawings = [draw(np.random.default_rng(number)) for number in range(count)]
    return [
        encode_gif(d.pictures.repeat(times, 1).repeat(times, 2), d.palette, d.delays)
        for d in drawings
    ]


def table(name: str, clips: list[bytes]) -> None:
    def over_all(decode):
        return lambda: [decode(data) for data in clips]

    contenders = {
        "the loop": loop,
        "v2t_lib": functools.partial(decode_clip, spec=SPEC),
        "LZW alone, the limit": lzw_alone,
        "FFmpeg, bare": pyav_bare,
        "PyAV, sampled": pyav_sampled,
        "imageio": imageio_loop,
        "tf.io.decode_gif": tensorflow,
    }
    seconds = medians(**{name: over_all(decode) for name, decode in contenders.items()})
    print(f"{name}, {len(clips)} clips, {sum(map(len, clips)) / 2**20:.1f} MB")
    for contender, taken in seconds.items():
        ratio = seconds["the loop"] / taken
        print(f"  {contender:22} {len(clips) / taken:7.1f} clips/s  {ratio:.2f} x the loop")


def _decode_for(clips: list[bytes], seconds: float, ready, counts) -> None:
    decode_clip(clips[0], SPEC)
    ready.wait()
    end, done = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        decode_clip(clips[done % len(clips)], SPEC)
        done += 1
    counts.put(done)


def clips_per_second(clips: list[bytes], processes: int, seconds: float = 4.0) -> float:
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


def long_gif(frames: int = 1000, width: int = 500, height: int = 400) -> bytes:
    """A GIF of full frames, noise that moves."""
    noise = np.random.default_rng(0).integers(0, 16, (height // 4, width // 4), np.uint8)
    noise = noise.repeat(4, 0).repeat(4, 1)
    pictures = [Image.fromarray(np.roll(noise, 4 * number, 1)) for number in range(frames)]
    for picture in pictures:
        picture.putpalette(bytes(range(48)))
    file = io.BytesIO()
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], optimize=False)
    return file.getvalue()


def _measure_memory(data: bytes, answers) -> None:
    decode_clip(data, ClipSpec(1))  # What is loaded once is no part of it.
    before = peak_after_forgetting()
    start = time.perf_counter()
    decode_clip(data, SPEC)
    answers.put((peak_megabytes() - before, time.perf_counter() - start))


def peak_after_forgetting() -> int:
    forget_peak()
    return peak_megabytes()


def memory() -> None:
    data = long_gif()
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    worker = context.Process(target=_measure_memory, args=(data, answers))
    worker.start()
    (more, seconds), limit = answers.get(), (SPEC.frames + 3) * 500 * 400 * 3 / 2**20
    worker.join()
    print(
        f"1,000 frames of 500 x 400, {len(data) / 2**20:.1f} MB: {more} MB more than the file "
        f"takes, in {seconds:.2f} s; the limit, T + 3 source frames, is {limit:.1f} MB"
    )


def main() -> None:
    sets = {"drawn, optimised": drawn()}
    if TGIF.is_dir():
        sets["TGIF"] = [path.read_bytes() for path in sorted(TGIF.glob("tgif_*.gif"))]
    for name, clips in sets.items():
        table(name, clips)
    for name, clips in sets.items():
        one, two = (clips_per_second(clips, processes) for processes in (1, 2))
        print(
            f"{name}: one process {one:.0f} clips/s, two {two:.0f}, {two / one:.2f} times; limit 2"
        )
    memory()


if __name__ == "__main__":
    main()
