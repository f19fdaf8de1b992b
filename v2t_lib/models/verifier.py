"""What a captioner carries to judge sentences and clips; each part may be missing."""

import dataclasses
from collections.abc import Mapping, MutableMapping

from v2t_lib.models.calibration import Calibration
from v2t_lib.models.familiarity import Familiarity
from v2t_lib.models.null_memory import NullMemory


@dataclasses.dataclass(frozen=True)
class Verifier:
    """The parts of verification that a model's file holds beside the network.

    Attributes:
        null_memory: For lifts: what the decoder attends to where no clip is seen.
        calibration: For probabilities and verdicts.
        familiarity: Tells clips that are unlike the training data.
    """

    null_memory: NullMemory | None = None
    calibration: Calibration | None = None
    familiarity: Familiarity | None = None

    def get_config(self) -> dict | None:
        """The parts in JSON's types, without their arrays; None where there are no parts."""
        found = {
            "null_memory": self.null_memory and self.null_memory.get_config(),
            "calibration": self.calibration and dataclasses.asdict(self.calibration),
            "familiarity": self.familiarity and {"threshold": self.familiarity.threshold},
        }
        return {name: part for name, part in found.items() if part} or None

    @classmethod
    def from_config(cls, config: dict | None, store: Mapping) -> "Verifier":
        """The parts that `get_config` names, with arrays as `save` put them into `store`."""
        config = config or {}
        null_memory = calibration = familiarity = None
        if "null_memory" in config:
            null_memory = NullMemory(**config["null_memory"])
            null_memory.load(store)
        if "calibration" in config:
            parts = config["calibration"]
            tuples = {name: tuple(parts[name]) for name in ("weights", "caption_log_probs")}
            calibration = Calibration(**parts | tuples)
        if "familiarity" in config:
            familiarity = Familiarity.load(store, **config["familiarity"])
        return cls(null_memory, calibration, familiarity)

    def save(self, store: MutableMapping) -> None:
        """Puts the parts' arrays into `store`."""
        for part in (self.null_memory, self.familiarity):
            if part is not None:
                part.save(store)
