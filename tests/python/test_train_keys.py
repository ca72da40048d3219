"""Every key of a training configuration is documented, and occurs in a test or an example."""

import re
from pathlib import Path

import pytest
from openmmscore.train import config as train_config

ROOT = Path(__file__).parents[2]
#: Calls that read a key, in training/src.
READS = re.compile(
    r"""\b(?:text|file|choice|number|integer|flag|numbers|integers|table|tables|integerRows)\("([a-z_]+)"
      | \b(?:positive|between|readInterval)\([\w\[\]]+,\s"([a-z_]+)"
      | \binteger\("([a-z_]+)" """,
    re.VERBOSE,
)


def documented_keys():
    """Return the keys in docs/training.md's table, which leaves out those of [[stages]] alone."""
    text = (ROOT / "docs/training.md").read_text()
    table = text[text.index("## The configuration") : text.index("## Several processes")]
    keys = set()
    for line in table.splitlines():
        if line.startswith("|") and "---" not in line:
            first, *rest = line.strip("|").split(" | ")
            keys.update(re.findall(r"[a-z_]+", first))
            # Tables of tables name their keys beside them.
            if "[[" in first:
                keys.update(re.findall(r"`([a-z_]+)`", rest[-1]))
    return keys - {"key", "or"}


def keys_read():
    """Return the keys that openmmscore-train and openmmscore train ask for."""
    keys = set(train_config._DATA) | set(train_config._MOLECULE)
    for path in (ROOT / "training/src").glob("*.cpp"):
        for groups in READS.findall(path.read_text()):
            keys.update(filter(None, groups))
    return keys


def test_documentation_and_program_know_the_same_keys():
    assert len(documented_keys()) > 60
    # What follows the training, and the value of a stage, are described in sections of their own.
    elsewhere = {"evaluation", "stages", "fokker_planck_weight"}
    assert keys_read() - documented_keys() - elsewhere == set()
    assert documented_keys() - keys_read() - elsewhere == set()


@pytest.mark.parametrize("key", sorted(documented_keys() | {"fokker_planck_weight"}))
def test_every_key_is_used_somewhere(key):
    places = [
        *(ROOT / "examples/train").glob("*.toml"),
        *(ROOT / "tests/training").glob("*.[ch]*"),
        *(ROOT / "tests/python").glob("test_train*.py"),
    ]
    text = "\n".join(path.read_text() for path in places if path.name != Path(__file__).name)
    assert re.search(rf"(?m)(^|\\n|[\s\"({{\[,]){key}(\s=|\]|\")", text), f"{key} is neither tested nor shown"
