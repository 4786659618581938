"""The labels are Keras' own: they rebuild imagenet_class_index.json to the byte."""

import hashlib
import json
from importlib.resources import files

KERAS_MD5 = "c2c37ea517e94d9795004a39431a14cb"


def lines(name: str) -> list[str]:
    return (files("kexport") / "data" / name).read_text(encoding="utf-8").splitlines()


def test_labels_and_ids_rebuild_the_file_that_keras_downloads():
    names, ids = lines("imagenet_labels.txt"), lines("imagenet_wnids.txt")
    assert len(names) == len(ids) == 1000
    index = {str(i): [ids[i], names[i]] for i in range(1000)}
    assert hashlib.md5(json.dumps(index).encode()).hexdigest() == KERAS_MD5


def test_well_known_classes():
    names = lines("imagenet_labels.txt")
    assert names[:3] == ["tench", "goldfish", "great_white_shark"]
    assert (names[281], names[999]) == ("tabby", "toilet_tissue")
