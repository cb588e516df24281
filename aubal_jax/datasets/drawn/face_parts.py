"""The parts of a drawn face and what the action units do to them.

A part is a stream of (points, grey, width): float[P, 2] points in head
coordinates (x to the right and y down, 1 = half the width of the head, the
origin between eyes and mouth), a grey in 0-255 and the width of the line, 0
for a filled polygon. `a` maps an action unit to its intensity in [0, 1]; those
of `HIDDEN` may be left out, and are 0 then. An
action unit moves points and adds the creases that come with it, as Ekman and
Friesen's Facial Action Coding System (1978) describes them.
"""

import dataclasses

import numpy as np

HIDDEN = ('AU07', 'AU09')  # Drawn where an expression has them; no labels.
_SIDES = (-1.0, 1.0)
_T = np.linspace(-1.0, 1.0, 13)
_ANGLES = np.linspace(0.0, 2.0 * np.pi, 37)[:-1]
_ARC = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


@dataclasses.dataclass(frozen=True)
class Subject:
  """How one person looks at rest; lengths in half head widths, greys 0-255.

  Attributes:
    jaw: width of the jaw as a share of the head's.
    chin: y of the chin.
    skin: grey of the skin.
    hair: grey of the hair; the brows are as dark or darker.
    hairline: y where the hair begins; below -1.3 there is none.
    hair_length: y where the hair at the sides ends.
    eye_x: distance of an eye from the middle.
    eye_open: half the height of an eye.
    brow_y: y of the brows.
    brow_tilt: how much higher the outer end of a brow is.
    brow_thickness: of a brow at its inner end.
    nose_y: y of the nostrils.
    nose_width: half the distance of the nostrils.
    mouth_y: y of the mouth.
    mouth_width: half the width of the mouth.
    mouth_curve: how much lower the corners of the mouth are.
    lips: height of the lips.
    lip_grey: grey of the lips as a share of the skin's.
    glasses: whether glasses are worn.
    cloth: grey of the clothes.
  """

  jaw: float
  chin: float
  skin: float
  hair: float
  hairline: float
  hair_length: float
  eye_x: float
  eye_open: float
  brow_y: float
  brow_tilt: float
  brow_thickness: float
  nose_y: float
  nose_width: float
  mouth_y: float
  mouth_width: float
  mouth_curve: float
  lips: float
  lip_grey: float
  glasses: bool
  cloth: float


def _head(subject, a):
  """Hair behind the head, neck, clothes, ears and the face itself."""
  skin, s = subject.skin, subject
  if s.hairline > -1.3:
    end = max(s.hair_length, 0.0)
    hair = _ARC * [1.14, 1.12] + [0, -0.36]
    hair[:, 1] += np.where(_ARC[:, 1] > 0, _ARC[:, 1] * (end - 0.5), 0)
    yield hair, s.hair, 0
  neck = [(-0.45, 0.6), (0.45, 0.6), (0.5, 1.7), (-0.5, 1.7)]
  yield np.array(neck), 0.72 * skin, 0
  cloth = [(-0.5, 1.5), (0, 1.66), (0.5, 1.5), (1.6, 1.9), (1.8, 4), (-1.8, 4)]
  yield np.array([*cloth, (-1.6, 1.9)]), s.cloth, 0
  for side in _SIDES:
    ear = _ARC * [0.13, 0.24] + [side * 0.97, 0.0]
    yield ear, 0.85 * skin, 0
  yield _outline(s, a, _ARC), skin, 0
  if s.hairline > -1.3:
    half = np.linspace(np.pi, 2 * np.pi, 19)
    top = np.stack([1.06 * np.cos(half), 1.1 * np.sin(half) - 0.36], axis=1)
    edge = np.stack([0.97 * _T, s.hairline + 0.55 * _T**4], axis=1)[::-1]
    yield np.concatenate([top, edge]), s.hair, 0


def _outline(s, a, arc):
  """Returns points of the edge of the face; `arc`: of the unit circle."""
  face = arc * [1.0, 1.25]
  below = np.maximum(arc[:, 1], 0)
  face[:, 0] *= 1 - (1 - s.jaw) * below**1.5
  drop = 0.07 * a['AU25']
  face[:, 1] = np.where(arc[:, 1] > 0, (s.chin + drop) * below, face[:, 1])
  return face


def _brows(subject, a):
  """Brows: AU01 lifts the inner, AU02 the outer end, AU04 lowers them."""
  s = subject
  line = _brow_line(s, a)
  t = (_T + 1) / 2
  half = (s.brow_thickness * (0.5 - 0.33 * t))[:, None] * [0, 1]
  brow = np.concatenate([line - half, (line + half)[::-1]])
  for side in _SIDES:
    yield brow * [side, 1], 0.8 * s.hair, 0


def _brow_line(s, a):
  """Returns the middle of a brow, from its inner end on."""
  inner_y = s.brow_y - 0.24 * a['AU01'] - 0.03 * a['AU02'] + 0.17 * a['AU04']
  middle_y = (
    s.brow_y - 0.06 - 0.06 * a['AU01'] - 0.22 * a['AU02'] + 0.12 * a['AU04']
  )
  outer_y = s.brow_y + 0.03 - s.brow_tilt - 0.25 * a['AU02'] + 0.03 * a['AU04']
  inner_x = 0.19 - 0.1 * a['AU04']
  x = np.array([inner_x, s.eye_x + 0.02, s.eye_x + 0.3])
  t = (_T + 1) / 2
  basis = np.stack([(1 - t) * (1 - 2 * t), 4 * t * (1 - t), t * (2 * t - 1)], 1)
  return basis @ np.stack([x, [inner_y, middle_y, outer_y]], axis=1)


def _forehead(subject, a):
  """Creases of the forehead: over the nose, over the temples, between."""
  s = subject
  y = s.brow_y
  if a['AU01'] > 0:
    grey = s.skin * (1 - 0.4 * a['AU01'])
    for k in (0, 1):
      height = y - 0.27 - 0.06 * a['AU01'] - 0.1 * k + 0.05 * _T**2
      yield np.stack([0.26 * _T, height], axis=1), grey, 1
  if a['AU02'] > 0:
    grey = s.skin * (1 - 0.4 * a['AU02'])
    for side in _SIDES:
      for k in (0, 1):
        x = side * (0.56 + 0.2 * _T)
        height = y - 0.36 - 0.09 * k + 0.06 * _T**2
        yield np.stack([x, height], axis=1), grey, 1
  if a['AU04'] > 0:
    grey = s.skin * (1 - 0.4 * a['AU04'])
    for side in _SIDES:
      x = side * (0.045 + 0.01 * _T)
      yield np.stack([x, y + 0.1 + 0.13 * _T], axis=1), grey, 2


def _eyes(subject, a):
  """Eyes: AU06 raises lower lid and cheek, AU07 tightens both lids."""
  s, lift, tight = subject, a['AU06'], a.get('AU07', 0.0)
  upper, lower = _lids(s, a)
  arch = 1 - _T**2
  x = 0.21 * _T
  top = np.stack([x, -0.17 - upper * arch], axis=1)
  bottom = np.stack([x, -0.17 + lower * arch], axis=1)[::-1]
  for side in _SIDES:
    centre = np.array([side * s.eye_x, 0.0])
    yield np.concatenate([top, bottom]) + centre, min(s.skin + 45, 250), 0
    iris = _ARC * 0.085 + [0, -0.18]
    iris[:, 1] = np.clip(iris[:, 1], -0.17 - upper, -0.17 + lower)
    yield iris + centre, 0.25 * s.hair + 12, 0
    yield top + centre, 0.3 * s.skin, 2
    yield bottom + centre, 0.6 * s.skin, 1
    if lift > 0:
      yield from _cheek(s, lift, side)
    if tight > 0:  # Folds over and under the lids.
      fold = np.stack([x, -0.2 - 1.4 * s.eye_open * arch], axis=1)
      bag = np.stack([x, -0.13 + 1.1 * s.eye_open * arch], axis=1)
      for line in (fold, bag):
        yield line + centre, s.skin * (1 - 0.5 * tight), 2


def _lids(s, a):
  """Returns how far the lids are above and below the middle of an eye."""
  tight = 1 - 0.55 * a.get('AU07', 0.0)
  upper = s.eye_open * (1 - 0.12 * a['AU04']) * tight
  return upper, s.eye_open * (0.85 - 0.95 * a['AU06']) * tight


def _cheek(s, lift, side):
  """The raised cheek: a lit pad under a crease, and crow's feet."""
  grey = s.skin * (1 - 0.5 * lift)
  pad = _ARC * [0.27, 0.13] + [side * (s.eye_x + 0.06), 0.2 - 0.04 * lift]
  yield pad, min(s.skin * (1 + 0.1 * lift), 252), 0
  crease = np.stack([0.27 * _T, 0.03 + 0.07 * (1 - _T**2)], axis=1)
  crease += (side * (s.eye_x + 0.04), -0.03 * lift)
  yield crease, grey, 2
  corner = np.array([side * (s.eye_x + 0.25), -0.17])
  for slope in (-0.5, 0.0, 0.5):
    line = np.array([(0, 0.06 * slope), (side * 0.17, 0.17 * slope)])
    yield corner + line, grey, 2


def _nose(subject, a):
  """The ridge and the nostrils: AU09 raises and wrinkles them."""
  s, wrinkle = subject, a.get('AU09', 0.0)
  y, w = s.nose_y - 0.06 * wrinkle, s.nose_width
  ridge = [(-0.05, -0.12), (-0.07, 0.1), (-w, y - 0.05), (-0.7 * w, y + 0.03)]
  yield np.array(ridge), 0.8 * s.skin, 2
  for side in _SIDES:
    nostril = _ARC[::3] * [0.05, 0.026] + [side * 0.55 * w, y + 0.02]
    yield nostril, 0.4 * s.skin, 0
  if wrinkle > 0:
    for k in range(3):
      line = [0.13 * _T, -0.06 + 0.09 * k - 0.04 * _T**2]
      yield np.stack(line, axis=1), s.skin * (1 - 0.5 * wrinkle), 2


def _mouth(subject, a):
  """The mouth: AU12, AU15 and AU20 move its corners, AU25 parts the lips."""
  s = subject
  half, end, upper_edge, lower_edge, outline = _lips(s, a)
  x = half * _T
  both = np.concatenate([x, x[::-1]])
  yield np.stack([both, outline], axis=1), s.lip_grey * s.skin, 0
  if a['AU25'] > 0:
    gap = np.concatenate([upper_edge, lower_edge[::-1]])
    yield np.stack([both, gap], axis=1), 14.0, 0
    biting = np.minimum(upper_edge + 0.07 * a['AU25'], lower_edge)
    teeth = np.concatenate([upper_edge[2:-2], biting[2:-2][::-1]])
    yield (
      np.stack([np.concatenate([x[2:-2], x[2:-2][::-1]]), teeth], axis=1),
      235.0,
      0,
    )
  else:
    yield np.stack([x, upper_edge], axis=1), 0.3 * s.skin, 2
  yield from _mouth_creases(s, a, half, end)


def _lips(s, a):
  """Returns half the width of the mouth, the y of its corners, and edges.

  These are the upper and the lower one of the gap, float[13] from one side to
  the other, and that of both lips, float[26], there above and back below.
  """
  smile, frown, stretch = a['AU12'], a['AU15'], a['AU20']
  half = s.mouth_width + 0.1 * smile + 0.24 * stretch - 0.02 * frown
  corner = s.mouth_curve - 0.26 * smile + 0.25 * frown
  centre = s.mouth_y + 0.07 * smile - 0.08 * frown
  lips = s.lips * (1 - 0.45 * stretch - 0.15 * smile)
  arch = 1 - _T**2
  middle = centre + corner * _T**2
  upper_edge = middle - 0.05 * a['AU25'] * arch
  lower_edge = middle + 0.19 * a['AU25'] * arch
  bow = arch * (0.85 + 0.35 * np.abs(_T))
  outline = np.concatenate([upper_edge - lips * bow, lower_edge[::-1]])
  outline[len(_T) :] += 1.25 * lips * arch
  return half, centre + corner, upper_edge, lower_edge, outline


def _mouth_creases(s, a, half, corner_y):
  """Folds beside the nose (AU12), under (AU15) and beside (AU20) the lips."""
  for side in _SIDES:
    if a['AU12'] > 0:
      start = np.array([side * (s.nose_width + 0.05), s.nose_y - 0.04])
      end = np.array([side * (half + 0.12), corner_y + 0.06])
      bend = np.array([side * (half + 0.1), s.nose_y + 0.1])
      t = (_T[:, None] + 1) / 2
      fold = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
      yield fold, s.skin * (1 - 0.45 * a['AU12']), 2
    if a['AU15'] > 0:
      fold = [(half + 0.03, corner_y), (half + 0.06, corner_y + 0.15)]
      yield np.array(fold) * [side, 1], s.skin * (1 - 0.5 * a['AU15']), 2
    if a['AU20'] > 0:
      for k in (0, 1):
        x = half + 0.07 + 0.07 * k - 0.04 * _T**2
        fold = np.stack([side * x, corner_y + 0.12 * _T], axis=1)
        yield fold, s.skin * (1 - 0.45 * a['AU20']), 2


def _glasses(subject):
  """Two rims, a bridge and the temples."""
  s = subject
  for side in _SIDES:
    rim = _ARC * [0.29, 0.22] + [side * s.eye_x, -0.13]
    yield np.concatenate([rim, rim[:1]]), 25.0, 1
    temple = [(side * (s.eye_x + 0.29), -0.15), (side * 0.98, -0.2)]
    yield np.array(temple), 25.0, 1
  bridge = [(0.29 - s.eye_x, -0.14), (s.eye_x - 0.29, -0.14)]
  yield np.array(bridge), 25.0, 1


def shapes(subject, a):
  """Returns a list of (points float[P, 2], grey, line width or 0 = filled)."""
  parts = [*_head(subject, a), *_forehead(subject, a), *_eyes(subject, a)]
  parts += [*_nose(subject, a), *_mouth(subject, a), *_brows(subject, a)]
  return parts + (list(_glasses(subject)) if subject.glasses else [])


def landmarks(subject: Subject, a) -> np.ndarray:
  """Returns float[68, 2] points of the parts, in the order of 300-W.

  The edge of the face from the left of the picture to its right, brows, the
  ridge and the base of the nose, eyes, and the edges of the lips.
  """
  s = subject
  angle = np.linspace(np.pi, 0.0, 17)
  edge = _outline(s, a, np.stack([np.cos(angle), np.sin(angle)], axis=1))
  brow = _brow_line(s, a)[::3]
  y = s.nose_y - 0.06 * a.get('AU09', 0.0)
  ridge = np.stack([np.zeros(4), np.linspace(-0.12, y - 0.04, 4)], axis=1)
  across = s.nose_width * np.linspace(-1, 1, 5)
  base = np.stack([across, y + 0.02 * (1 - np.linspace(-1, 1, 5) ** 2)], axis=1)
  eye = _eye_points(s, a)
  points = [edge, brow[::-1] * [-1, 1], brow, ridge, base]
  # From the left of the picture on: of the left eye the outer corner is first.
  order = [3, 2, 1, 0, 5, 4]
  points += [(eye * [-1, 1])[order], eye, _mouth_points(s, a)]
  return np.concatenate(points)


def _eye_points(s, a):
  """Returns six points of the eye on the right: inner corner, top, outer..."""
  upper, lower = _lids(s, a)
  x = np.array([-1, -0.4, 0.4, 1, 0.4, -0.4])
  height = np.array([0, -upper, -upper, 0, lower, lower]) * (1 - x**2)
  return np.stack([s.eye_x + 0.21 * x, height - 0.17], axis=1)


def _mouth_points(s, a):
  """Returns the twenty points of the outer, then of the inner lips."""
  half, _, upper_edge, lower_edge, outline = _lips(s, a)
  x, size = half * _T, len(_T)
  outer = [0, 2, 4, 6, 8, 10, 12]
  below = [10, 8, 6, 4, 2]  # Back, from the right.
  inner = [0, 3, 6, 9, 12]
  lower = outline[size:][::-1]
  back = [9, 6, 3]
  return np.concatenate(
    [
      np.stack([x[outer], outline[:size][outer]], axis=1),
      np.stack([x[below], lower[below]], axis=1),
      np.stack([x[inner], upper_edge[inner]], axis=1),
      np.stack([x[back], lower_edge[back]], axis=1),
    ]
  )
