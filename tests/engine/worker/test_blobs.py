"""Bytes that a worker keeps by their hash."""

import hashlib

import pytest
from full_disk import full_disk

from unet_engine.errors import DataError
from unet_engine.worker import blobs

CONTENT = bytes(range(256)) * 4
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(blobs, "_folder", lambda: tmp_path)


def test_parts_are_put_together_and_repeated_ones_ignored():
    assert blobs.append(DIGEST, 0, CONTENT[:300], len(CONTENT)) == 300
    assert blobs.append(DIGEST, 0, CONTENT[:300], len(CONTENT)) == 300
    assert blobs.size(DIGEST, len(CONTENT)) == 300
    assert blobs.path_of(DIGEST) is None

    assert blobs.append(DIGEST, 300, CONTENT[300:], len(CONTENT)) == len(CONTENT)
    assert blobs.path_of(DIGEST).read_bytes() == CONTENT


def test_other_bytes_than_the_digest_says_are_dropped():
    with pytest.raises(DataError, match="not what was sent"):
        blobs.append(DIGEST, 0, CONTENT[::-1], len(CONTENT))

    assert blobs.size(DIGEST, len(CONTENT)) == 0


def test_a_full_disk_is_named_and_what_was_sent_can_be_sent_again():
    with full_disk(100), pytest.raises(DataError, match=r"File too large.*TMPDIR set"):
        blobs.append(DIGEST, 0, CONTENT, len(CONTENT))
    assert blobs.size(DIGEST, len(CONTENT)) == 0

    assert blobs.append(DIGEST, 0, CONTENT, len(CONTENT)) == len(CONTENT)
    assert blobs.path_of(DIGEST).read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["../../etc/passwd", "A" * 64, "", "a/b"])
def test_a_name_that_is_no_digest_leads_nowhere(name):
    with pytest.raises(DataError, match="no digest"):
        blobs.path_of(name)
