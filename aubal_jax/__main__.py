"""`python -m aubal_jax` is `python -m aubal_jax.main`."""

from aubal_jax import main

if __name__ == '__main__':
  main.run()
