"""Self-critical sequence training (SCST): a last stage that trains for CIDEr itself."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops

from v2t_lib.errors import TrainingError
from v2t_lib.metrics.coco import Documents, cider
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import MANY_STEPS, Compiled, jit_from
from v2t_lib.models.generation import sample
from v2t_lib.models.saving import load, save
from v2t_lib.models.verifier import VerifierState
from v2t_lib.progress import Progress, log
from v2t_lib.shards.reader import ShardDataset, Shards
from v2t_lib.text.vocabulary import PAD, START
from v2t_lib.training.calibrate import calibrated
from v2t_lib.training.checkpoints import Checkpoints, stop_asked, stopped
from v2t_lib.training.feature_cache import cached_features
from v2t_lib.training.losses import sentence_loss
from v2t_lib.training.optimizer import sum_in_order
from v2t_lib.training.recipe import TrainingOptions
from v2t_lib.training.run_folder import (
    MODEL_FILE,
    SCST_FILE,
    SELF_CRITICAL,
    Mirror,
    locked_run,
    write_history,
)

#: The stage's learning rate, as a share of the training's before (arXiv 1612.00563).
RATE_SHARE = 0.1


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

    Args:
        run: The folder of a trained captioner.
        shards: Training shards; all captions of a clip are its references.
        val: Validation shards, to calibrate verification anew and to choose the best epoch, the
            model before the stage included; the training shards choose when left out.
        options: Batch size, learning rate, of which a tenth is used, seed and checkpoints.
        resume, copy_to, cache, overwrite: As for `train`, of the stage alone.

    Returns:
        The captioner of the best epoch; errors are those of `train`.
    """
    shards, val = ShardDataset.open(shards), None if val is None else ShardDataset.open(val)
    options, run = options or TrainingOptions(), Path(run)
    shards.steps(options.batch_size, captions_per_clip=1)  # raises before anything is overwritten
    data = {"training shards": shards, "validation shards": val}
    with locked_run(run, copy_to, SELF_CRITICAL, data, resume, overwrite) as mirror:
        captioner = load(run / MODEL_FILE)
        captioner.verifier = VerifierState()  # that of another decoder
        shards = cached_features(captioner.encoder, shards, cache, run)
        held_out = cached_features(captioner.encoder, val, cache, run) if val else shards
        Stage(captioner, shards, options, run / SCST_FILE, mirror).train(epochs, held_out, resume)
        best = load(run / SCST_FILE)
        if val is not None:
            calibrated(best, run / SCST_FILE, held_out, shards, seed=options.seed)
    return best


class Policy(keras.Model):
    """The decoder alone, on memories that stay fixed; without dropout, as samples have none."""

    def __init__(self, captioner: Captioner, options: TrainingOptions, jit_compile: bool):
        super().__init__(dtype=captioner.dtype_policy)
        self.decoder, self.temperature = captioner.decoder, options.scst_temperature
        sum_in_order()
        rate = RATE_SHARE * options.learning_rate
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=options.clip_norm)
        self.compile(optimizer, sentence_loss, jit_compile=jit_compile)
        optimizer.build(self.trainable_variables)

    def call(self, inputs):
        return self.decoder(*inputs, training=False)[0] / self.temperature


class Stage:
    """The models of self-critical training, and how far they have come.

    The reward is CIDEr-D with the training captions' n-gram weights; END is a word, to be learnt.
    """

    def __init__(
        self,
        captioner: Captioner,
        shards: ShardDataset,
        options: TrainingOptions,
        path: Path,
        mirror: Mirror,
    ):
        self.captioner, self.shards, self.options = captioner, shards, options
        self.path, self.mirror = path, mirror
        self.documents = Documents(map(self._tokens, shards.sentences()))
        self.steps = shards.steps(options.batch_size, captions_per_clip=1)
        # From the first batch on: with another compiler a resumed stage would round differently.
        jit = jit_from(self.steps, MANY_STEPS)
        self.seeds = keras.random.SeedGenerator(options.seed)
        self.sample = Compiled(self._sampled, captioner, self.seeds, jit_compile=jit)
        self.search = Compiled(captioner.generate_from, captioner, jit_compile=jit)
        self.policy = Policy(captioner, options, jit)
        run = {"seed": options.seed, "batch_size": options.batch_size, "steps": self.steps}
        self.checkpoints = Checkpoints(path, options.keep_checkpoints, run)
        # Steps done; sums over the epoch, of samples' rewards and of clips; rows of the history.
        self.progress: dict = {"done": 0, "sums": [0.0, 0.0], "rows": []}

    @property
    def variables(self) -> list:
        """All that training changes: the decoder, the optimiser and the sampler's random state."""
        policy = self.policy
        return [*policy.trainable_variables, *policy.optimizer.variables, self.seeds.state]

    def _sampled(self, memory):
        """Memories `(B, S, D)` to int32 tokens of sampled captions `(B, K, L)`."""
        decoder, length = self.captioner.decoder, self.captioner.caption_spec.length
        shape = (length, ops.shape(memory)[0], self.options.scst_samples)
        points = keras.random.uniform(shape, seed=self.seeds)
        temperature = self.options.scst_temperature
        return sample(decoder.step, decoder.start(memory), length, points, temperature)

    def _tokens(self, sentences: Sequence[str]) -> list[list[int]]:
        length, pack = self.captioner.caption_spec.length, self.captioner.vocabulary.pack
        rows = (pack(sentence, length)[1:] for sentence in sentences)
        return [row[row != PAD].tolist() for row in rows]

    def reward(self, captions: np.ndarray, references: Sequence[Sequence[str]]) -> np.ndarray:
        """int `(B, K, L)` tokens and each clip's references to float `(B, K)` rewards."""
        sentences = [row[row != PAD].tolist() for rows in captions for row in rows]
        theirs = [tokens for of in references for tokens in [self._tokens(of)] * captions.shape[1]]
        return cider(sentences, theirs, self.documents).reshape(captions.shape[:2])

    def train(self, epochs: int, held_out: ShardDataset, resume: bool) -> None:
        """Trains to the end of the last epoch; `held_out` chooses the best one."""
        progress, options = self.progress, self.options
        if resume:
            progress.update(self.checkpoints.restore(self.variables) or {})
        else:
            self.checkpoints.clear()
        if not progress["rows"]:
            self._end_epoch(held_out)  # the model before the stage
        with stop_asked() as stop:
            while progress["done"] < epochs * self.steps:
                epoch, skip = divmod(progress["done"], self.steps)
                batches = self.shards.clip_batches(options.batch_size, options.seed, epoch, skip)
                name = f"self-critical {epoch + 1}/{epochs}"
                for batch in Progress(batches, name, self.steps, initial=skip, unit="batch"):
                    self.step(*batch)
                    if progress["done"] % self.steps == 0:
                        self._end_epoch(held_out)
                    elif stop.received or progress["done"] % options.checkpoint_steps == 0:
                        self._save()
                    if stop.received:
                        at = f"batch {progress['done']} of the self-critical stage"
                        raise stopped(at, stop.received)

    def step(self, clips: np.ndarray, references: Sequence[Sequence[str]]) -> None:
        """Trains on one batch: `(B, ...)` clips or features, and each clip's captions."""
        progress, memory = self.progress, self.captioner.encode(clips)
        sampled = self.sample.run(memory)  # (B,K,L)
        reward = self.reward(sampled, references)  # (B,K)
        others = (reward.sum(axis=1, keepdims=True) - reward) / (reward.shape[1] - 1)
        inputs = np.pad(sampled[..., :-1], ((0, 0), (0, 0), (1, 0)), constant_values=START)
        loss = self.policy.train_on_batch((inputs, memory), sampled, reward - others)
        progress["done"] += 1
        if not np.isfinite(loss):
            raise TrainingError(
                f"expected a finite loss. Received: {loss} at batch {progress['done']} of the "
                "self-critical stage; lower the learning rate and start it again"
            )
        total, count = progress["sums"]
        progress["sums"] = [total + float(reward.mean(axis=1).sum()), count + float(len(clips))]

    def _end_epoch(self, held_out: ShardDataset) -> None:
        """Adds the epoch's row to the history, and saves the model if its reward is the best."""
        rows, (total, count) = self.progress["rows"], self.progress["sums"]
        rewards = []
        for clips, references in held_out.clip_batches(self.options.batch_size):
            tokens = self.search.run(self.captioner.encode(clips)).tokens
            rewards.append(self.reward(tokens[:, None], references)[:, 0])
        reward = float(np.concatenate(rewards).mean())
        if all(reward > row["reward"] for row in rows):
            save(self.captioner, self.path)
        of_samples = total / count if count else None
        rows.append({"epoch": len(rows), "sampled_reward": of_samples, "reward": reward})
        self.progress["sums"] = [0.0, 0.0]
        write_history(self.path, rows)
        log.info("  reward of validation captions: %.3f", reward)  # not the scorers' CIDEr
        self._save()

    def _save(self) -> None:
        self.checkpoints.save(self.variables, self.progress["done"], self.progress)
        self.mirror.put()
