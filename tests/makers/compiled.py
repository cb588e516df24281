"""What JAX compiles while something runs."""

import jax


def programs_of(call):
  """Returns the names of the programs that `call` compiles, or loads."""
  programs = []

  def listen(event, _, fun_name='', **__):
    if event == '/jax/core/compile/backend_compile_duration':
      programs.append(fun_name)

  jax.clear_caches()
  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    call()
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)
  return programs
