"""A last stage of training that asks for good sentences, not for likely next words."""

import contextlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from keras import ops
from tqdm import tqdm

from v2t_lib.errors import DataError, ModelError, TrainingError
from v2t_lib.files import replacing
from v2t_lib.models.captioner import JIT_COMPILE, Captioner, CaptionWriter, load, save
from v2t_lib.models.distribution import split
from v2t_lib.models.generation import greedy, sample
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.text.vocabulary import PAD, START, Vocabulary
from v2t_lib.training.callbacks import StopSignal
from v2t_lib.training.checkpoints import Checkpoints, Mirror
from v2t_lib.training.cider_reward import CiderReward
from v2t_lib.training.feature_cache import cached_features
from v2t_lib.training.losses import sentence_loss
from v2t_lib.training.recipe import TrainingOptions
from v2t_lib.training.train import MODEL_FILE

SCST_FILE = "scst.keras"
#: What is left of the learning rate, as in the paper.
RATE_SHARE = 0.1


class Attempts(keras.Model):
    """Clips to their memory, the caption that the model settles on, and one that it draws."""

    def __init__(self, captioner: Captioner):
        super().__init__()
        self.captioner = captioner
        self.seeds = keras.random.SeedGenerator(0)
        self.built = True
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, clips):
        decoder, length = self.captioner.decoder, self.captioner.caption_spec.length
        memory = self.captioner.encoder(clips)
        state, batch = decoder.start(memory), ops.shape(memory)[0]
        settled = greedy(decoder.step, state, batch, length).tokens
        return memory, settled, sample(decoder.step, state, batch, length, self.seeds).tokens


class Policy(keras.Model):
    """The decoder on memories that stay as they are: without dropout, as captions are drawn."""

    def __init__(self, captioner: Captioner, learning_rate: float, clip_norm: float):
        super().__init__(dtype=captioner.dtype_policy)
        self.decoder = captioner.decoder
        self.compile(
            keras.optimizers.Adam(learning_rate, global_clipnorm=clip_norm),
            loss=sentence_loss,
            jit_compile=JIT_COMPILE,
        )

    def call(self, inputs):
        tokens, memory = inputs
        return self.decoder(tokens, memory, training=False)[0]


class Judge:
    """Rewards of written tokens; END is a word like others, lest sentences break off."""

    def __init__(self, vocabulary: Vocabulary, length: int, shards: ShardDataset):
        self.vocabulary, self.length = vocabulary, length
        self.reward = CiderReward(map(self.tokens, shards.sentences()))

    def tokens(self, sentences: Sequence[str]) -> list[list[int]]:
        rows = (self.vocabulary.pack(sentence, self.length)[1:] for sentence in sentences)
        return [_written(row) for row in rows]

    def __call__(self, written: np.ndarray, sentences: Sequence[Sequence[str]]) -> np.ndarray:
        """`(B, L)` tokens and each clip's references to `(B,)` rewards."""
        return np.array(
            [
                self.reward(_written(row), self.tokens(references))
                for row, references in zip(written, sentences, strict=True)
            ]
        )


def _written(row: np.ndarray) -> list[int]:
    return [int(token) for token in row if token != PAD]


class Stage:
    """The models that write, judge and learn, and how far they are.

    `about` is what a checkpoint says of itself: the order of the data, the steps done, the epoch's
    sums of rewards, of baselines and of clips, and the history's rows.
    """

    def __init__(self, captioner: Captioner, judge: Judge, options: TrainingOptions, steps: int):
        self.judge, self.steps = judge, steps
        self.attempts, self.writer = Attempts(captioner), CaptionWriter(captioner, width=1)
        self.policy = Policy(captioner, RATE_SHARE * options.learning_rate, options.clip_norm)
        self.policy.optimizer.build(self.policy.trainable_variables)
        order = {"seed": options.seed, "batch_size": options.batch_size, "steps": steps}
        self.about = {"order": order, "done": 0, "sums": [0.0, 0.0, 0.0], "rows": []}

    def resume(self, checkpoints: Checkpoints) -> None:
        about = checkpoints.restore(self.state)
        if about is None:
            return
        if about["order"] != self.about["order"]:
            raise ModelError(
                f"{checkpoints.folder}: expected a stage with {self.about['order']}. Received: one "
                f"with {about['order']}; --resume needs these to stay as they were"
            )
        self.about = about

    @property
    def state(self) -> list:
        return [*self.policy.trainable_variables, *self.policy.optimizer.variables]

    def step(self, clips: np.ndarray, sentences: Sequence[Sequence[str]]) -> None:
        about = self.about
        # What is drawn hangs on seed and step alone, so that a stage can go on.
        self.attempts.seeds.state.assign([about["order"]["seed"], about["done"]])
        memory, settled, drawn = map(np.asarray, self.attempts.predict_on_batch(split(clips)))
        reward, baseline = self.judge(drawn, sentences), self.judge(settled, sentences)
        words = np.pad(drawn[:, :-1], ((0, 0), (1, 0)), constant_values=START)
        loss = self.policy.train_on_batch((words, memory), drawn, reward - baseline)
        about["done"] += 1
        if not np.isfinite(loss):
            raise TrainingError(
                f"expected a finite loss. Received: {loss} at batch {about['done']} of the "
                "self-critical stage; lower the learning rate and start it again"
            )
        gained = (reward.sum(), baseline.sum(), len(clips))
        about["sums"] = [float(sum(pair)) for pair in zip(about["sums"], gained, strict=True)]

    def means(self) -> dict[str, float]:
        """Of the captions drawn and of those settled on, over the epoch so far."""
        reward, baseline, clips = self.about["sums"]
        return {"reward": reward / clips, "baseline": baseline / clips}

    def close_epoch(self, score: float) -> bool:
        """Adds the epoch's row; whether it is the best so far."""
        rows = self.about["rows"]
        best = all(score > row["cider"] for row in rows)
        means = self.means() if self.about["sums"][2] else {"reward": None, "baseline": None}
        rows.append({"epoch": len(rows)} | means | {"cider": score})
        self.about["sums"] = [0.0, 0.0, 0.0]
        return best

    def score(self, batches: Iterable) -> float:
        """The mean reward of the captions settled on."""
        rewards = [
            self.judge(np.asarray(self.writer.predict_on_batch(split(clips)).tokens), sentences)
            for clips, sentences in batches
        ]
        return float(np.concatenate(rewards).mean())


def train_scst(
    run: str | Path,
    shards: Shards,
    epochs: int,
    val: Shards | None = None,
    options: TrainingOptions | None = None,
    resume: bool = False,
    copy_to: str | Path | None = None,
) -> Captioner:
    """Trains the decoder in `run` for CIDEr itself; writes `scst.keras` and a history.

    Self-critical sequence training (arXiv 1612.00563): of each clip the model draws a caption at
    random, which becomes more probable by as much as its CIDEr-D exceeds that of the caption the
    model settles on, or less probable. The encoder stays as it is, and so does `captioner.keras`.

    Args:
        run: The directory of a trained captioner.
        shards: Training shards; all captions of a clip are its references.
        epochs: Passes over the clips.
        val: Shards to choose the best epoch by, the model as it was among them; the training
            shards when left out.
        options: Batch size, learning rate, of which a tenth is left, seed and checkpoints.
        resume: Go on with the stage in `run`; on the CPU it ends as if it had not been stopped.
        copy_to: A second directory that gets a copy as the stage goes on.

    Returns:
        The captioner of the best epoch.

    Raises:
        DataError: Too few clips for a batch.
        ModelError: No captioner in `run`, or a stage that began with other options.
        TrainingError: Interrupted, or the loss is no number any more.
    """
    options, run = options or TrainingOptions(), Path(run)
    path, history = run / SCST_FILE, run / "scst.csv"
    batch = options.batch_size
    shards = ShardDataset.open(shards)
    steps = shards.info.clips // batch
    if not steps:
        raise DataError(
            f"{shards.folder}: expected at least one batch of {batch} clips. "
            f"Received: {shards.info.clips}; ask for smaller batches"
        )
    with contextlib.closing(Mirror(run, Path(copy_to) if copy_to else None)) as mirror:
        checkpoints = Checkpoints(
            path.with_name(f".{path.stem}-checkpoints"), options.keep_checkpoints, mirror
        )
        if resume:
            mirror.fetch()
        captioner = load(run / MODEL_FILE)
        judge = Judge(captioner.vocabulary, captioner.caption_spec.length, shards)
        shards = cached_features(captioner.encoder, shards)
        val = cached_features(captioner.encoder, val) if val else shards
        stage = Stage(captioner, judge, options, steps)

        def close_epoch() -> None:
            if stage.close_epoch(stage.score(val.clip_batches(batch))):
                save(captioner, path)
            rows = pd.DataFrame(stage.about["rows"])
            with replacing(history) as temporary:
                rows.to_csv(temporary, index=False)
            mirror.put(path, history)
            print(f"  CIDEr of held-out captions: {rows['cider'].iloc[-1]:.3f}", file=sys.stderr)
            checkpoints.save(stage.state, stage.about["done"], stage.about)

        if resume:
            stage.resume(checkpoints)
        else:
            checkpoints.clear()
        if not stage.about["rows"]:
            close_epoch()  # the model as it was is what the stage has to beat
        with StopSignal() as stop:
            while (done := stage.about["done"]) < epochs * steps:
                epoch, skip = divmod(done, steps)
                batches = shards.clip_batches(batch, options.seed, epoch, skip)
                name = f"self-critical {epoch + 1}/{epochs}"
                progress = tqdm(batches, name, steps, initial=skip, unit="batch")
                for clips, sentences in progress:
                    stage.step(clips, sentences)
                    progress.set_postfix({n: f"{v:.2f}" for n, v in stage.means().items()})
                    done = stage.about["done"]
                    if done % steps == 0:
                        close_epoch()
                    elif stop.heard or done % options.checkpoint_steps == 0:
                        checkpoints.save(stage.state, done, stage.about)
                    if stop.heard:
                        raise TrainingError(
                            f"stopped after batch {done} of {epochs * steps} of the self-critical "
                            "stage; everything is saved: the same command with --resume goes on "
                            "from there"
                        )
    return load(path)
