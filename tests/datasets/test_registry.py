import pytest
from helpers.clips import write_gif
from helpers.registries import forget_afterwards

from v2t_lib.datasets.registry import DATASETS, DataSet, register_dataset
from v2t_lib.errors import DataError
from v2t_lib.training.recipe import Recipe
from v2t_lib.training.recipes import registry as recipes
from v2t_lib.workspace import Workspace


@pytest.mark.parametrize("name", list(DATASETS))
def test_each_has_a_licence_a_recipe_and_a_number_of_clips(name):
    kind = DATASETS[name]
    assert kind.__doc__ and len(kind.licence.split()) > 3
    assert isinstance(recipes.get(kind.recipe), Recipe) and kind.usual_clips >= 0
    assert {"train", "val", "test"} <= set(kind.splits)


def test_split_lists_are_those_of_the_data_sets_splits_all_or_none(tmp_path):
    captions = tmp_path / "captions.tsv"
    captions.write_text("a.gif\ta cat\n")
    (tmp_path / "notes.txt").write_text("no split list\n")
    assert DataSet().split_lists(captions) == {}
    for name in ("train", "test"):
        (tmp_path / f"{name}.txt").write_text("a.gif\n")
    with pytest.raises(DataError, match=r"all of train\.txt, val\.txt.*Received: train\.txt, test"):
        DataSet().split_lists(captions)
    (tmp_path / "val.txt").write_text("a.gif\n")
    assert list(DataSet().split_lists(captions)) == ["train", "val", "test"]


@pytest.fixture
def mine(monkeypatch):
    """A data set from outside the package, forgotten after the test."""
    forget_afterwards(monkeypatch, DATASETS)

    @register_dataset("mine")
    class Mine(DataSet):
        """Ten clips of one star."""

        licence = "Drawn in this test"
        recipe = "smoke"
        usual_clips = 10
        fetchable = True

        def captions(self, home):
            home.mkdir(parents=True, exist_ok=True)
            for number in range(10):
                write_gif(home / f"{number}.gif", number)
            for name, numbers in (("train", range(8)), ("val", [8]), ("test", [9])):
                listed = "".join(f"{number}.gif\n" for number in numbers)
                (home / f"{name}.txt").write_text(listed)
            rows = "".join(f"{number}.gif\ta star\n" for number in range(10))
            (home / "captions.tsv").write_text(rows)
            return home / "captions.tsv"

    return Mine


def test_a_data_set_from_outside_the_package_is_one_class(mine, tmp_path, capsys):
    workspace = Workspace("mine", tmp_path)
    assert workspace.recipe == recipes.get("smoke") and workspace.clips == 10
    assert [len(records) for records in workspace.records().values()] == [8, 1, 1]
    assert "Drawn in this test" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"among mine, msrvtt, .*Received: 'other'"):
        Workspace("other", tmp_path)
    with pytest.raises(ValueError, match=r"not taken yet for a data set\. Received: 'tgif'"):
        register_dataset("tgif")(mine)
