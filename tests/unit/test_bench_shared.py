"""A benchmark without its data sets says so in one line."""

from pathlib import Path

import pytest

from tests.bench.shared import shared_data


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_folder_without_data_sets_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    monkeypatch.setenv("BELLWETHER_SHARED", str(tmp_path / folder))
    with pytest.raises(SystemExit, match=f"NOTHING MEASURED: no data sets at {tmp_path / folder}; set BELLWETHER_SH"):
        shared_data()


def test_a_folder_with_one_of_them_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELLWETHER_SHARED", str(tmp_path))
    (tmp_path / "ett").mkdir()
    assert shared_data() == tmp_path
