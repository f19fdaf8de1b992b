"""What to turn down where training needs more memory than the GPU or the machine has."""

import contextlib
from collections.abc import Iterator

from v2t_lib.errors import TrainingError, out_of_memory
from v2t_lib.specs import ClipSpec
from v2t_lib.training.recipe import TrainingOptions


@contextlib.contextmanager
def naming_memory_options(options: TrainingOptions, clip: ClipSpec) -> Iterator[None]:
    """Within it, a backend's out-of-memory error becomes one that names the options to change."""
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        batch, ways = options.batch_size, []
        if batch > 1:
            half, steps = batch // 2, options.accumulate * 2
            ways.append(
                f"batch_size={half} and accumulate={steps} (--batch {half} --accumulate {steps}), "
                "which take half the memory for the same steps of the optimiser"
            )
        if options.precision == "float32":
            ways.append("precision=mixed_float16 (--precision) on a GPU")
        ways.append("shards with fewer or smaller frames")
        raise TrainingError(
            f"expected enough memory for a batch of {batch} clips of {clip.frames} frames, "
            f"{clip.width} x {clip.height} pixels. Received: out of memory; start the run anew "
            f"(--overwrite) with {'; or '.join(ways)}"
        ) from error
