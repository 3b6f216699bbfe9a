"""The training step equals PyTorch's and torchvision's.

Usage: test_train.py TRAIN_PROBE CASE
  logits MODEL SIDE [v1.5|v1]
                      the same weights give torchvision's logits within 1e-4
  steps sgd|adamw     three optimizer steps give torch.optim's weights
  steps weighted      so do steps with class weights and sgd
  rates               every schedule gives torch.optim.lr_scheduler's rates
  updates sgd|adamw|lars|lamb
                      clipping, updates and averages equal torch's, or numpy's where
                      torch has no such optimizer
  pth                 weights of torch.save give the logits that they give as safetensors
  safetensors         files go both ways between us and the Python package
"""

import collections
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy
import safetensors.torch
import torch
import torchvision

CLASSES = 8
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def run(*arguments: object) -> str:
    return subprocess.run([str(a) for a in arguments], check=True, stdout=subprocess.PIPE,
                          text=True, timeout=240).stdout


def run_failing(*arguments: object) -> str:
    result = subprocess.run([str(a) for a in arguments], stderr=subprocess.PIPE, text=True,
                            timeout=240)
    assert result.returncode == 1, result
    return result.stderr


class Evil:
    """Unpickling one makes a file."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.path}",)


def make_model(name: str) -> torch.nn.Module:
    """A torchvision model whose batch-norm layers are not the identity."""
    torch.manual_seed(3)
    model = torchvision.models.get_model(name, weights=None, num_classes=CLASSES)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.normal_(module.bias, 0, 0.1)
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.8, 1.5)
    return model


def check_logits(probe: str, folder: pathlib.Path, name: str, side: int, stride: str) -> None:
    model = make_model(name).eval()
    if stride == "v1":
        for stage in (model.layer2, model.layer3, model.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    images = torch.randn(3, 3, side, side)
    with torch.no_grad():
        expected = model(images)
    safetensors.torch.save_file(model.state_dict(), folder / "weights")
    safetensors.torch.save_file({"images": images}, folder / "input")
    run(probe, "logits", name, CLASSES, folder / "weights", folder / "input", folder / "out",
        stride)
    ours = safetensors.torch.load_file(folder / "out")["logits"]
    difference = (ours - expected).abs().max().item()
    print(f"{name} at {side}: logits up to {expected.abs().max():.3g}, "
          f"largest difference {difference:.3g}")
    assert difference < 1e-4
    assert expected.std() > 1e-3, "the comparison says nothing: all logits are the same"


def check_pth(probe: str, folder: pathlib.Path) -> None:
    model = make_model("resnet18").eval()
    state = model.state_dict()
    safetensors.torch.save_file({"images": torch.randn(2, 3, 64, 64)}, folder / "input")

    def logits() -> torch.Tensor:
        run(probe, "logits", "resnet18", CLASSES, folder / "weights", folder / "input",
            folder / "out", "v1.5")
        return safetensors.torch.load_file(folder / "out")["logits"]

    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        cast = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor
                for name, tensor in state.items()}
        safetensors.torch.save_file(cast, folder / "weights")
        expected = logits()
        # As torchvision publishes them, of DataParallel, of training scripts, with strides
        # of their own, as parameters, and with every tensor in one storage.
        whole = torch.cat([tensor.flatten() for tensor in cast.values()
                           if tensor.is_floating_point()])
        shared, begin = dict(cast), 0
        for name, tensor in cast.items():
            if tensor.is_floating_point():
                shared[name] = whole[begin:begin + tensor.numel()].view(tensor.shape)
                begin += tensor.numel()
        forms = {
            "plain": collections.OrderedDict(cast),
            "parallel": {"module." + name: tensor for name, tensor in cast.items()},
            "nested": {"epoch": 3, "lr": 0.1, "state_dict": cast, "best": None},
            "strided": {name: tensor.contiguous(memory_format=torch.channels_last)
                        if tensor.ndim == 4 else tensor for name, tensor in cast.items()},
            "parameters": {name: torch.nn.Parameter(tensor) if tensor.is_floating_point()
                           else tensor for name, tensor in cast.items()},
            "shared": shared,
        }
        for form, content in forms.items():
            for zipped in (True, False):
                torch.save(content, folder / "weights", _use_new_zipfile_serialization=zipped)
                assert torch.equal(logits(), expected), f"{form}, {dtype}, zipped: {zipped}"
        print(f"{dtype}: {len(forms)} forms in both formats give the same logits")
    # As a model gives it, with _metadata.
    safetensors.torch.save_file(state, folder / "weights")
    expected = logits()
    torch.save(state, folder / "weights")
    assert torch.equal(logits(), expected)
    # What is missing, and what is not, is listed.
    partial = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    for zipped in (True, False):
        torch.save(partial | {"head.weight": torch.zeros(3)}, folder / "weights",
                   _use_new_zipfile_serialization=zipped)
        errors = run_failing(probe, "logits", "resnet18", CLASSES, folder / "weights",
                             folder / "input", folder / "out", "v1.5")
        assert "2 missing: fc.weight, fc.bias; 1 unexpected: head.weight" in errors, errors
    # Nothing of a file is run.
    torch.save({"fc.bias": Evil(folder / "evil")}, folder / "weights")
    errors = run_failing(probe, "logits", "resnet18", CLASSES, folder / "weights",
                         folder / "input", folder / "out", "v1.5")
    assert "refers to posix.system" in errors and "nothing of it was run" in errors, errors
    assert not (folder / "evil").exists()


def check_steps(probe: str, folder: pathlib.Path, optimizer_name: str) -> None:
    steps, batch, side, smoothing = 5, 8, 64, 0.1
    weights = [0.2 + 0.3 * label for label in range(CLASSES)] if optimizer_name == "weighted" else []
    model = make_model("resnet18").train()
    safetensors.torch.save_file(model.state_dict(), folder / "weights")
    pixels = torch.randint(0, 256, (steps, batch, side, side, 3), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (steps, batch), dtype=torch.int32)
    safetensors.torch.save_file({"pixels": pixels, "labels": labels}, folder / "input")
    # In float64: PyTorch's own float32 losses are up to 0.4 % away from these by the
    # fourth step of SGD, as much as ours.
    model.double()
    if optimizer_name != "adamw":
        optimizer_name, lr = "sgd", 0.01
        optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9, nesterov=True,
                                    weight_decay=1e-2)
    else:
        lr = 1e-4
        optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps,
                                                   cycle_momentum=False)
    # A weighted mean of PyTorch's divides by the weights; ours by the pictures.
    criterion = torch.nn.CrossEntropyLoss(
        weight=torch.tensor(weights).double() if weights else None, label_smoothing=smoothing,
        reduction="sum")
    figures = []
    for step in range(steps):
        images = (pixels[step].permute(0, 3, 1, 2).double() / 255 - MEAN) / DEVIATION
        rate = optimizer.param_groups[0]["lr"]
        optimizer.zero_grad()
        loss = criterion(model(images), labels[step].long()) / batch
        loss.backward()
        optimizer.step()
        if step + 1 < steps:
            schedule.step()
        figures.append((loss.item(), rate))
    output = run(probe, "steps", "resnet18", CLASSES, folder / "weights", folder / "input",
                 folder / "out", optimizer_name, lr, smoothing, *weights)
    ours = [tuple(float(x) for x in line.split()) for line in output.splitlines()]
    print(optimizer_name, "ours", ours, "torch", figures)
    # Rounding grows from step to step.
    numpy.testing.assert_allclose(ours[0], figures[0], rtol=1e-5)
    numpy.testing.assert_allclose(ours[:3], figures[:3], rtol=1e-3)
    numpy.testing.assert_allclose(ours, figures, rtol=1e-2)
    result = safetensors.torch.load_file(folder / "out")
    before = safetensors.torch.load_file(folder / "weights")
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert result[name] == steps
            continue
        moved = (value - before[name]).norm()
        apart = (result[name] - value).norm()
        assert apart <= 0.02 * moved + 1e-5, f"{name}: moved {moved}, {apart} apart"


def check_rates(probe: str) -> None:
    """Peak rate 1. Figures that rise, stand still, fall and are not numbers."""
    objectives = [0.3, 0.5, 0.5, 0.4, 0.6, 0.6, float("nan"), 0.6, 0.2, 0.7, 0.1, 0.2, 0.3]
    epochs, per_epoch, start = len(objectives), 4, 0.01
    total = epochs * per_epoch

    def optimizer() -> torch.optim.Optimizer:
        return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)

    def follow(make) -> list[float]:
        sgd = optimizer()
        schedule, rates = make(sgd), []
        for _ in range(total):
            rates.append(sgd.param_groups[0]["lr"])
            sgd.step()
            schedule.step()
        return rates

    schedulers = torch.optim.lr_scheduler
    for warmup, gamma, patience, first in ((0, 0.1, 1, 2), (0.75, 0.5, 2, 1), (2.5, 0.3, 3, 4)):
        warm = round(warmup * per_epoch)

        def linear(sgd):
            if warm == 0:
                return schedulers.ConstantLR(sgd, factor=1)
            return schedulers.LinearLR(sgd, start_factor=start, total_iters=warm)

        def cosine(sgd):
            rest = schedulers.CosineAnnealingLR(sgd, T_max=total - warm)
            if warm == 0:
                return rest
            return schedulers.SequentialLR(sgd, [linear(sgd), rest], milestones=[warm])

        def step(sgd):
            falls = [first * per_epoch, (first + 3) * per_epoch]
            return schedulers.ChainedScheduler(
                [linear(sgd), schedulers.MultiStepLR(sgd, falls, gamma=gamma)])

        rise, sgd, plateau = follow(linear), optimizer(), []
        watch = schedulers.ReduceLROnPlateau(sgd, mode="max", factor=gamma, patience=patience - 1,
                                             threshold=0, eps=0)
        for objective in objectives:
            plateau += [sgd.param_groups[0]["lr"]] * per_epoch
            watch.step(objective)
        expected = {"constant": rise, "cosine": follow(cosine), "step": follow(step),
                    "plateau": [a * b for a, b in zip(rise, plateau)]}
        if warm == 0:
            # Refuses the step() after the last rate.
            sgd = optimizer()
            cycle = schedulers.OneCycleLR(sgd, 1.0, total_steps=total, cycle_momentum=False)
            expected["one_cycle"] = [sgd.param_groups[0]["lr"]]
            for _ in range(total - 1):
                sgd.step()
                cycle.step()
                expected["one_cycle"].append(sgd.param_groups[0]["lr"])
        for name, rates in expected.items():
            ours = [float(line) for line in
                    run(probe, "rates", name, per_epoch, warmup, gamma, patience, first,
                        *objectives).split()]
            numpy.testing.assert_allclose(ours, rates, rtol=1e-9, atol=1e-12,
                                          err_msg=f"{name}, warm-up {warmup}")
            assert len(set(rates)) > 1 or (name == "constant" and warm == 0), f"{name} stands still"
            print(f"{name}, warm-up {warmup}: {total} rates agree")


class Lars:
    """You et al. 2017, algorithm 1, without weight decay and adaptation of vectors."""

    def __init__(self, lr: float, decay: float) -> None:
        self.lr, self.decay, self.momentum, self.trust = lr, decay, 0.9, 0.001
        self.velocity: dict[str, numpy.ndarray] = {}

    def step(self, name: str, w: numpy.ndarray, g: numpy.ndarray) -> numpy.ndarray:
        rate = self.lr
        if w.ndim > 1:
            norm = numpy.linalg.norm(w)
            rate *= self.trust * norm / (numpy.linalg.norm(g) + self.decay * norm)
            g = g + self.decay * w
        self.velocity[name] = self.momentum * self.velocity.get(name, 0) + rate * g
        return w - self.velocity[name]


class Lamb:
    """You et al. 2020, algorithm 2, with the same exceptions."""

    def __init__(self, lr: float, decay: float) -> None:
        self.lr, self.decay, self.beta1, self.beta2, self.epsilon = lr, decay, 0.9, 0.999, 1e-6
        self.moments: dict[str, tuple[numpy.ndarray, numpy.ndarray, int]] = {}

    def step(self, name: str, w: numpy.ndarray, g: numpy.ndarray) -> numpy.ndarray:
        m, v, t = self.moments.get(name, (0, 0, 0))
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        t += 1
        self.moments[name] = (m, v, t)
        r = m / (1 - self.beta1**t) / (numpy.sqrt(v / (1 - self.beta2**t)) + self.epsilon)
        if w.ndim == 1:
            return w - self.lr * r
        u = r + self.decay * w
        return w - self.lr * numpy.linalg.norm(w) / numpy.linalg.norm(u) * u


def check_updates(probe: str, folder: pathlib.Path, optimizer_name: str) -> None:
    steps, max_norm, ema_decay = 8, 2.0, 0.4
    lr = {"sgd": 0.05, "adamw": 0.01, "lars": 2.0, "lamb": 0.02}[optimizer_name]
    shapes = {"conv": (6, 4, 3, 3), "norm": (6,), "fc": (5, 6), "bias": (5,)}
    for decay in (0, 0.02):
        torch.manual_seed(5)
        module = torch.nn.ParameterDict({n: torch.randn(s) for n, s in shapes.items()})
        # Short and long ones: some are clipped.
        gradients = [{n: torch.randn(s) * (0.05 if step % 3 == 0 else 1)
                      for n, s in shapes.items()} for step in range(steps)]
        tensors = {n: p.detach().clone() for n, p in module.items()}
        tensors |= {f"{n}.{i}": g for i, by in enumerate(gradients) for n, g in by.items()}
        safetensors.torch.save_file(tensors, folder / "input")
        run(probe, "updates", folder / "input", folder / "out", optimizer_name, lr, decay, max_norm,
            ema_decay)
        ours = safetensors.torch.load_file(folder / "out")

        # t counts from 0; ours begins with the weights, as the copy that AveragedModel holds.
        average = torch.optim.swa_utils.AveragedModel(
            module, avg_fn=lambda mean, new, t: torch.lerp(
                mean, new, 1 - min(ema_decay, t.item() / (9 + t.item()))))
        average.n_averaged.fill_(1)
        optimizer = {"sgd": lambda: torch.optim.SGD(module.parameters(), lr, 0.9, nesterov=True,
                                                    weight_decay=decay),
                     "adamw": lambda: torch.optim.AdamW(module.parameters(), lr,
                                                        weight_decay=decay),
                     "lars": lambda: Lars(lr, decay),
                     "lamb": lambda: Lamb(lr, decay)}[optimizer_name]()
        norms = []
        for by in gradients:
            for name, parameter in module.items():
                parameter.grad = by[name].clone()
            norms.append(torch.nn.utils.clip_grad_norm_(module.parameters(), max_norm))
            if isinstance(optimizer, torch.optim.Optimizer):
                optimizer.step()
            else:
                for name, parameter in module.items():
                    moved = optimizer.step(name, parameter.detach().double().numpy(),
                                           parameter.grad.double().numpy())
                    parameter.data.copy_(torch.from_numpy(moved))
            average.update_parameters(module)
        assert min(norms) < max_norm < max(norms), "the comparison says nothing of clipping"
        numpy.testing.assert_allclose(ours["norms"], norms, rtol=1e-6)
        for name, parameter in module.items():
            moved = (parameter.detach() - tensors[name]).abs().max().item()
            assert moved > 1e-3, f"the comparison says nothing: {name} moved by {moved}"
            numpy.testing.assert_allclose(ours[name], parameter.detach(), rtol=1e-5, atol=2e-6,
                                          err_msg=name)
            numpy.testing.assert_allclose(ours[f"ema.{name}"], average.module[name].detach(),
                                          rtol=1e-5, atol=2e-6, err_msg=f"ema.{name}")
        print(f"{optimizer_name}, weight decay {decay}: {steps} steps agree")


def check_safetensors(probe: str, folder: pathlib.Path) -> None:
    types = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.uint8,
             torch.int16, torch.int32, torch.int64, torch.bool]
    tensors = {f"{i} {t}".replace("torch.", "tenseur é/"): (torch.randn(3, 5) * 50).to(t)
               for i, t in enumerate(types)}
    tensors["empty"] = torch.empty(0, 4)
    tensors["scalar"] = torch.tensor(2.5)
    metadata = {"format": "pt", "with \"quotes\"": "line\nbreak \u0001 ∑"}
    safetensors.torch.save_file(tensors, folder / "theirs", metadata)
    run(probe, "rewrite", folder / "theirs", folder / "ours")
    loaded = safetensors.torch.load_file(folder / "ours")
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype and torch.equal(loaded[name], tensor), name
    with safetensors.safe_open(folder / "ours", "pt") as file:
        assert file.metadata() == metadata
    # A checkpoint without the optimizer's tensors is a state_dict.
    model = make_model("resnet18")
    safetensors.torch.save_file(model.state_dict(), folder / "weights")
    safetensors.torch.save_file({"pixels": torch.zeros(1, 2, 32, 32, 3, dtype=torch.uint8),
                                 "labels": torch.zeros(1, 2, dtype=torch.int32)}, folder / "input")
    run(probe, "steps", "resnet18", CLASSES, folder / "weights", folder / "input",
        folder / "checkpoint", "adamw", 1e-3, 0)
    state = safetensors.torch.load_file(folder / "checkpoint")
    model.load_state_dict({k: v for k, v in state.items() if not k.startswith("optimizer.")})


def main() -> None:
    probe, case, *rest = sys.argv[1:]
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if case == "logits":
            check_logits(probe, folder, rest[0], int(rest[1]), *rest[2:] or ["v1.5"])
        elif case == "rates":
            check_rates(probe)
        elif case == "steps":
            check_steps(probe, folder, rest[0])
        elif case == "updates":
            check_updates(probe, folder, rest[0])
        elif case == "pth":
            check_pth(probe, folder)
        else:
            check_safetensors(probe, folder)
    print("ok")


if __name__ == "__main__":
    main()
