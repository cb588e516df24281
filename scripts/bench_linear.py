"""How much of the drawn faces a linear model on raw pixels can tell.

  python scripts/bench_linear.py

Logistic regression, one a label, balanced, on standardised pixels shrunk to
28 x 28; trained on the training split, scored on the test split.
"""

import argparse

import cv2
import numpy as np
from sklearn import linear_model
from sklearn import pipeline
from sklearn import preprocessing

from aubal_jax.datasets.drawn import synthetic
from aubal_jax.scoring import metrics


def main():
  """Prints F1 macro of the model and of saying yes to everything."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--side', type=int, default=28, help='pixels')
  arguments = parser.parse_args()
  data = synthetic.load(
    num_train=2400, num_validation=0, num_test=800, seed=arguments.seed
  )
  side = (arguments.side, arguments.side)

  def pixels(split):
    images = data.load_images(data.rows(split))
    small = [cv2.resize(i, side, interpolation=cv2.INTER_AREA) for i in images]
    return np.stack(small).reshape(len(images), -1) / 255

  train, test = pixels('train'), pixels('test')
  labels = data.labels[data.rows('train')]
  truth = data.labels[data.rows('test')]
  found = []
  for label in labels.T:
    model = pipeline.make_pipeline(
      preprocessing.StandardScaler(),
      linear_model.LogisticRegression(
        C=1e-3, class_weight='balanced', max_iter=500
      ),
    )
    found.append(model.fit(train, label).predict_proba(test)[:, 1])
  scores = metrics.Confusion.from_probabilities(np.array(found).T, truth)
  floor = scores.all_positive().f1_macro
  print(
    f'F1 macro {scores.f1_macro:.3f}, all-positive floor {floor:.3f}: '
    f'{scores.f1_macro - floor:+.3f}'
  )


if __name__ == '__main__':
  main()
