"""The file of the metrics, cut short and damaged."""

import json

from aubal_jax.network import log as log_lib


def test_metrics_file_goes_on_where_the_checkpoint_is(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  with log_lib.open_metrics(path) as write_line:
    for step in (1, 2, 3, 4):
      write_line({'step': step, 'loss': 0.5})
  with open(path, 'a') as file:
    file.write('{"step": 5, "lo')  # Killed while writing.
  with log_lib.open_metrics(path, step=2) as write_line:
    write_line({'step': 3, 'loss': 0.25})
    # There at once: a run may be watched, or killed.
    lines = [json.loads(line) for line in path.read_text().splitlines()]
  assert lines == [
    {'step': 1, 'loss': 0.5},
    {'step': 2, 'loss': 0.5},
    {'step': 3, 'loss': 0.25},
  ]
  with log_lib.open_metrics(path):
    assert path.read_text() == ''


def test_damaged_lines_of_the_metrics_file_are_left_out(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  assert log_lib.read_lines(path) == []
  good = [
    {'step': 1, 'loss': 0.1},
    {'step': 2, 'validation': {'f1_macro': 1e-17}},
  ]
  first, second = (json.dumps(line).encode() for line in good)
  broken = (
    *(b'{"step": 1, "lo', b'\0\0\0', b'\xff\xfe', b'', b'null', b'[1]', b'7'),
    *(b'{"step": 1, "validation": []}', b'{"step": 1, "loss": "0.1"}'),
    b'{"step": 1, "validation": {"f1_m4cro": 0.5}}',
    *(b'{"loss": 1.0}', b'{"step": "1"}', b'{"step": 1.5}', b'{"step": true}'),
  )
  path.write_bytes(b'\n'.join([first, *broken, second, b'{"step": 3, "l']))
  assert log_lib.read_lines(path) == good
  assert log_lib.read_lines(str(path)) == good
  with log_lib.open_metrics(path, step=2) as write_line:
    write_line({'step': 3})
  third = b'{"step": 3}\n'
  assert path.read_bytes() == first + b'\n' + second + b'\n' + third
