"""What the tests of the sweep share: tiny data, and a plan that is trained."""

import pytest

import compare
from tests.comparison import small_plan


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Folder of the small plan and of its datasets."""
    folder = tmp_path_factory.mktemp("data")
    small_plan.write(folder)
    return folder


@pytest.fixture(scope="session")
def whole(data_dir, tmp_path_factory):
    """Folder of the small plan's comparison, trained without a break."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        small_plan.shrink(patch)
        assert compare.main(small_plan.words(data_dir, out)) == 0
    return out
