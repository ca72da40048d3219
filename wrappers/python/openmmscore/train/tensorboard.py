"""Logs of trainings as what TensorBoard reads: `openmmscore tensorboard`."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

#: Of a line of the log, what is no curve.
_NO_CURVES = ("step", "stage", "elapsed_seconds")
_POLL_SECONDS = 5.0


def addTensorboard(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "tensorboard",
        help="make TensorBoard's files of a training's log",
        description="Make TensorBoard's files of the log of a training, in the folder tensorboard beside it; "
        "look at them with: tensorboard --logdir OUTPUT",
    )
    parser.add_argument("output", metavar="OUTPUT", help="the output folder of a training")
    parser.add_argument("--follow", action="store_true", help="go on while the training runs, until Ctrl-C")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    curves = Curves(Path(options.output))
    curves.update()
    while options.follow:
        time.sleep(_POLL_SECONDS)
        curves.update()
    print(f"{curves.folder}: {curves.numLines} lines of {', '.join(p.name for p in curves.logs())}")


class Curves:
    """TensorBoard's files of the logs in the output folder of a training, one run for each log.

    Parameters
    ----------
    output : Path
        with log.jsonl, or log-0.jsonl and so on

    Raises
    ------
    ValueError
        if there is no log or no package tensorboardX
    """

    def __init__(self, output: Path):
        self._output = output
        self.folder = output / "tensorboard"
        #: how many lines of logs have become points
        self.numLines = 0
        self._writers: dict[Path, tuple] = {}
        if not self.logs():
            raise ValueError(f"{output}: there is no log of a training (log.jsonl)")
        try:
            import tensorboardX  # noqa: F401
        except ImportError:
            raise ValueError(
                "this needs the package tensorboardX; install it with: pip install 'openmmscore[tensorboard]'"
            ) from None

    def logs(self) -> list[Path]:
        """Return the logs that are there."""
        return sorted(self._output.glob("log*.jsonl"))

    def update(self) -> None:
        """Add what was logged since the last call."""
        for log in self.logs():
            writer, offset = self._writers.get(log, (None, 0))
            # A training that is resumed drops what it logged after its checkpoint.
            if writer is None or log.stat().st_size < offset:
                writer, offset = self._begin(log, writer), 0
            with open(log, "rb") as file:
                file.seek(offset)
                content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            self._write(log, writer, [json.loads(line) for line in whole.splitlines()])
            self._writers[log] = (writer, offset + len(whole))

    def _begin(self, log: Path, before):
        from tensorboardX.event_file_writer import EventsWriter

        if before is not None:
            before.close()
        run = self.folder / log.stem
        # Two files in one folder would be two curves in one.
        shutil.rmtree(run, ignore_errors=True)
        run.mkdir(parents=True)
        # Its writer of single events, for SummaryWriter flushes in a thread, at some later time.
        return EventsWriter(str(run / "events"))

    def _write(self, log: Path, writer, entries: list[dict]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        if not entries:
            return
        # Lines know how long the training ran. It ran, without pauses, until the file was last changed.
        start = log.stat().st_mtime - entries[-1]["elapsed_seconds"]
        for entry in entries:
            values = [
                Summary.Value(tag=name, simple_value=value)
                for name, value in entry.items()
                if name not in _NO_CURVES
            ]
            moment = start + entry["elapsed_seconds"]
            writer.write_event(Event(wall_time=moment, step=entry["step"], summary=Summary(value=values)))
        writer.flush()
        self.numLines += len(entries)
