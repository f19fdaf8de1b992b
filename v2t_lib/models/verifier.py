"""What a captioner carries to judge sentences and clips; each part may be missing."""

import dataclasses
from collections.abc import Mapping, MutableMapping

from v2t_lib.models.blind_twin import BlindTwin
from v2t_lib.models.calibration import Calibration
from v2t_lib.models.familiarity import Familiarity


@dataclasses.dataclass(frozen=True)
class Verifier:
    """The parts of verification that a model's file holds beside the network.

    Attributes:
        twin: For lifts: the same decoder trained without clips.
        calibration: For probabilities and verdicts.
        familiarity: Tells clips that are unlike the training data.
    """

    twin: BlindTwin | None = None
    calibration: Calibration | None = None
    familiarity: Familiarity | None = None

    def get_config(self) -> dict | None:
        """The parts in JSON's types, without their arrays; None where there are no parts."""
        found = {
            "twin": self.twin and self.twin.get_config(),
            "calibration": self.calibration and dataclasses.asdict(self.calibration),
            "familiarity": self.familiarity and {"threshold": self.familiarity.threshold},
        }
        return {name: part for name, part in found.items() if part} or None

    @classmethod
    def from_config(cls, config: dict | None, vocabulary_size: int, store: Mapping) -> "Verifier":
        """The parts that `get_config` names, with arrays as `save` put them into `store`."""
        config = config or {}
        twin = calibration = familiarity = None
        if "twin" in config:
            twin = BlindTwin(vocabulary_size, **config["twin"])
            twin.load(store)
        if "calibration" in config:
            parts = config["calibration"]
            tuples = {name: tuple(parts[name]) for name in ("weights", "caption_log_probs")}
            calibration = Calibration(**parts | tuples)
        if "familiarity" in config:
            familiarity = Familiarity.load(store, **config["familiarity"])
        return cls(twin, calibration, familiarity)

    def save(self, store: MutableMapping) -> None:
        """Puts the parts' arrays into `store`."""
        for part in (self.twin, self.familiarity):
            if part is not None:
                part.save(store)
