"""Calibration: probabilities and thresholds by hand, at the end of training, and on demand."""

import json

import numpy as np
import pytest
from helpers import tiny
from helpers.clips import write_gif

import v2t_lib as v2t
from v2t_lib.cli.main import main
from v2t_lib.errors import DataError
from v2t_lib.metrics.claims import ScoredClaims
from v2t_lib.metrics.foils import Claim
from v2t_lib.models.saving import save
from v2t_lib.models.verifier import Calibration, VerifierState, pooled
from v2t_lib.training import calibrate
from v2t_lib.training.calibrate import fit_calibration, fit_null_memory
from v2t_lib.training.losses import sequence_loss

pytestmark = pytest.mark.usefixtures("eager")


def scored(gap: float, clips: int = 200) -> ScoredClaims:
    """A true sentence and a foil a clip, of one word whose lifts are `gap` deviations apart."""
    rng = np.random.default_rng(0)
    rows = [Claim(clip, "red", kind) for clip in range(clips) for kind in ("true", "random")]
    lifts = [rng.normal(gap * (claim.kind == "true"), 1, size=1) for claim in rows]
    parts = dict.fromkeys(("word", "phrase"), (rows, lifts))
    return ScoredClaims(rows, lifts, [np.zeros(2)] * len(rows), lifts, parts)


def test_probabilities_are_what_they_say():
    """Two normal distributions 2 apart: the log-odds are 2 x lift - 2."""
    fitted = fit_calibration(scored(gap=2.0, clips=2000))
    for lift in (0.0, 1.0, 2.0):
        expected = 1 / (1 + np.exp(-(2 * lift - 2)))
        for form, lifts in (("sentence", ([lift], [lift])), ("word", ([lift],))):
            assert fitted.of(form).probability(*lifts) == pytest.approx(expected, abs=0.03)
    assert fitted.figures["calibration_error"] < 0.03
    # The area is the normal distribution's at 2 / sqrt(2).
    assert fitted.figures["auroc"]["random"]["value"] == pytest.approx(0.921, abs=0.01)
    for figures in (fitted.figures, *fitted.figures["forms"].values()):
        # At a lift of 2, half of the true ones lie above and 2.3% of the others: 95.6% precise.
        # Four times as many foils halve that: at 2.6 a fourth lies above, and 0.5%: 95% of 5 to 1.
        supported, refuted = figures["supported"], figures["refuted"]
        assert 0.945 < refuted["precision"] < 0.97 and 0.4 < refuted["coverage"] < 0.55
        assert 0.98 < supported["precision"] < 0.995 and 0.15 < supported["coverage"] < 0.35
    json.dumps(fitted.figures)


def test_clear_cases_are_told_and_hopeless_ones_are_left_open():
    clear = fit_calibration(scored(gap=20.0))
    assert clear.supported == 0.8 and clear.refuted == pytest.approx(0.2)
    assert clear.figures["supported"] == {"threshold": 0.8, "precision": 1, "coverage": 1}
    assert clear.forms["phrase"].supported == 0.8
    hopeless = fit_calibration(scored(gap=0.0))
    assert hopeless.supported is None and hopeless.refuted is None
    assert hopeless.figures["supported"]["precision"] is None
    with pytest.raises(DataError, match="captions that differ"):
        fit_calibration(ScoredClaims([Claim(0, "a", "true")], *[[np.ones(1)]] * 3))


@pytest.fixture
def run(tmp_path):
    """An untrained captioner as older versions saved it."""
    save(tiny.captioner(), tmp_path / "captioner.keras")
    return tmp_path


def test_an_old_model_is_calibrated_in_place(run, several_captions, capsys):
    model, picture = run / "captioner.keras", run / "reliability.png"
    assert (
        main(["calibrate", str(model), str(several_captions), "--json", "--picture", str(picture)])
        == 0
    )
    printed = capsys.readouterr()
    figures = json.loads(printed.out)
    assert figures["claims"]["true"] > 5 and "area under the ROC curve" in printed.err
    assert picture.read_bytes()[:4] == b"\x89PNG"
    captioner = v2t.load(model)
    calibration = captioner.verifier.calibration
    assert calibration.figures == figures and len(calibration.caption_log_probs) == 101
    (found,) = captioner.verify_frames(tiny.frames(1), ["a red star"])
    assert found.unlike_training in (True, False)
    assert (found.probability is None) == found.unlike_training


def test_the_null_memory_makes_captions_likely(run, monkeypatch):
    """Learnt on captions, it gives them a higher likelihood than the mean of clips' memories."""
    captioner = v2t.load(run / "captioner.keras")
    start = pooled(captioner.encode(tiny.frames(8))).mean(axis=0)[:12]
    before = captioner.get_weights()
    monkeypatch.setattr(calibrate, "EPOCHS", 10)
    memory = fit_null_memory(captioner, list(tiny.SENTENCES) * 5, start)
    for one, other in zip(before, captioner.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    tokens = tiny.tokens(*tiny.SENTENCES)

    def loss(cells):
        logits, _ = captioner.decoder(tokens[:, :-1], np.tile(cells, (3, 1, 1)))
        return float(sequence_loss(tokens[:, 1:], logits))

    assert loss(np.asarray(memory.values)) < loss(start[None]) - 0.01


def test_abstaining_keeps_what_is_sure_and_familiar(tmp_path, capsys):
    captioner = tiny.captioner()
    for number in range(3):
        write_gif(tmp_path / f"{number}.gif", number)
    files = [str(tmp_path / f"{number}.gif") for number in range(3)]
    surest = sorted(captioner.caption(file).log_prob for file in files)
    quantiles = tuple(np.interp(np.arange(101), [0, 50, 100], surest))
    captioner.verifier = VerifierState(
        calibration=Calibration((1.0, 0.0), 0.0, None, None, quantiles)
    )
    save(captioner, tmp_path / "m.keras")
    arguments = ["caption", *files, "--model", str(tmp_path / "m.keras"), "--json"]
    kept = {}
    for share in ("1", "0.6"):
        assert main([*arguments, "--abstain", share]) == 0
        printed = capsys.readouterr()
        rows = [json.loads(line) for line in printed.out.splitlines()]
        assert [row["file"] for row in rows] == files
        kept[share] = sum(row["caption"] is not None for row in rows)
        assert printed.err.count("not sure enough") == 3 - kept[share]
        assert all("abstained" in row for row in rows if row["caption"] is None)
    assert kept == {"1": 3, "0.6": 2}
    save(tiny.captioner(), tmp_path / "m.keras")
    assert main([*arguments, "--abstain", "0.9"]) == 1
    assert "`v2t calibrate MODEL SHARDS`" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*arguments, "--abstain", "1.5"])
