import pandas as pd

from v2t_lib.views.curves import curves, plot_history

HISTORY = pd.DataFrame(
    {
        "epoch": [0, 1, 2],
        "loss": [2.0, 1.0, 0.5],
        "val_loss": [1.8, 1.1, 0.7],
        "sequence_accuracy": [0.3, 0.6, 0.8],
        "val_sequence_accuracy": [0.35, 0.55, 0.75],
    }
)
BLIND = pd.DataFrame({"epoch": [0, 1], "loss": [1.9, 1.6], "val_loss": [1.7, 1.5]})


def lines(axes):
    return {line.get_label().split(":")[0]: line.get_ydata() for line in axes.get_lines()}


def test_curves_show_the_history_and_the_lowest_blind_loss():
    left, right = plot_history(HISTORY, BLIND).axes
    drawn = lines(left)
    assert list(drawn["training"]) == [2.0, 1.0, 0.5]
    assert list(drawn["validation"]) == [1.8, 1.1, 0.7]
    assert set(drawn["blind"]) == {1.5}
    assert list(lines(right)["validation"]) == [0.35, 0.55, 0.75]
    assert list(left.get_lines()[0].get_xdata()) == [1, 2, 3]
    labels = [text.get_text() for text in left.get_legend().get_texts()]
    assert labels == ["training: 0.500", "validation: 0.700", "blind: 1.500"]


def test_without_validation_clips_or_a_twin_there_are_fewer_lines():
    left, _ = plot_history(HISTORY[["epoch", "loss", "sequence_accuracy"]]).axes
    assert set(lines(left)) == {"training"}


def test_a_runs_curves_come_from_its_files(tmp_path):
    HISTORY.to_csv(tmp_path / "history.csv", index=False)
    alone = curves(tmp_path)
    assert alone[:4] == b"\x89PNG" and alone == curves(tmp_path)
    BLIND.to_csv(tmp_path / "blind.csv", index=False)
    assert curves(tmp_path) != alone
