"""Prints the best trial's checkpoint from `mead describe SWEEP -o json` on standard input."""

import json
import sys


def main() -> None:
    answer = json.load(sys.stdin)
    best = answer["sweep"].get("bestTrialId")
    trial = next((t for t in answer["trials"] if t["id"] == best), None)
    checkpoint = (trial or {}).get("bestCheckpoint") or {}
    if not checkpoint.get("path"):
        print("checkpoint: none was written")
        return
    print(f"checkpoint: {checkpoint['path']}")
    print(f"            trial {best}, epoch {checkpoint['epoch']}, safetensors with torchvision's names")


if __name__ == "__main__":
    main()
