"""Verdicts: what a downloaded file turns out to be when it is decoded."""

import dataclasses
import hashlib

from v2t_lib.clips.decode import decode_clip
from v2t_lib.clips.files import read_clip
from v2t_lib.errors import ClipError
from v2t_lib.shards.example import PackedClip
from v2t_lib.shards.pack import packed
from v2t_lib.specs import ClipSpec


@dataclasses.dataclass(frozen=True)
class Judged:
    """What a clip's file turned out to be.

    Attributes:
        facts: The manifest's columns that follow from the bytes: `verdict`, and `bytes`, `sha256`,
            `frames`, `seconds`, `width`, `height` and `why` as far as they are known.
        kind: The file format, such as "gif"; "" unless the verdict is "ok".
        packed: What goes into a shard, if that was asked for and the verdict is "ok".
    """

    facts: dict
    kind: str = ""
    packed: PackedClip | None = None

    @property
    def ok(self) -> bool:
        return self.facts["verdict"] == "ok"


def judge(path: str, spec: ClipSpec, packs: bool) -> Judged:
    """Decodes a clip to find its verdict; runs in a worker process.

    Args:
        path: The clip's file.
        spec: The size to decode to.
        packs: Whether to make what goes into a shard.
    """
    facts = {}
    try:
        data = read_clip(path)
        facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        clip = decode_clip(data, spec)
        content = packed(clip, spec, path) if packs else None
    except ClipError as error:
        return Judged({"verdict": error.kind, "why": error.message} | facts)
    shown = clip.original
    facts |= {"frames": shown.frames, "seconds": round(shown.seconds, 3)}
    facts |= {"width": shown.width, "height": shown.height}
    return Judged({"verdict": "ok"} | facts, shown.kind, content)
