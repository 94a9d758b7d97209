"""The benchmark of the demos: what its child process measures."""

import json

import numpy as np

import final_video_demo
from benchmarks import demos
from samtl.faces.media import recording


def test_speed_and_memory_of_a_recording(tmp_path, monkeypatch, capsys):
    def demo():
        with recording.Writer(tmp_path / "a.mp4", demos.FPS) as writer:
            for index in range(3):
                image = np.zeros((48, 64, 3), np.uint8)
                writer.write(image, index / demos.FPS)

    # The script replaces this method too; the original comes back afterwards.
    monkeypatch.setattr(recording.Writer, "write", recording.Writer.write)
    monkeypatch.setattr(final_video_demo, "main", demo)
    namespace = {}
    exec(demos.MEASURED, namespace)
    assert namespace["count"] == 3
    found = json.loads(capsys.readouterr().out)
    assert found["fps"] > 0
    assert found["cpu"] > 0
    assert found["peak"] > 0
