"""What trainers with MEAD_SAMPLE_TRACE wrote: which pictures they fed to which step.

The history that counts is that of each attempt up to where the next one went on: later steps are
gone with their weights.
"""

import collections


class Trace:
    """What one rank of one attempt wrote."""

    def __init__(self, path):
        self.trial, attempt, rank = path.name.rsplit(".", 2)
        self.attempt, self.rank = int(attempt), int(rank)
        self.start = None
        self.steps = {}  # (epoch, step) -> samples
        text = path.read_text()
        for line in text[:text.rfind("\n") + 1].splitlines():
            words = line.split()
            if words[0] == "from":
                self.start = (int(words[1]), int(words[2]))
            else:
                place = (int(words[0]), int(words[1]))
                assert place not in self.steps, f"{path.name} trained {place} twice"
                self.steps[place] = [int(word) for word in words[2:]]


def traces(folder, trial_id):
    """attempt -> its ranks' traces, of attempts that began to train."""
    attempts = collections.defaultdict(list)
    for path in sorted(folder.glob(f"{trial_id}.*")):
        trace = Trace(path)
        if trace.start is not None:
            attempts[trace.attempt].append(trace)
    return dict(sorted(attempts.items()))


def accepted(attempts, epochs):
    """epoch -> the samples of its steps, in the history that counts, and where attempts began."""
    used = collections.defaultdict(list)
    numbers = list(attempts)
    starts = []
    for number in numbers:
        begins = {trace.start for trace in attempts[number]}
        assert len(begins) == 1, f"the ranks of attempt {number} began at {begins}"
        starts.append(begins.pop())
    for i, number in enumerate(numbers):
        end = starts[i + 1] if i + 1 < len(numbers) else (epochs + 1, 0)
        for trace in attempts[number]:
            for place, samples in trace.steps.items():
                if starts[i] <= place < end:
                    used[place[0]].extend(samples)
    return used, starts


def check_each_picture_once(case, attempts, epochs, count):
    """Also that one attempt went on within an epoch. Returns how many steps ranks did in all."""
    used, starts = accepted(attempts, epochs)
    print(f"attempts began at (epoch, step) {starts}")
    case.assertTrue(any(step > 0 for _, step in starts), "one went on within an epoch")
    for epoch in range(1, epochs + 1):
        case.assertEqual(sorted(used[epoch]), list(range(count)), f"epoch {epoch}")
    return sum(len(trace.steps) for ranks in attempts.values() for trace in ranks)
