"""Judging: what a file's bytes are, by decoding them."""

import dataclasses
import hashlib

from v2t_lib.clips.decode import Original, decode_clip, read_clip
from v2t_lib.errors import ClipError
from v2t_lib.shards.format import PackedClip
from v2t_lib.shards.pack import packed
from v2t_lib.specs import ClipSpec


@dataclasses.dataclass(frozen=True)
class Judged:
    """What a clip's bytes turned out to be; `original` and `packed` where they are a clip."""

    verdict: str
    why: str = ""
    bytes: int = 0
    sha256: str = ""
    original: Original | None = None
    packed: PackedClip | None = None


def judge(path: str, spec: ClipSpec, packs: bool) -> Judged:
    """Decodes a clip and says what it is; runs in a worker.

    Args:
        path: The clip's file.
        spec: The size to decode to.
        packs: Whether to make what goes into a shard.
    """
    data = b""
    try:
        data = read_clip(path)
        clip = decode_clip(data, spec)
        content = packed(clip, spec, path) if packs else None
        digest = hashlib.sha256(data).hexdigest()
        return Judged("ok", "", len(data), digest, clip.original, content)
    except ClipError as error:
        digest = hashlib.sha256(data).hexdigest() if data else ""
        return Judged(error.kind, error.message, len(data), digest)
