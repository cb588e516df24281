import io
import sys

import numpy as np
import pytest
from scipy.io import arff as scipy_arff

from aubal_jax.datasets import labels

DENSE = """\
% A comment, as Mulan's files begin with.
@relation 'music'

@attribute mean_acc numeric
@Attribute "a, b" REAL
@ATTRIBUTE 'amazed-suprised' {0,1}
@attribute happy {0, 1}
@attribute calm {1,0}
@attribute note string

@DATA
0.5,1,1,0,1,'a text, quoted'
% A comment between rows.
0.25,-1e3,0,1,0,b
?,?,1,?,1,?
"""
SPARSE = """\
@relation enron
@attribute w0 {0,1}
@attribute w1 numeric
@attribute A.A1 {0,1}
@attribute 'B B2' {0,1}
@attribute C numeric
@data
{0 1, 2 1}
{1 2.5, 3 1,4 1}
{}
{2 ?}
"""
XML = """\
<?xml version="1.0" encoding="utf-8"?>
<labels xmlns="http://mulan.sourceforge.net/labels">
<label name="{}">
  <label name="{}"></label>
</label>
<label name="{}"></label>
</labels>
"""


def write(folder, text, xml=(), name='set.arff', xml_name='set.xml'):
  path = folder / name
  path.write_text(text, encoding='utf-8')
  if xml:
    (folder / xml_name).write_text(XML.format(*xml), encoding='utf-8')
  return path


def test_mulan_dense(tmp_path):
  path = write(tmp_path, DENSE, ['calm', 'happy', 'amazed-suprised'])
  data = labels.load(path)
  # In the order of the attributes.
  assert data.label_names == ('amazed-suprised', 'happy', 'calm')
  assert data.labels.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
  assert data.known.tolist() == [[1, 1, 1], [1, 1, 1], [1, 0, 1]]
  assert data.ids.tolist() == ['0', '1', '2']
  assert set(data.split.tolist()) == {'train'}


@pytest.mark.parametrize('name', ['enron.arff', 'enron-train.arff'])
def test_mulan_sparse(tmp_path, name):
  path = write(tmp_path, SPARSE, ['C', 'B B2', 'A.A1'], name, 'enron.xml')
  data = labels.load(path)
  assert data.label_names == ('A.A1', 'B B2', 'C')
  assert data.labels.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 0]]
  assert np.argwhere(~data.known).tolist() == [[3, 0]]


def test_a_cell_that_a_sparse_row_leaves_out_is_the_first_value(tmp_path):
  text = SPARSE.replace('A.A1 {0,1}', 'A.A1 {1,0}')
  data = labels.load(write(tmp_path, text), label_columns=('A.A1',))
  assert data.labels.ravel().tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize(
  ('relation', 'expected'),
  [
    ("'music: -C 2'", ('a', 'b')),
    ("'music: -C=2 -split 7'", ('a', 'b')),
    ('"music: -split-number 7 -C -1"', ('c',)),
    ("'-C 3'", ('a', 'b', 'c')),
  ],
)
def test_meka(tmp_path, relation, expected):
  attributes = ''.join(f'@attribute {name} {{0,1}}\n' for name in 'abc')
  text = f'@relation {relation}\n{attributes}@data\n1,0,1\n'
  data = labels.load(write(tmp_path, text))
  assert data.label_names == expected
  assert data.labels[0].tolist() == [name != 'b' for name in expected]


def test_label_columns_come_first_and_in_order(tmp_path):
  path = write(tmp_path, DENSE.replace('music', 'x: -C 2'), ['happy'] * 3)
  data = labels.load(path, label_columns=('calm', 'happy'))
  assert data.label_names == ('calm', 'happy')


@pytest.mark.parametrize('end', ['\n', '\r\n'])
@pytest.mark.parametrize('bom', [False, True])
def test_line_ends_and_bom(tmp_path, end, bom):
  path = write(tmp_path, '')
  text = DENSE.partition('\n')[2].replace('music', 'music: -C 6')
  content = text.replace('\n', end).encode('utf-8-sig' if bom else 'utf-8')
  path.write_bytes(content)
  # Without a BOM in its way, the first line says what the labels are.
  with pytest.raises(ValueError, match=r"'mean_acc' holds '0\.5'"):
    labels.load(path)
  data = labels.load(path, label_columns=('happy',))
  assert data.labels.ravel().tolist() == [0, 1, 0]


def test_dense_files_agree_with_scipy(tmp_path):
  rng = np.random.default_rng(0)
  truth = rng.integers(0, 2, (50, 4))
  names = ['L1', 'Strange label', 'l-3', 'subject']
  text = "@relation 'r: -C -4'\n@attribute f numeric\n"
  text += ''.join(f"@attribute '{name}' {{0,1}}\n" for name in names)
  text += '@data\n' + ''.join(
    ','.join(map(str, [round(rng.normal(), 3), *row])) + '\n' for row in truth
  )
  data = labels.load(write(tmp_path, text))
  expected, meta = scipy_arff.loadarff(io.StringIO(text))
  assert data.label_names == tuple(meta.names()[1:]) == tuple(names)
  for k, name in enumerate(names):
    np.testing.assert_array_equal(data.labels[:, k], expected[name].astype(int))


@pytest.mark.parametrize(
  ('text', 'options', 'message'),
  [
    (
      DENSE,
      {},
      r"set\.arff: nothing says .*6 attributes.*Mulan's set\.xml.*MEKA's -C .*"
      r'data\.label_columns',
    ),
    (
      DENSE,
      {'label_columns': ('hapy',)},
      r"no attribute 'hapy', which data\.label_columns names\. Did you mean",
    ),
    (
      DENSE,
      {'label_columns': ('mean_acc',)},
      r"row 0 .*'mean_acc' holds '0\.5",
    ),
    (
      DENSE.replace("'music'", "'m: -C 7'"),
      {},
      r"set\.arff: the relation 'm: -C 7' says that 7 .*there are 6\. Correct",
    ),
    (DENSE.replace("'music'", "'m: -C 0'"), {}, r'says that 0 attributes'),
    (
      DENSE.replace('0.25,-1e3,0', '0.25,-1e3,2'),
      {},
      r"set\.arff:14: not ARFF \(.*2.*\): '0\.25,-1e3,2,1,0,b'\. Correct the",
    ),
    (DENSE.replace(',0,b\n', '\n'), {}, r'set\.arff:14: not ARFF \('),
    (DENSE.replace('0.25', 'x'), {}, r'set\.arff:14: not ARFF \('),
    (
      DENSE.replace('happy {0, 1}', 'happy {0'),
      {},
      r'set\.arff:7: not ARFF \(',
    ),
    (DENSE.replace('happy', 'calm'), {}, r"4 and 5 are both called 'calm'"),
    (DENSE.split('0.5')[0], {'label_columns': ('calm',)}, 'no row after @data'),
    (DENSE.split('@DATA')[0], {}, r'set\.arff:\d+: not ARFF'),
    ('', {}, r'set\.arff:\d+: not ARFF'),
    ('a,b\n1,0\n', {}, r'set\.arff:[12]: not ARFF'),
    (SPARSE.replace('2.5', 'x'), {}, r'set\.arff:9: not ARFF'),
    (SPARSE.replace('{0 1,', '{9 1,'), {}, r'set\.arff:8: not ARFF'),
    (SPARSE.replace('{}', '0,1,1,1,1'), {}, r'set\.arff:10: not ARFF'),
  ],
)
def test_bad_files(tmp_path, text, options, message):
  with pytest.raises(ValueError, match=message):
    labels.load(write(tmp_path, text), **options)


@pytest.mark.parametrize(
  ('xml', 'message'),
  [
    ('<labels><label name="happy">', r'set\.xml:1: not XML'),
    ('<labels></labels>', r'set\.xml: it must hold elements <label name='),
    ('<labels><label/></labels>', r'set\.xml: it must hold elements'),
    (
      '<labels><label name="hapy"/></labels>',
      r"set\.arff: .*no attribute 'hapy', which set\.xml names\. Did you mean",
    ),
  ],
)
def test_bad_xml(tmp_path, xml, message):
  (tmp_path / 'set.xml').write_text(xml)
  with pytest.raises(ValueError, match=message):
    labels.load(write(tmp_path, DENSE))


def test_not_utf_8(tmp_path):
  path = write(tmp_path, '')
  path.write_bytes(DENSE.replace('happy', 'fröhlich').encode('latin-1'))
  with pytest.raises(
    ValueError, match=r'set\.arff:\d+: byte 0xf6 is not UTF-8'
  ):
    labels.load(path)


def test_without_the_package(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'arff', None)
  with pytest.raises(ValueError, match='package liac-arff, which is'):
    labels.load(write(tmp_path, DENSE))


ROWS = '@data\n1,0,1,0\n0,1,1,1\n'


def make(relation, attribute='@attribute {} {{0,1}}'):
  lines = [attribute.format(name) for name in ('w1', 'w2', 'A', 'B')]
  return '\n'.join([f'@relation {relation}', *lines, ROWS])


@pytest.mark.parametrize(
  'relation',
  [
    "'demo: -C 2-weka.filters.unsupervised.attribute.Remove-R1-2'",
    "'demo: -C 2 -I 0-weka.filters.supervised.attribute.AddClassification'",
    "'demo: -C 2_demo: -C 2'",
    "'demo: -C 2 -C 3'",
    "'demo: -C 2-Remove-R3,4'",
  ],
)
def test_a_relation_that_filters_changed_is_not_believed(tmp_path, relation):
  path = write(tmp_path, make(relation))
  with pytest.raises(ValueError, match=r'filters of WEKA have changed is not'):
    labels.load(path)
  data = labels.load(path, label_columns=('A', 'B'))
  assert data.labels.tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize('relation', ["'demo: -C -2'", '"demo:-C=-2"'])
def test_a_relation_with_one_c_is_believed(tmp_path, relation):
  data = labels.load(write(tmp_path, make(relation)))
  assert data.label_names == ('A', 'B')


@pytest.mark.parametrize('relation', ['', ' ', "''", '""'])
def test_a_relation_may_have_no_name(tmp_path, relation):
  data = labels.load(write(tmp_path, make(relation)), label_columns=('A',))
  assert data.labels.tolist() == [[1], [1]]


@pytest.mark.parametrize(
  'form',
  [
    '@attribute {}{{0,1}}',
    "@ATTRIBUTE '{}'{{0, 1}}",
    '@attribute\t{}\t{{0,1}}',
  ],
)
def test_blanks_between_name_and_values_are_free(tmp_path, form):
  path = write(tmp_path, make("'demo: -C 4'", form))
  assert labels.load(path).label_names == ('w1', 'w2', 'A', 'B')


@pytest.mark.parametrize(
  'kind',
  ['date', 'DATE "yyyy-MM-dd"', "date 'yyyy-MM-dd HH:mm:ss'", 'Date yyyy'],
)
def test_dates_are_no_features(tmp_path, kind):
  lines = [
    "@relation 'demo: -C 1'",
    '@attribute x {0,1}',
    f'@attribute d {kind}',
  ]
  lines += ['@attribute f numeric', '@data', '1,"2020-01-01 00:00:00",.5']
  data = labels.load(write(tmp_path, '\n'.join(lines)))
  assert data.label_names == ('x',)
  assert data.features.tolist() == [[0.5]]


@pytest.mark.parametrize(
  ('written', 'name'),
  [
    (r"'Anna\'s smile'", "Anna's smile"),
    (r"'\'\''", "''"),
    (r'"a \"b\""', 'a "b"'),
    (r"'back\\slash'", 'back\\slash'),
    (r"'50\% of {x, y}'", '50% of {x, y}'),
  ],
)
def test_names_lose_what_escapes_them(tmp_path, written, name):
  lines = [
    "@relation 'demo: -C 2'",
    f'@attribute {written} {{0,1}}',
    '@attribute plain {0,1}',
    '@data',
    '1,0',
  ]
  data = labels.load(write(tmp_path, '\n'.join(lines)))
  assert data.label_names == (name, 'plain')
  assert data.labels.tolist() == [[1, 0]]


@pytest.mark.parametrize(
  'name',
  ['s.arff', 's-train.arff', 's-train-sparse.arff', 's_test_sparse.arff'],
)
def test_the_xml_of_a_set_serves_all_its_files(tmp_path, name):
  text = make('demo')
  path = write(tmp_path, text, ['A', 'B', 'w2'], name=name, xml_name='s.xml')
  assert labels.load(path).label_names == ('w2', 'A', 'B')
