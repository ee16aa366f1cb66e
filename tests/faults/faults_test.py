"""Kills, full disks and I/O errors at every call that changes files: the run resumes and ends with the same bytes.

LORIKEET_LONG=1 kills at all calls and hundreds of random moments, and lets a third of the calls fail
(docs/reliability.md has the figures); otherwise a sample.
"""
import collections
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults import Trial, killed

LONG = os.environ.get("LORIKEET_LONG") == "1"
SAMPLE = 3  # of the calls, for each action
RUNS, KILLS = (10, 40) if LONG else (2, 5)  # killed at random moments: runs, and kills of each at most
CHANGES = "write", "fsync", "rename", "renameat2", "create", "mkdir", "unlink", "unlinkat", "ftruncate"
COMMITS = "fsync", "rename", "renameat2"


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory(prefix="lorikeet-faults-")
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        cls.trial = Trial(cls.folder)
        cls.calls = cls.trial.calls(cls.folder / "traced")
        cls.syncs = [number for number, (operation, _) in enumerate(cls.calls, 1) if operation == "fsync"]

    def check_all(self, what, cases, check):
        """Runs `check(run, case)`, which returns what is wrong or None, for each case in a folder of its own."""

        def one(indexed):
            index, case = indexed
            run = self.folder / f"{what}-{index}"
            try:
                return check(run, case)
            finally:
                shutil.rmtree(run, ignore_errors=True)

        start = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(one, enumerate(cases)))
        wrong = [f"{case}: {result}" for case, result in zip(cases, results) if result]
        print(f"{what}: {len(cases)} faults, {len(wrong)} wrong, {time.monotonic() - start:.0f} s", flush=True)
        self.assertEqual(wrong, [])

    def numbers(self, *operations):
        """Of the calls of these kinds: all of them, or a sample of each kind."""
        found = collections.defaultdict(list)
        for number, (operation, _) in enumerate(self.calls, 1):
            if operation in operations:
                found[operation].append(number)
        if LONG:
            return sorted(sum(found.values(), []))
        generator = random.Random(3)
        share = max(1, SAMPLE // len(found))
        return sorted(sum((generator.sample(n, min(share, len(n))) for n in found.values()), []))

    def killed_at(self, action):
        def check(run, number):
            done = self.trial.start(run, at=number, action=action)
            if not killed(done):
                return f"was not killed: {done.returncode}: {done.stderr}"
            return self.trial.wrong_end(run)

        return check

    def test_traced_calls(self):
        found = {operation for operation, _ in self.calls}
        self.assertLessEqual({"write", "fsync", "rename", "renameat2", "create"}, found)
        self.assertGreater(len(self.calls), 200)
        self.assertIsNone(self.trial.wrong_end(self.folder / "traced"))  # a finished run stays as it is

    def test_killed_before_each_call(self):
        operations = [operation for operation in CHANGES if operation != "write"]
        self.check_all("killed before a call", self.numbers(*operations), self.killed_at("kill"))

    def test_killed_after_each_sync_and_rename(self):
        self.check_all("killed after a sync or rename", self.numbers(*COMMITS), self.killed_at("killed"))

    def test_killed_in_each_write(self):
        self.check_all("killed in a write", self.numbers("write"), self.killed_at("torn"))

    def failing_at(self, action):
        def check(run, number):
            operation, path = self.calls[number - 1]
            done = self.trial.start(run, at=number, action=action)
            # Files for people and other programs may be missing, with a note.
            is_needed = not any(name in path for name in ("events.out", ".csv", "report.html"))
            must_fail = is_needed and operation in ("write", "create")
            if done.returncode not in (0, 1) or (done.returncode == 0 and must_fail):
                return f"{operation} of {path}: exit {done.returncode}: {done.stderr}"
            last = done.stderr.splitlines()[-1]
            if done.returncode == 1:
                word = "No space left" if action.startswith("ENOSPC") else "Input/output error"
                if not last.startswith("lorikeet: ") or word not in last or "internal error" in last:
                    return f"{operation} of {path}: says {last}"
                has_checkpoint = any((run / "checkpoints").glob("step-*"))
                if has_checkpoint and f"--resume {run}" not in last:
                    return f"{operation} of {path}: does not say how to continue: {last}"
            return self.trial.wrong_end(run)

        return check

    def test_full_disk_at_each_call(self):
        numbers = self.numbers(*CHANGES)
        self.check_all("full disk for one call", numbers[:: 3 if LONG else 1], self.failing_at("ENOSPC"))

    def test_disk_that_stays_full(self):
        numbers = [n for n in self.numbers(*CHANGES) if self.calls[n - 1][0] not in ("unlink", "unlinkat")]
        self.check_all("disk that stays full", numbers[:: 8 if LONG else 2], self.failing_at("ENOSPC+"))

    def test_input_output_error_at_each_call(self):
        operations = [operation for operation in CHANGES if operation != "write"] if LONG else COMMITS
        numbers = self.numbers(*operations) + self.numbers("write")
        numbers = numbers[:: 3 if LONG else 2]
        self.check_all("I/O error of one call", numbers, self.failing_at("EIO"))

    def test_killed_at_random_moments_until_it_ends(self):
        """Each run is killed again and again."""
        kills = collections.Counter()

        def check(run, seed):
            generator = random.Random(seed)
            for _ in range(KILLS):
                process = self.trial.begin(run)
                try:
                    process.communicate(timeout=generator.uniform(0.1, 1.2) * self.trial.seconds)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                    kills[seed] += 1
                if process.returncode == 0:
                    break
            return self.trial.wrong_end(run)

        self.check_all("runs killed at random moments", range(RUNS), check)
        print(f"kills at random moments: {sum(kills.values())}", flush=True)
        self.assertGreater(sum(kills.values()), 0)

    def test_signals(self):
        """SIGTERM and SIGINT save what is done, with the exit code that a shell expects."""

        def check(run, case):
            number, code = case[0], case[1]
            process = self.trial.begin(run, at=self.syncs[case[2] * len(self.syncs) // 100], action="stop")
            os.waitpid(process.pid, os.WUNTRACED)
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
            _, stderr = process.communicate(timeout=60)
            if process.returncode != code:
                return f"exit {process.returncode}: {stderr}"
            if f"lorikeet train --resume {run}" not in stderr.splitlines()[-1]:
                return stderr
            return self.trial.wrong_end(run)

        cases = [(s, c, i) for s, c in ((signal.SIGTERM, 143), (signal.SIGINT, 130)) for i in (3, 20, 60)]
        cases = cases if LONG else cases[1::3]
        self.check_all("signals", cases, check)

    def test_a_second_process_while_one_is_stopped(self):
        run = self.folder / "stopped"
        process = self.trial.begin(run, at=self.syncs[len(self.syncs) // 2], action="stop")
        os.waitpid(process.pid, os.WUNTRACED)
        second = self.trial.start(run)
        self.assertEqual(second.returncode, 2)
        self.assertIn("another process is training", second.stderr)
        process.kill()
        process.communicate()
        self.assertIsNone(self.trial.wrong_end(run))

    def test_force_killed_at_each_call(self):
        """The old run or the new one, each whole, is what is left of a replacement."""
        old = self.folder / "old"
        self.trial.start(old, "seed=1").check_returncode()
        old_result = self.trial.result(old)
        self.assertNotEqual(old_result, self.trial.expected)
        force = lambda run: [*self.trial.command(self.folder / "none")[:3], f"run={run}", "--force"]
        trace = self.folder / "force.trace"
        run = self.folder / "replaced"
        shutil.copytree(old, run)
        subprocess.run(force(run), check=True, capture_output=True, env=self.trial.environment(run, trace=trace))
        lines = trace.read_text().splitlines()
        last = next(i for i, line in enumerate(lines) if ".run.complete" in line and "unlinkat" in line) + 8
        numbers = list(range(1, last))
        if not LONG:
            numbers = random.Random(4).sample(numbers, SAMPLE) + numbers[-8::3]

        def check(run, number):
            shutil.copytree(old, run)
            env = self.trial.environment(run, at=number, action="kill")
            done = subprocess.run(force(run), capture_output=True, text=True, env=env)
            if not killed(done):
                return f"was not killed: {done.stderr}"
            if (run / "adapter/adapter_model.safetensors").stat().st_size == 0:
                return "no whole adapter is left"
            resumed = self.trial.start(run)
            if resumed.returncode != 0:
                return resumed.stderr
            if self.trial.result(run) not in (old_result, self.trial.expected):
                return "ends neither as the old run nor as the new one"
            return None

        self.check_all("replacements killed before a call", numbers, check)


if __name__ == "__main__":
    unittest.main(verbosity=2)
