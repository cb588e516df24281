"""What tests call in a fresh process: a module that imports next to nothing."""

import os
import signal
import time

from aubal_jax.experiments.solvers import timing


def answer(tell, number):
  tell('half way')
  time.sleep(0.05)  # It is polled for.
  return {'number': 2 * number, 'process': os.getpid()}


def peak(_, num_bytes):
  before = timing.peak_memory()
  bytearray(num_bytes)
  return {'before': before, 'grown': timing.peak_memory() - before}


def die(_):
  os.kill(os.getpid(), signal.SIGKILL)


def hang(_):
  time.sleep(600)


def break_down(_):
  int('x')


def refuse(_):
  raise timing.Refused('balance.num_devices must be at most 1.')
