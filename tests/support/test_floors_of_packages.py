"""Every package that is needed has a lowest version, and the floors' job reads them all."""

import re

import pytest
from support.floors import PYPROJECT, floors


def test_each_dependency_has_a_floor():
    found = floors(["dependencies", "test"])
    text = PYPROJECT.read_text(encoding="utf-8")
    names = re.findall(r'"([\w-]+)[><=]', re.search(r"^dependencies = \[(.*?)\]", text, re.MULTILINE).group(1))
    assert {"numpy", "matplotlib", "pytest"} <= {item.split("==")[0] for item in found} and set(names) <= {item.split("==")[0] for item in found}
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", item) for item in found)


def test_a_package_without_one_is_refused():
    with pytest.raises(ValueError, match="'tqdm' has no lowest version"):
        floors(["dependencies"], 'dependencies = ["numpy>=2.0", "tqdm"]\n')
    assert floors(["test"], 'test = ["a-b>=1.2.3"]  # so\n') == ["a-b==1.2.3"]
