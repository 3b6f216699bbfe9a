"""What can be seen of a trained model: predictions, top losses, curves, exports, predict.

A gang of two trains for two epochs; then everything that the client shows and writes is
compared with what scikit-learn, torchvision and safetensors make of it.
"""

import csv
import json
import pathlib
import re
import unittest

import numpy
import safetensors.torch
import torch
import torchvision
import yaml
from PIL import Image
from sklearn import metrics
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cluster import Cluster
from predictions import read_predictions

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def pixels_of(path):
    with Image.open(path) as image:
        return numpy.array(image)


class LookingTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.__exit__, None, None, None)
        cls.cluster.start()
        cls.cluster.add_dataset()
        sweep = cls.cluster.submit(trials=1, epochs=2, settings=["train.ema=0.5"])
        cls.trial = cls.cluster.wait_for_sweep(sweep)["trials"][0]
        cls.id = cls.trial["id"]
        cls.out = cls.cluster.dir / "out"

    def json(self, *arguments):
        return json.loads(self.cluster.mead(*arguments, "-o", "json"))

    def test_predictions_agree_with_what_was_reported(self):
        log_p, truth, metadata = read_predictions(self.trial["bestPredictions"])
        self.assertEqual(metadata["epoch"], self.trial["bestEpoch"])
        dataset = self.cluster.get("datasets")["datasets"][0]
        self.assertEqual(len(truth), int(dataset["valSamples"]))
        self.assertEqual(len(set(metadata["keys"])), len(truth))
        self.assertLess(abs(numpy.exp(log_p).sum(axis=1) - 1).max(), 1e-5)
        confusion = self.cluster.get(f"trials/{self.id}/confusion")
        counts = metrics.confusion_matrix(truth, log_p.argmax(axis=1), labels=range(8))
        self.assertEqual([int(n) for n in confusion["confusion"]["counts"]],
                         counts.flatten().tolist())
        reported = confusion["metrics"]
        loss = -log_p[numpy.arange(len(truth)), truth].mean()
        self.assertAlmostEqual(reported["val/loss"], loss, places=5)
        for k, name in enumerate(metadata["classes"]):
            self.assertAlmostEqual(reported[f"val/average_precision/{name}"],
                                   metrics.average_precision_score(truth == k, log_p[:, k]))
        for name in ("val/ece", "val/ece_scaled", "val/temperature", "val/one_vs_rest_accuracy"):
            self.assertIn(name, reported)

    def test_top_losses_come_with_their_pictures(self):
        log_p, truth, metadata = read_predictions(self.trial["latestPredictions"])
        losses = -log_p[numpy.arange(len(truth)), truth]
        order = numpy.argsort(-losses, kind="stable")[:5]
        page = self.out / "losses.html"
        top = self.json("top-losses", self.id, "--count", 5, "--epoch", "last", "--to",
                        self.out / "pictures", "--html", page)
        self.assertEqual([p["picture"] for p in top["pictures"]],
                         [metadata["keys"][i] for i in order])
        for picture, i in zip(top["pictures"], order):
            self.assertAlmostEqual(picture["loss"], losses[i], places=5)
            self.assertEqual(picture["trueClass"], metadata["classes"][truth[i]])
            self.assertEqual(pixels_of(picture["file"]).shape, (64, 64, 3))
        self.assertEqual(len(re.findall("data:image/jpeg;base64,", page.read_text())), 5)

    def test_the_curve_is_scikit_learns(self):
        log_p, truth, metadata = read_predictions(self.trial["bestPredictions"])
        curve = self.json("metrics", self.id, "--pr", metadata["classes"][3])
        precision, recall, _ = metrics.precision_recall_curve(truth == 3, log_p[:, 3])
        # scikit-learn adds a point without a threshold.
        self.assertTrue(numpy.allclose([p["precision"] for p in curve["points"]],
                                       precision[-2::-1]))
        self.assertTrue(numpy.allclose([p["recall"] for p in curve["points"]], recall[-2::-1]))

    def test_torchvision_loads_the_export_and_predicts_the_same(self):
        self.cluster.mead("export", self.id, "--to", self.out / "tv", "--format", "torchvision")
        self.cluster.mead("export", self.id, "--to", self.out / "st", "--format", "safetensors")
        card = json.loads((self.out / "tv" / "model.json").read_text())
        self.assertTrue(card["averaged_weights"])
        state = torch.load(self.out / "tv" / "model.pth", weights_only=True)
        same = safetensors.torch.load_file(self.out / "st" / "model.safetensors")
        self.assertEqual(state.keys(), same.keys())
        for name, tensor in state.items():
            self.assertTrue(tensor.equal(same[name]), name)
        model = torchvision.models.resnet18(num_classes=8)
        model.load_state_dict(state)  # strict
        model.eval()

        # Pictures of the input's size need no resizing, so theirs and ours see the same pixels.
        top = self.json("top-losses", self.id, "--count", 8, "--to", self.out / "same")
        files = [p["file"] for p in top["pictures"]]
        pixels = torch.stack([torch.from_numpy(pixels_of(f)) for f in files])
        inputs = (pixels.permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN).view(3, 1, 1)) / (
            torch.tensor(STD).view(3, 1, 1))
        with torch.no_grad():
            theirs = model(inputs).softmax(1).numpy()
        ours = self.json("predict", self.id, *files)
        self.assertEqual([p["image"] for p in ours["images"]], files)
        for row, image, told in zip(theirs, ours["images"], top["pictures"]):
            probabilities = {c["className"]: c["probability"] for c in image["classes"]}
            for k, name in enumerate(card["classes"]):
                self.assertAlmostEqual(probabilities[name], row[k], delta=1e-3)
            # The same picture gets what evaluation said of it.
            self.assertEqual(image["classes"][0]["className"], told["predictedClass"])
            self.assertAlmostEqual(image["classes"][0]["probability"], told["probability"],
                                   delta=1e-4)

    def test_pictures_that_cannot_be_read_do_not_stop_the_others(self):
        good = self.cluster.dir / "good.png"
        Image.new("RGB", (90, 70), (200, 90, 60)).save(good)
        broken = self.cluster.dir / "broken.jpg"
        broken.write_bytes(b"\xff\xd8\xff no picture")
        answer = json.loads(self.cluster.mead("predict", self.id, broken, good, "/nowhere.jpg",
                                              "-o", "json", codes=(1,)))
        errors = [bool(image["error"]) for image in answer["images"]]
        self.assertEqual(errors, [True, False, True])
        self.assertEqual(len(answer["images"][1]["classes"]), 8)

    def test_figures_are_exported(self):
        self.cluster.mead("export", self.id, "--to", self.out, "--format", "csv")
        with open(self.out / "metrics.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["epoch"] for row in rows], ["1", "2"])
        points = self.cluster.get(f"trials/{self.id}/metrics")["points"]
        for point in points:
            self.assertEqual(float(rows[point["epoch"] - 1][point["name"]]), point["value"])
        self.cluster.mead("export", self.id, "--to", self.out, "--format", "json")
        trial = json.loads((self.out / "trial.json").read_text())
        self.assertEqual(len(trial["metrics"]), len(points))
        self.assertEqual(trial["trial"]["id"], self.id)

    def test_tensorboard_reads_the_events(self):
        self.cluster.mead("export", self.id, "--to", self.out / "tb", "--format", "tensorboard")
        events = EventAccumulator(str(self.out / "tb" / self.id),
                                  size_guidance={"scalars": 0}).Reload()
        points = self.cluster.get(f"trials/{self.id}/metrics")["points"]
        self.assertEqual(set(events.Tags()["scalars"]), {point["name"] for point in points})
        for point in points:
            scalars = {scalar.step: scalar for scalar in events.Scalars(point["name"])}
            self.assertEqual(len(scalars), 2)
            self.assertEqual(scalars[int(point["step"])].value, numpy.float32(point["value"]))

    def test_mlflow_finds_what_its_file_store_reads(self):
        """The rules are those of mlflow/store/tracking/file_store.py, 3.17, written down here:
        MLflow itself brings forty packages."""
        self.cluster.mead("export", self.id, "--to", self.out, "--format", "mlflow")
        [run] = (self.out / "mlruns").glob("*/*/meta.yaml")
        experiment = yaml.safe_load((run.parent.parent / "meta.yaml").read_text())
        meta = yaml.safe_load(run.read_text())
        # The folders' names are what the files say, and match its patterns.
        self.assertEqual(experiment["experiment_id"], run.parent.parent.name)
        self.assertEqual(meta["experiment_id"], run.parent.parent.name)
        self.assertEqual((meta["run_id"], meta["run_uuid"]), (run.parent.name,) * 2)
        self.assertRegex(experiment["experiment_id"], r"^[a-zA-Z0-9][\w\-]{0,63}$")
        self.assertRegex(meta["run_id"], r"^[a-zA-Z0-9][\w\-]{0,255}$")
        self.assertEqual({*experiment}, {"artifact_location", "creation_time", "experiment_id",
                                         "last_update_time", "lifecycle_stage", "name"})
        self.assertEqual({*meta}, {"artifact_uri", "end_time", "entry_point_name", "experiment_id",
                                   "lifecycle_stage", "run_id", "run_name", "run_uuid",
                                   "source_name", "source_type", "source_version", "start_time",
                                   "status", "tags", "user_id"})
        self.assertEqual((meta["status"], meta["lifecycle_stage"]), (3, "active"))
        self.assertLess(meta["start_time"], meta["end_time"])
        points = self.cluster.get(f"trials/{self.id}/metrics")["points"]
        files = {str(path.relative_to(run.parent / "metrics")): path
                 for path in (run.parent / "metrics").rglob("*") if path.is_file()}
        self.assertEqual(set(files), {point["name"] for point in points})
        for name, path in files.items():
            lines = [line.split(" ") for line in path.read_text().splitlines()]
            self.assertEqual([(float(value), int(step)) for _, value, step in lines],
                             [(p["value"], int(p["step"])) for p in points if p["name"] == name])
        self.assertEqual((run.parent / "params/optimizer.lr").read_text(), "0.01")
        self.assertEqual((run.parent / "tags/mlflow.runName").read_text(), self.id)

    def test_predict_measures_images_per_second(self):
        path = self.cluster.dir / "one.png"
        Image.new("RGB", (90, 70), (200, 90, 60)).save(path)
        answer = self.json("predict", self.id, path, "--benchmark")
        self.assertEqual([speed["batch"] for speed in answer["speeds"]], [1, 16])
        self.assertTrue(answer["machine"])
        for speed in answer["speeds"]:
            self.assertGreater(speed["decodeToAnswer"], 0)
            self.assertGreater(speed["network"], 0)
            self.assertGreaterEqual(int(speed["images"]), 2 * speed["batch"])
        self.assertIn("val/images_per_second", self.trial["lastMetrics"])

    def test_confusion_is_drawn(self):
        path = self.out / "confusion.png"
        self.out.mkdir(exist_ok=True)
        text = self.cluster.mead("confusion", self.id, "--png", path)
        self.assertIn("calibration error", text)
        self.assertGreater(min(pixels_of(path).shape[:2]), 400)


if __name__ == "__main__":
    unittest.main()
