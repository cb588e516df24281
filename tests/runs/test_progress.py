import io

from aubal_jax.runs import progress


def test_says_nothing_for_five_seconds_then_a_line_now_and_then():
  now = [100.0]
  stream = io.StringIO()
  report = progress.Progress(
    1000, 'Reading', stream=stream, clock=lambda: now[0]
  )
  for _ in range(10):  # 40 a step of half a second: 80 a second.
    assert not stream.getvalue()
    report.update(40)
    now[0] += 0.5
  for _ in range(11):
    report.update(40)
    now[0] += 0.5
  # At 5.0 s: 440 done, 88 a second, 560 left. At 10.0 s: 840 done.
  assert stream.getvalue().splitlines() == [
    'Reading: 440/1,000 (44 %), 88 a second, 6 s left',
    'Reading: 840/1,000 (84 %), 84 a second, 2 s left',
  ]


def test_duration():
  assert progress.duration(0.4) == '0 s'
  assert progress.duration(59.6) == '1 min 00 s'
  assert progress.duration(185) == '3 min 05 s'
  assert progress.duration(7620) == '2 h 07 min'
