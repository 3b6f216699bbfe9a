"""An independent implementation of common/base/epoch_plan.h and rng.h.

Prints the orders and the digest that epoch_plan_test.cc and balanced_order_test.cc pin:
    python3 tests/unit/base/epoch_plan_reference.py
"""

MASK = 2**64 - 1


def splitmix(state):
    state = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return state, z ^ (z >> 31)


def rotl(x, k):
    return ((x << k) | (x >> (64 - k))) & MASK


def xoshiro(seed):
    s = []
    for _ in range(4):
        seed, word = splitmix(seed)
        s.append(word)
    while True:
        yield (rotl((s[0] + s[3]) & MASK, 23) + s[0]) & MASK
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotl(s[3], 45)


def for_key(seed, *parts):
    mixed = splitmix(seed)[1]
    for part in parts:
        mixed = splitmix(mixed ^ part)[1]
    return xoshiro(mixed)


def below(numbers, n):
    while True:
        product = next(numbers) * n
        if product & MASK >= 2**64 % n:
            return product >> 64


def shuffle(numbers, values):
    for left in range(len(values), 1, -1):
        chosen = below(numbers, left)
        values[left - 1], values[chosen] = values[chosen], values[left - 1]
    return values


def order(samples, seed, epoch):
    return shuffle(for_key(seed, epoch, 0, 0), list(range(samples)))


def balanced_order(counts, seed, epoch):
    draws = sum(counts)
    labels = shuffle(for_key(seed, epoch, MASK, 0), [c for c, n in enumerate(counts) if n])
    chosen = []
    for place, label in enumerate(labels):
        begin = sum(counts[:label])
        samples = list(range(begin, begin + counts[label]))
        numbers = for_key(seed, epoch, MASK - 1, label)
        quota = draws // len(labels) + (place < draws % len(labels))
        drawn = []
        while len(drawn) < quota:
            drawn += shuffle(numbers, samples)
        chosen += drawn[:quota]
    return shuffle(for_key(seed, epoch, MASK - 2, 0), chosen)


def digest(samples, batch, world, values):
    state = 0xCBF29CE484222325
    for word in [samples, batch, world, *values]:
        for byte in word.to_bytes(8, "little"):
            state = ((state ^ byte) * 0x100000001B3) & MASK
    return f"{state:016x}"


if __name__ == "__main__":
    values = order(samples=10, seed=7, epoch=3)
    print(", ".join(map(str, values)))
    print(digest(10, 4, 2, values))
    print(", ".join(map(str, balanced_order([6, 0, 3, 1], seed=7, epoch=3))))
