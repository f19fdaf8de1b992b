"""Alt text: a caption to stand in a clip's place, hedged where the model is unsure of it."""

import dataclasses

import numpy as np

from v2t_lib.models.calibration import Calibration
from v2t_lib.models.caption import Caption

#: A caption is unsure if fewer than this share of the captions of held-out clips are less sure.
UNSURE = 0.25
#: What an unsure caption begins with.
HEDGE = "perhaps"


@dataclasses.dataclass(frozen=True)
class AltText:
    """A caption as alt text, and how sure the model is of it.

    Attributes:
        text: The caption; where it is unsure, after a hedge.
        surer_than: The share of the model's captions of held-out clips whose log-probability is
            lower than this one's; None for a model without calibration.
        unsure: Whether that share is below `UNSURE`, or the clip is unlike the training data.
    """

    text: str
    surer_than: float | None
    unsure: bool


def alt_text(
    caption: Caption, calibration: Calibration | None, hedge: str = HEDGE, unit: str = "word"
) -> AltText:
    """A caption as alt text.

    Args:
        caption: The caption of a clip.
        calibration: The model's, if it has one.
        hedge: What an unsure caption begins with, in the language of the captions.
        unit: What the model's captions are cut into; no space follows the hedge where these are
            characters.
    """
    surer_than = None
    if calibration is not None and calibration.caption_log_probs:
        shares = np.linspace(0, 1, len(calibration.caption_log_probs))
        surer_than = float(np.interp(caption.log_prob, calibration.caption_log_probs, shares))
    unsure = bool(caption.unlike_training) or (surer_than is not None and surer_than < UNSURE)
    text = caption.text
    if unsure and text:
        text = f"{hedge}{'' if unit == 'character' else ' '}{text}"
    return AltText(text, surer_than, unsure)
