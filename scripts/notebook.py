"""Runs the notebook of docs/, and writes what its cells show into it.

  python scripts/notebook.py           # docs/first-plan.ipynb

Jupyter is not needed. A test compares what is shown with what the file holds.
"""

import argparse
import ast
import base64
import contextlib
import io
import json
import pathlib

NOTEBOOK = (
  pathlib.Path(__file__).resolve().parents[1] / 'docs' / 'first-plan.ipynb'
)
_DPI = 60  # Of pictures: they are kept in the file.


def run(notebook: dict) -> dict:
  """Runs the cells of code, one after the other, in one namespace.

  Args:
    notebook: of nbformat 4; its outputs are replaced by what the last line of
      each cell is: as text, as HTML where it has that, and as a picture where
      it is matplotlib's axes.

  Returns:
    The names that the cells have made.
  """
  names = {'__name__': '__main__'}
  cells = [c for c in notebook['cells'] if c['cell_type'] == 'code']
  for number, cell in enumerate(cells, 1):
    value = _value_of(''.join(cell['source']), names)
    cell['execution_count'] = number
    cell['outputs'] = [] if value is None else [_output(value, number)]
  return names


def _value_of(source: str, names: dict):
  """Runs a cell; returns what its last line is, None where it is nothing."""
  tree = ast.parse(source)
  last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
  with contextlib.redirect_stdout(io.StringIO()) as printed:
    exec(compile(tree, 'cell', 'exec'), names)
    code = last and compile(ast.Expression(last.value), 'cell', 'eval')
    value = eval(code, names) if code else None
  if printed.getvalue():
    raise ValueError(f'A cell prints {printed.getvalue()!r}; let it return it.')
  return value


def _output(value, number: int) -> dict:
  """Returns a value as the output of a cell."""
  if hasattr(value, 'get_figure'):
    file = io.BytesIO()
    value.get_figure().savefig(file, format='png', dpi=_DPI)
    picture = base64.b64encode(file.getvalue()).decode()
    return {
      'output_type': 'display_data',
      'metadata': {},
      'data': {'image/png': picture},
    }
  data = {'text/plain': repr(value).splitlines(True)}
  if hasattr(value, '_repr_html_'):
    data['text/html'] = value._repr_html_().splitlines(True)
  return {
    'output_type': 'execute_result',
    'execution_count': number,
    'metadata': {},
    'data': data,
  }


def main():
  """Runs the notebook and writes it."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.parse_args()
  notebook = json.loads(NOTEBOOK.read_text(encoding='utf-8'))
  run(notebook)
  text = json.dumps(notebook, indent=1, ensure_ascii=False)
  NOTEBOOK.write_text(f'{text}\n', encoding='utf-8')
  print(NOTEBOOK)


if __name__ == '__main__':
  main()
