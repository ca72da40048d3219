"""The log of a training as TensorBoard's files."""

import json
import struct

import pytest
from openmmscore import cli
from openmmscore.train.tensorboard import Curves

pytest.importorskip("tensorboardX")


def line(step, **values):
    return json.dumps({"step": step, "loss": 1 / step, "elapsed_seconds": 0.5 * step, **values}) + "\n"


def points(folder):
    """Return [(name, step, value, wall time), ...] out of the only event file of a folder."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = folder.glob("events.*")
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + length])
        found += [(v.tag, event.step, v.simple_value, event.wall_time) for v in event.summary.value]
        data = data[16 + length :]
    return found


def test_every_number_of_the_log_is_a_point(tmp_path, capsys):
    (tmp_path / "log-0.jsonl").write_text(line(1, stage=0) + line(2, stage=0, validation_loss=0.25))
    (tmp_path / "log-1.jsonl").write_text(line(4, stage=1))
    assert cli.main(["tensorboard", str(tmp_path)]) == 0
    assert "3 lines of log-0.jsonl, log-1.jsonl" in capsys.readouterr().out
    found = points(tmp_path / "tensorboard/log-0")
    assert [p[:3] for p in found] == [("loss", 1, 1.0), ("loss", 2, 0.5), ("validation_loss", 2, 0.25)]
    assert found[1][3] - found[0][3] == pytest.approx(0.5, abs=1e-3)
    assert cli.main(["tensorboard", str(tmp_path)]) == 0
    assert [p[:3] for p in points(tmp_path / "tensorboard/log-1")] == [("loss", 4, 0.25)]


def test_a_growing_log_is_followed_and_a_shortened_one_begun_again(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(line(1) + line(2)[:9])
    curves, folder = Curves(tmp_path), tmp_path / "tensorboard/log"
    curves.update()
    assert [p[1] for p in points(folder)] == [1]
    log.write_text(line(1) + line(2) + line(3))
    curves.update()
    curves.update()
    assert [p[1] for p in points(folder)] == [1, 2, 3]
    log.write_text(line(1) + line(2))
    curves.update()
    assert [p[1] for p in points(folder)] == [1, 2]


def test_a_folder_without_a_log_is_a_sentence(tmp_path, capsys):
    assert cli.main(["tensorboard", str(tmp_path)]) == 1
    assert "there is no log of a training" in capsys.readouterr().err
