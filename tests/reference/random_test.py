"""The generators of base/torch_random.h and base/numpy_random.h against the real PyTorch and numpy, bit by bit.

PyTorch's uniform_ and normal_ are those of its AVX2 build; elsewhere they may differ in the last bits.
"""
import os
import subprocess
import unittest

import numpy
import torch

from reference import ROOT

BINARY = os.environ.get("LORIKEET_RANDOM_NUMBERS", str(ROOT / "build/bin/random_numbers"))
SEEDS = [0, 1, 2, 42, 777, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1]


def ours(requests):
    return subprocess.run([BINARY], input="\n".join(requests).encode(), stdout=subprocess.PIPE, check=True).stdout


def generator(seed):
    return torch.Generator().manual_seed(seed)


class Random(unittest.TestCase):
    def compare(self, requests, expected):
        found = numpy.frombuffer(ours(requests), expected[0].dtype)
        expected = numpy.concatenate(expected)
        self.assertEqual(found.shape, expected.shape)
        same = numpy.count_nonzero(found.view(numpy.uint8) == expected.view(numpy.uint8))
        print(f"{self.id()}: {found.size} numbers, largest difference {numpy.abs(found - expected).max()}")
        self.assertEqual(same, found.nbytes)

    def test_uniform(self):
        requests, expected = [], []
        for seed in [*SEEDS, -1, -(2**31) - 5, -(2**63)]:
            for count, low, high in (1, 0, 1), (7, -0.02, 0.02), (1000, -0.1 / 3, 0.1 / 3), (100_000, -1.7, 0.3):
                requests.append(f"uniform {seed} {count} {low!r} {high!r}")
                expected.append(torch.empty(count).uniform_(low, high, generator=generator(seed)).numpy())
        self.compare(requests, expected)

    def test_normal(self):
        requests, expected = [], []
        for seed in SEEDS:
            for count in 1, 2, 3, 15, 16, 17, 31, 32, 100, 20_003:
                for mean, std in (0.0, 1.0), (0.0, 1 / 3**0.5), (0.25, 0.02):
                    requests.append(f"normal {seed} {count} {mean!r} {std!r}")
                    rng = generator(seed)
                    expected += [torch.normal(mean, std, (count,), generator=rng).numpy() for _ in range(2)]
        self.compare(requests, expected)

    def test_permutation(self):
        requests, expected = [], []
        for seed in [*SEEDS, -1]:
            for n, count in (1, 1), (2, 2), (5, 0), (5, 5), (1000, 1000), (589_824, 1000), (9_437_184, 5000):
                requests.append(f"permutation {seed} {n} {count}")
                expected.append(torch.randperm(n, generator=generator(seed))[:count].numpy())
        self.compare(requests, expected)

    def test_choice_and_shuffle(self):
        requests, expected = [], []
        for seed in SEEDS:
            for n, count in (
                (1, 1),
                (256, 1),
                (256, 255),
                (10_000, 9_000),
                (10_001, 200),
                (10_001, 201),
                (60_000, 59_000),
            ):
                requests.append(f"choice {seed} {n} {count}")
                rng = numpy.random.default_rng(seed)
                expected.append(rng.choice(n, size=count, replace=False))
                shuffled = numpy.arange(count)
                rng.shuffle(shuffled)
                expected.append(shuffled)
        self.compare(requests, expected)


if __name__ == "__main__":
    unittest.main(verbosity=2)
