"""A sweep with folds on a real cluster: two configurations of three folds each.

What it reports is compared with NumPy's means and SciPy's distribution; which pictures were
evaluated is read from the predictions files.
"""

import re
import unittest

import numpy
from scipy import stats
from sklearn import metrics

from cluster import Cluster
from predictions import read_predictions

FOLDS = 3


class FoldsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.__exit__, None, None, None)
        cls.cluster.start()
        cls.cluster.add_dataset(images_per_class=6)
        cls.id = cls.cluster.submit(
            trials=2, epochs=1, ranks=1,
            settings=[f"search.folds={FOLDS}", "search.parallel=2", "train.sampling=balanced"])
        cls.answer = cls.cluster.wait_for_sweep(cls.id)
        cls.values = numpy.array([t["bestValue"] for t in cls.answer["trials"]]).reshape(2, FOLDS)

    def test_every_picture_is_evaluated_once_per_configuration(self):
        self.assertEqual(self.answer["sweep"]["state"], "SWEEP_STATE_SUCCEEDED")
        self.assertEqual([t["id"] for t in self.answer["trials"]],
                         [f"{self.id}-{c}.{f + 1}" for c in range(2) for f in range(FOLDS)])
        for configuration in range(2):
            keys = []
            for trial in self.answer["trials"][configuration * FOLDS:][:FOLDS]:
                keys += read_predictions(trial["bestPredictions"])[2]["keys"]
            self.assertEqual(len(keys), 8 * 6)
            self.assertEqual(len(set(keys)), 8 * 6)

    def test_configurations_have_the_mean_over_their_folds(self):
        means, spreads = self.values.mean(axis=1), self.values.std(axis=1, ddof=1)
        for one, mean, spread in zip(self.answer["configurations"], means, spreads):
            self.assertEqual(one["state"], "TRIAL_STATE_SUCCEEDED")
            self.assertAlmostEqual(one["mean"], mean)
            self.assertAlmostEqual(one["standardDeviation"], spread)
            self.assertAlmostEqual(one["standardError"], spread / FOLDS**0.5)
        best = self.answer["sweep"]["bestConfiguration"]
        self.assertEqual(best, int(means.argmax()))
        self.assertAlmostEqual(self.answer["sweep"]["bestValue"], means[best])

    def test_describe_compares_the_folds(self):
        best = self.answer["sweep"]["bestConfiguration"]
        d = self.values[best] - self.values[1 - best]
        text = self.cluster.mead("describe", self.id)
        self.assertIn(f"configuration {best} against the next, over the same {FOLDS} folds", text)
        row = re.search(r"WORSE IN\n\s*(\d+)\s+(\S+)\s+(\S+) to (\S+)\s+(\S+)\s+(\d+)/3", text)
        self.assertIsNotNone(row, text)
        self.assertEqual(int(row[1]), 1 - best)
        error = (d.var(ddof=1) * (1 / FOLDS + 1 / (FOLDS - 1))) ** 0.5
        low, high = (stats.t.interval(0.95, FOLDS - 1, d.mean(), error) if error > 0
                     else (d.mean(), d.mean()))
        for shown, expected in zip([row[2], row[3], row[4]], [d.mean(), low, high]):
            self.assertAlmostEqual(float(shown), expected, delta=5.1e-5)
        self.assertEqual(int(row[6]), int((d > 0).sum()))

    def test_pooled_confusion_has_every_picture_once(self):
        """As scikit-learn counts the predictions that the folds kept."""
        for configuration in range(2):
            truth, predicted = [], []
            for trial in self.answer["trials"][configuration * FOLDS:][:FOLDS]:
                log_p, known, _ = read_predictions(trial["bestPredictions"])
                truth += known.tolist()
                predicted += log_p.argmax(axis=1).tolist()
            answer = self.cluster.get(f"trials/{self.id}-{configuration}.2/confusion?pooled=true")
            expected = metrics.confusion_matrix(truth, predicted, labels=range(8))
            self.assertEqual([int(n) for n in answer["confusion"]["counts"]],
                             expected.ravel().tolist())
            self.assertEqual([source["trialId"] for source in answer["pooled"]["sources"]],
                             [f"{self.id}-{configuration}.{f + 1}" for f in range(FOLDS)])
        text = self.cluster.mead("confusion", self.id, "--pooled")
        self.assertIn(f"of sweep {self.id}, 3 of 3 folds together (epochs 1, 1, 1), "
                      "48 validation images", text)
        self.assertIn(f"look at it  mead confusion {self.answer['sweep']['bestTrialId']} --pooled\n",
                      self.cluster.mead("watch", self.id))

    def test_a_trial_says_which_fold_it_is(self):
        trial = f"{self.id}-1.2"
        self.assertIn("2 of 3 of configuration 1", self.cluster.mead("describe", trial))
        self.assertTrue(any(re.fullmatch(r"fold 2 of 3: trains on \d+ pictures, is evaluated on \d+",
                                         line) for line in self.cluster.logs(trial)))


if __name__ == "__main__":
    unittest.main()
