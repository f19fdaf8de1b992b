"""How far self-critical training has come: its models, its sums and its history."""

from collections.abc import Iterable, Sequence

import numpy as np

from v2t_lib.errors import ModelError, TrainingError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import MANY_STEPS, Compiled, jit_from
from v2t_lib.models.devices import split
from v2t_lib.text.vocabulary import START
from v2t_lib.training.checkpoints import Checkpoints
from v2t_lib.training.cider_reward import CaptionReward
from v2t_lib.training.recipe import TrainingOptions
from v2t_lib.training.scst_models import CaptionSampler, Policy

#: The stage's learning rate, as a share of the training's before (arXiv 1612.00563).
RATE_SHARE = 0.1


class Stage:
    """The models and how far they have been trained.

    Attributes:
        progress: What a checkpoint holds besides variables: `order`, what determines the order of
            the data; `done`, steps; `sums` over the epoch, of sampled captions' rewards and of
            clips; `rows` of the history.
    """

    def __init__(
        self, captioner: Captioner, reward: CaptionReward, options: TrainingOptions, steps: int
    ):
        self.captioner, self.reward = captioner, reward
        # From the first batch on: with another compiler a resumed stage would round differently.
        jit = jit_from(steps, MANY_STEPS)
        temperature = options.scst_temperature
        self.sampler = CaptionSampler(
            captioner, options.scst_samples, temperature, options.seed, jit
        )
        self.search = Compiled(captioner.generate_from, captioner, jit_compile=jit)
        rate = RATE_SHARE * options.learning_rate
        self.policy = Policy(captioner, rate, options.clip_norm, temperature, jit)
        self.policy.optimizer.build(self.policy.trainable_variables)
        order = {"seed": options.seed, "batch_size": options.batch_size, "steps": steps}
        self.progress = {"order": order, "done": 0, "sums": [0.0, 0.0], "rows": []}

    def resume(self, checkpoints: Checkpoints) -> None:
        """Restores the newest checkpoint, if there is one."""
        progress = checkpoints.restore(self.variables)
        if progress is None:
            return
        if progress["order"] != self.progress["order"]:
            raise ModelError(
                f"{checkpoints.folder}: expected a stage with {self.progress['order']}. Received: "
                f"one with {progress['order']}; --resume needs these to stay as they were"
            )
        self.progress = progress

    def save(self, checkpoints: Checkpoints) -> None:
        """Writes a checkpoint."""
        checkpoints.save(self.variables, self.progress["done"], self.progress)

    @property
    def variables(self) -> list:
        """All that training changes: the decoder, the optimiser and the sampler's random state."""
        return [
            *self.policy.trainable_variables,
            *self.policy.optimizer.variables,
            self.sampler.seeds.state,
        ]

    def step(self, clips: np.ndarray, references: Sequence[Sequence[str]]) -> None:
        """Trains on one batch: `(batch, ...)` clips or features, and each clip's captions."""
        progress = self.progress
        memory = self.captioner.encode(clips)
        sampled = np.asarray(self.sampler.predict_on_batch(split(memory)))
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
        batch = (reward.mean(axis=1).sum(), len(clips))
        progress["sums"] = [float(sum(pair)) for pair in zip(progress["sums"], batch, strict=True)]

    def mean_reward(self) -> float:
        """Of the captions sampled in this epoch so far."""
        reward, clips = self.progress["sums"]
        return reward / clips

    def end_epoch(self, cider: float) -> bool:
        """Adds the epoch's row to the history; returns whether its CIDEr is the best so far."""
        rows = self.progress["rows"]
        best = all(cider > row["cider"] for row in rows)
        reward = self.mean_reward() if self.progress["sums"][1] else None
        rows.append({"epoch": len(rows), "reward": reward, "cider": cider})
        self.progress["sums"] = [0.0, 0.0]
        return best

    def cider(self, batches: Iterable) -> float:
        """The mean reward of greedy captions."""
        rewards = []
        for clips, references in batches:
            memory = split(self.captioner.encode(clips))
            tokens = np.asarray(self.search.predict_on_batch(memory).tokens)
            rewards.append(self.reward(tokens[:, None], references)[:, 0])
        return float(np.concatenate(rewards).mean())
