"""Self-critical sequence training (SCST): a last stage that trains for CIDEr itself."""

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from v2t_lib.errors import DataError, TrainingError
from v2t_lib.files import replacing
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.saving import load, save
from v2t_lib.models.verifier import VerifierState
from v2t_lib.progress import Progress, log
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.training.calibrate import calibrated
from v2t_lib.training.checkpoints import Checkpoints, Mirror
from v2t_lib.training.cider_reward import CaptionReward
from v2t_lib.training.feature_cache import cached_features
from v2t_lib.training.fit import MODEL_FILE
from v2t_lib.training.recipe import TrainingOptions
from v2t_lib.training.run_folder import SCST_FILES, SCST_SHARDS_FILE, keep_data, owned
from v2t_lib.training.scst_stage import Stage
from v2t_lib.training.stop_signal import StopSignal

SCST_FILE = "scst.keras"


def train_scst(
    run: str | Path,
    shards: Shards,
    epochs: int,
    val: Shards | None = None,
    options: TrainingOptions | None = None,
    resume: bool = False,
    copy_to: str | Path | None = None,
    cache: str | Path | None = None,
    overwrite: bool = False,
) -> Captioner:
    """Trains the decoder in `run` for CIDEr itself; writes `scst.keras` and a history.

    Self-critical sequence training (arXiv 1612.00563): captions are sampled for each clip. The
    probability of each is raised or lowered in proportion to how much its CIDEr-D exceeds the mean
    of the clip's other samples (arXiv 2003.09971). The encoder and `captioner.keras` stay as they
    are.

    Both the samples and what is learnt from them have `scst_temperature`. A model trained with
    label smoothing holds so much for possible that at 1 its samples are far worse than its best
    captions, and whatever is a little better than those is learnt first.

    Args:
        run: The directory of a trained captioner.
        shards: Training shards; all captions of a clip are its references.
        epochs: Passes over the clips.
        val: Validation shards, to choose the best epoch and to calibrate verification anew; the
            training shards choose when left out. The model before the stage is one of the
            candidates.
        options: Batch size, learning rate, of which a tenth is used, seed and checkpoints.
        resume: Continue the stage in `run`; on the CPU it ends as if it had not been stopped.
        copy_to: A second directory that gets a copy as the stage goes on.
        cache: Where features of a frozen image network are kept; beside the shards by default.
        overwrite: Delete the stage that `run` or `copy_to` has.

    Returns:
        The captioner of the best epoch.

    Raises:
        DataError: Too few clips for a batch.
        ModelError: No captioner in `run`, or a stage that began with other options.
        TrainingError: `run` or `copy_to` has a stage, without `resume` or `overwrite`; another
            process trains into them; `resume` with other shards; interrupted; or the loss is not
            finite.
    """
    shards, val = ShardDataset.open(shards), None if val is None else ShardDataset.open(val)
    options, run = options or TrainingOptions(), Path(run)
    path, batch, clips = run / SCST_FILE, options.batch_size, shards.info.clips
    if clips < batch:
        raise DataError(
            f"{shards.folder}: expected at least one batch of {batch} clips. "
            f"Received: {clips}; ask for smaller batches"
        )
    copy = Path(copy_to) if copy_to else None
    with (
        owned([run, copy] if copy else [run], SCST_FILES, resume, overwrite),
        contextlib.closing(Mirror(run, copy)) as mirror,
    ):
        checkpoints = Checkpoints(
            path.with_name(f".{path.stem}-checkpoints"), options.keep_checkpoints, mirror
        )
        if resume:
            mirror.fetch()
        keep_data(run / SCST_SHARDS_FILE, shards, val, resume)
        mirror.put(run / SCST_SHARDS_FILE)
        captioner = load(run / MODEL_FILE)
        captioner.verifier = VerifierState()  # that of another decoder
        length = captioner.caption_spec.length
        reward = CaptionReward(captioner.vocabulary, length, shards.sentences())
        shards = cached_features(captioner.encoder, shards, cache, run)
        held_out = cached_features(captioner.encoder, val, cache, run) if val else shards
        stage = Stage(captioner, reward, options, clips // batch)

        def end_epoch() -> None:
            if stage.end_epoch(stage.cider(held_out.clip_batches(batch))):
                save(captioner, path)
                mirror.put(path)
            _write_history(stage.progress["rows"], path.with_suffix(".csv"), mirror)
            stage.save(checkpoints)

        if resume:
            stage.resume(checkpoints)
        else:
            checkpoints.clear()
        if not stage.progress["rows"]:
            end_epoch()  # the model before the stage
        batches = functools.partial(shards.clip_batches, batch, options.seed)
        _run(stage, epochs, batches, options.checkpoint_steps, checkpoints, end_epoch)
        best = load(path)
        if val is not None:
            calibrated(best, path, held_out, shards, seed=options.seed)
            mirror.put(path)
    return best


def _write_history(rows: list[dict], path: Path, mirror: Mirror) -> None:
    with replacing(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)
    mirror.put(path)
    log.info("  CIDEr of validation captions: %.3f", rows[-1]["cider"])


def _run(
    stage: Stage,
    epochs: int,
    batches: Callable,
    every: int,
    checkpoints: Checkpoints,
    end_epoch: Callable[[], None],
) -> None:
    """Trains from where the stage is to the end of the last epoch; `batches(epoch, skip)`."""
    steps = stage.progress["order"]["steps"]
    with StopSignal() as stop:
        while (done := stage.progress["done"]) < epochs * steps:
            epoch, skip = divmod(done, steps)
            name = f"self-critical {epoch + 1}/{epochs}"
            progress = Progress(batches(epoch, skip), name, steps, initial=skip, unit="batch")
            for clips, references in progress:
                stage.step(clips, references)
                progress.set_postfix(reward=f"{stage.mean_reward():.2f}")
                done = stage.progress["done"]
                if done % steps == 0:
                    end_epoch()
                elif stop.received or done % every == 0:
                    stage.save(checkpoints)
                if stop.received:
                    raise TrainingError(
                        f"stopped after batch {done} of {epochs * steps} of the self-critical "
                        "stage; everything is saved: the same command with --resume goes on "
                        "from there"
                    )
