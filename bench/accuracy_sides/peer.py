"""torchvision's side of bench/accuracy: the recipe as one writes it in Python, at its best on a CPU.

bfloat16 autocast, channels_last, fused SGD, OneCycleLR, a DataLoader whose workers stay. The
protocol: bench/harness.py. An order "seed N" is answered with one line of JSON.

Usage: peer.py RECIPE
"""

import json
import sys
import time

import torch
import torchvision
from torch import nn
from torchvision import datasets, transforms

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def loaders(recipe: dict, generator: torch.Generator):
    normal = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    train = datasets.ImageFolder(f"{recipe['data']}/train", transforms.Compose([
        transforms.Resize((recipe["size"], recipe["size"])),
        transforms.RandomRotation(180, interpolation=transforms.InterpolationMode.BILINEAR),
        transforms.RandomHorizontalFlip(), transforms.RandomVerticalFlip(), *normal]))
    test = datasets.ImageFolder(f"{recipe['data']}/test", transforms.Compose([
        transforms.Resize((recipe["size"], recipe["size"])), *normal]))
    settings = {"num_workers": recipe["threads"], "persistent_workers": True}
    return (torch.utils.data.DataLoader(train, recipe["batch"], shuffle=True, generator=generator,
                                        **settings),
            torch.utils.data.DataLoader(test, recipe["batch"], **settings))


def network(recipe: dict, classes: int) -> nn.Module:
    model = torchvision.models.get_model(recipe["model"], num_classes=classes)
    if recipe["weights"]:
        import safetensors.torch
        state = safetensors.torch.load_file(recipe["weights"])
        model.load_state_dict({name: value for name, value in state.items()
                               if not name.startswith("fc.")}, strict=False)
    return model.to(memory_format=torch.channels_last)


def confusion(model: nn.Module, loader, classes: int) -> torch.Tensor:
    """[K, K], rows are true classes."""
    counts = torch.zeros(classes, classes, dtype=torch.int64)
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for pictures, labels in loader:
            predicted = model(pictures.contiguous(memory_format=torch.channels_last)).argmax(1)
            counts += torch.bincount(labels * classes + predicted,
                                     minlength=classes * classes).view(classes, classes)
    return counts


def figures(counts: torch.Tensor) -> dict[str, float]:
    """R_K: Gorodkin, 2004."""
    c = counts.double()
    total, right, rows, columns = c.sum(), c.trace(), c.sum(1), c.sum(0)
    under = ((total**2 - (columns**2).sum()) * (total**2 - (rows**2).sum())).sqrt()
    r_k = (right * total - (rows * columns).sum()) / under if under > 0 else torch.tensor(0.0)
    return {"accuracy": (right / total).item(), "balanced_accuracy": (c.diag() / rows).mean().item(),
            "r_k": float(r_k)}


def train(recipe: dict, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    training, test = loaders(recipe, torch.Generator().manual_seed(seed))
    classes = len(training.dataset.classes)
    model = network(recipe, classes)
    loss_of = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), recipe["lr"], momentum=0.9, nesterov=True,
                                weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe["lr"], epochs=recipe["epochs"], steps_per_epoch=len(training),
        cycle_momentum=False)
    start = time.perf_counter()
    counts = torch.zeros(1)
    for _ in range(recipe["epochs"]):
        model.train()
        for pictures, labels in training:
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_of(model(pictures.contiguous(memory_format=torch.channels_last)), labels)
            loss.backward()
            optimizer.step()
            schedule.step()
        counts = confusion(model, test, classes)
    return {"seconds": round(time.perf_counter() - start, 3), **figures(counts)}


def main() -> None:
    recipe = json.loads(sys.argv[1])
    torch.set_num_threads(recipe["threads"])
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(train(recipe, int(line.split()[1]))), flush=True)


if __name__ == "__main__":
    main()
