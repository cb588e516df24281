"""How far a long job is and where the time went, for people who wait."""

import resource
import sys
import time
from collections.abc import Callable
from typing import TextIO


class Progress:
  """Prints 'label: done/total, rate, time left' on stderr now and then.

  Of a total that is not known, None, it says what is done and the rate.
  Says nothing in the first `patience_seconds`, then a line every
  `every_seconds` at most, down to one a minute in a long job; `update` costs
  about 0.1 us.
  Not for several threads: update it where the results are gathered.
  """

  def __init__(
    self,
    total: int | None,
    label: str,
    *,
    patience_seconds: float = 5.0,
    every_seconds: float = 5.0,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
  ):
    self.total = total
    self.label = label
    self.done = 0
    self._every_seconds = every_seconds
    self._stream = stream
    self._clock = clock
    self._start = clock()
    self._next = self._start + patience_seconds

  def update(self, count: int = 1) -> None:
    """Counts `count` more items as done, and prints if it is time to."""
    self.done += count
    now = self._clock()
    if now >= self._next and self.done:
      # Rarer as the job gets longer: days are not told in seconds.
      rarer = min((now - self._start) / 20, 60.0)
      self._next = now + max(self._every_seconds, rarer)
      print(self._line(now), file=self._stream or sys.stderr, flush=True)

  def _line(self, now):
    """Returns the line to print at clock `now`."""
    rate = self.done / max(now - self._start, 1e-9)
    if self.total is None:
      return f'{self.label}: {self.done:,}, {rate:,.3g} a second'
    left = max(self.total - self.done, 0) / rate
    percent = 100 * self.done / max(self.total, 1)
    return (
      f'{self.label}: {self.done:,}/{self.total:,} ({percent:.0f} %), '
      f'{rate:,.3g} a second, {duration(left)} left'
    )


def duration(seconds: float) -> str:
  """Returns '42 s', '3 min 05 s' or '2 h 07 min'."""
  whole = round(seconds)
  if whole < 60:
    return f'{whole} s'
  if whole < 3600:
    return f'{whole // 60} min {whole % 60:02d} s'
  return f'{whole // 3600} h {whole % 3600 // 60:02d} min'


class Watch:
  """Seconds by what they were spent on."""

  def __init__(self, started):
    self._started = self._last = started
    self._seconds = {}
    self.lap('start and imports')

  def lap(self, name):
    """Books the time since the last lap under `name`."""
    now = time.perf_counter()
    self._seconds[name] = self._seconds.get(name, 0.0) + now - self._last
    self._last = now

  def report(self):
    """Prints where the time went, and the most memory that was held."""
    self.lap('other')
    total = time.perf_counter() - self._started
    parts = [f'{name} {s:.1f} s' for name, s in self._seconds.items()]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory *= 1 if sys.platform == 'darwin' else 1024  # macOS counts bytes.
    print(
      f'{duration(total)} in all: {", ".join(parts)}; at most '
      f'{memory / 1e9:.1f} GB of memory',
      flush=True,
    )
