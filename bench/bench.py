"""Lorikeet and its peers (bench/peer.py) alternately on the same work, as ratios. See bench/run."""
import argparse
import atexit
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import PIL.Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/reference"))

from reference import BINARY, ROOT, SHARED, shared_weights, torch  # noqa: E402

from cases import CASES, case_weights  # noqa: E402

EXPERT_WAYS = ["folded", "compiled", "bf16", "compiled_bf16"]
FLOAT32_WAYS = ["folded", "compiled"]
EFFICIENTNET = "efficientnet_lite0"  # the demo's recipe; the other cases are the article's, on ResNet-50
WARM_UP = 3  # steps that are not counted


def run(*command):
    """Runs a command; its standard output, its seconds, and the most memory that it took."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=errors, text=True)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            sys.exit(f"bench: {' '.join(map(str, command))}: failed: {errors.read()[-2000:]}")
    return output, time.perf_counter() - start, usage.ru_maxrss * 1024


def weights():
    """ResNet-50's file: as given, of ../shared, or the official one."""
    if given := os.environ.get("LORIKEET_BENCH_WEIGHTS"):
        return Path(given)
    if (SHARED / "weights").is_dir():
        return shared_weights() / "resnet50.pth"
    return Path(run(BINARY, "models", "get", "resnet50")[0].strip().splitlines()[-1])


class Bench:
    def __init__(self, quick):
        self.quick = quick
        self.rounds = 1 if quick else 3
        self.weights = weights()
        self.inductor = tempfile.TemporaryDirectory()  # an interrupted run leaves broken files in torch.compile's cache
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = self.inductor.name
        self.expert_way = {}
        self.has_bfloat16 = (
            torch.ops.mkldnn._is_mkldnn_bf16_supported()
        )  # emulated, bfloat16 is many times slower than float32
        self.expert_ways = (
            EXPERT_WAYS if self.has_bfloat16 else [way for way in EXPERT_WAYS if not way.endswith("bf16")]
        )

    def steps(self, usual):
        return max(WARM_UP + 3, usual // 3) if self.quick else usual

    # Ours.

    def ours_train(self, case, *overrides):
        """Seconds of each step and losses, of a run of the case's recipe."""
        with tempfile.TemporaryDirectory() as folder:
            started = time.time()
            _, _, peak = run(
                BINARY,
                "train",
                *self.recipe(case, Path(folder)),
                f"run={folder}/run",
                "schedule=constant",
                "learning_rate=1e-3",
                "shuffle=false",
                "test_limit=1",
                *overrides,
            )
            metrics = Path(folder) / "run/metrics.jsonl"
            first = metrics.stat().st_mtime - started  # of a run of one step, whose end is the last line's
            lines = [json.loads(line) for line in metrics.read_text().splitlines()]
            lines = [line for line in lines if "step" in line]
        ends = [line["seconds"] for line in lines]
        return {
            "seconds": [b - a for a, b in zip([0, *ends], ends)],
            "losses": [line["loss"] for line in lines],
            "peak_bytes": peak,
            "first_step": first,
        }

    def base(self, case):
        """A case's model and weights, as recipes name them."""
        if case not in CASES:
            return {"model": "resnet50", "weights": str(self.weights)}
        weights = str(case_weights(case, ROOT / "build/bench-weights"))
        if not CASES[case].model:
            return {"model": weights}
        return {"model": f"timm/{CASES[case].model}", "weights": weights}

    def recipe(self, case, folder):
        """A case's recipe and the weights that it needs."""
        if case == EFFICIENTNET:
            return [ROOT / f"recipes/demo/{case}.yaml"]
        if case not in CASES:
            return [ROOT / f"recipes/article/{case}.yaml", f"weights={self.weights}"]
        what = CASES[case]
        path = folder / "recipe.yaml"
        fields = {
            **self.base(case),
            "data": "mnist",
            "target_modules": what.targets,
            "r": 16,
            "lora_alpha": 16,
            "lora_dropout": what.dropout,
            "modules_to_save": [what.classifier],
            "replace_output": True,
        }
        path.write_text(json.dumps(fields))  # which is YAML, too
        return [path]

    def ours_step(self, case, pixels, batch, steps, *overrides):
        return self.ours_train(
            case, f"image_size={pixels}", f"batch_size={batch}", f"max_steps={steps}", "epochs=1", *overrides
        )

    def ours_cached(self, case, pixels, batch, steps, *overrides):
        """As many steps of later epochs, which start after the frozen prefix; the first epoch's are left out."""
        images = batch * 8
        epochs = 1 + max(1, steps // 8)
        result = self.ours_train(
            case, f"image_size={pixels}", f"batch_size={batch}", f"train_limit={images}", f"epochs={epochs}", *overrides
        )
        return {**result, "seconds": result["seconds"][8:], "losses": []}

    def ours_inference(self, case, precision, pixels, batch, steps):
        """Seconds of each batch in the frozen network, which the executors of `eval` run."""
        base = self.base(case)
        program = Path(BINARY).parent / "run_network"
        return json.loads(run(program, base["model"], base.get("weights", ""), precision, pixels, batch, steps)[0])

    def ours_reach(self):
        """Seconds of training by a recipe made for MNIST, and its accuracy over all test images."""
        with tempfile.TemporaryDirectory() as folder:
            run(BINARY, "train", ROOT / "recipes/mnist_fast.yaml", f"weights={self.weights}", f"run={folder}/run")
            summary = json.loads((Path(folder) / "run/summary.json").read_text())
        return {"seconds": [summary["train_seconds"]], "accuracy": summary["test"]["accuracy"]}

    # Peers.

    def peer(self, work, way, **options):
        arguments = [f"--{key}={value}" for key, value in options.items()]
        output = run(
            sys.executable,
            "-W",
            "ignore",
            ROOT / "bench/peer.py",
            work,
            f"--way={way}",
            f"--weights={self.weights}",
            *arguments,
        )[0]
        return json.loads(output.splitlines()[-1])

    def expert(self, work, better, ways=None, **options):
        """The expert's fastest way for this work, found in the first round."""
        ways = ways or self.expert_ways
        key = (work, *ways, *sorted(options.items()))
        if way := self.expert_way.get(key):
            return {**self.peer(work, way, **options), "way": way}
        results = {way: self.peer(work, way, **options) for way in ways}
        fastest = self.expert_way[key] = max(results, key=lambda way: better(results[way]))
        print(
            f"  expert: {fastest} of " + ", ".join(f"{way} {better(result):.4g}" for way, result in results.items()),
            flush=True,
        )
        return {**results[fastest], "way": fastest}


def images_per_second(batch):
    return lambda result: batch / statistics.median(result["seconds"][WARM_UP:])


def step_measure(pixels, batch, steps, *overrides, ways=None, case="case2"):
    speed = images_per_second(batch)

    def measure(bench):
        count = bench.steps(steps)
        work = {"case": case, "batch": batch, "pixels": pixels, "steps": count}
        return (
            lambda: bench.ours_step(case, pixels, batch, count, *overrides),
            lambda: bench.peer("train", "documented", **work),
            lambda: bench.expert("train", speed, ways, **work),
            speed,
        )

    return measure, "img/s"


def cached_measure(case, pixels, batch, steps, precision="auto", ways=None):
    speed = images_per_second(batch)

    def measure(bench):
        count = bench.steps(steps)
        work = {"case": case, "batch": batch, "pixels": pixels, "steps": min(count, bench.steps(20))}
        return (
            lambda: bench.ours_cached(case, pixels, batch, count, f"precision={precision}"),
            lambda: bench.peer("train", "documented", **work),
            lambda: bench.expert("train", speed, ways, **work),
            speed,
        )

    return measure, "img/s"


def inference_measure(precision):
    batch, pixels = 16, 224
    speed = images_per_second(batch)

    def ways(bench):
        """PyTorch's, and other engines."""
        if precision == "float32":
            return [*FLOAT32_WAYS, "onnxruntime", "openvino", "mnn"]
        if precision == "int8":
            return ["onnxruntime_static", "openvino_static"]
        return [*bench.expert_ways, "openvino_bf16"]

    def measure(bench):
        count = bench.steps(12)
        work = {"batch": batch, "pixels": pixels, "steps": count}
        return (
            lambda: bench.ours_inference("resnet50", precision, pixels, batch, count),
            lambda: bench.peer("infer", "documented", **work),
            lambda: bench.expert("infer", speed, ways(bench), **work),
            speed,
        )

    return measure, "img/s"


def transformer_inference_measure(precision):
    """A frozen ViT-B/16."""
    batch, pixels = 8, 224
    speed = images_per_second(batch)
    ways = ["onnxruntime_dynamic"] if precision == "int8" else ["folded", "compiled", "onnxruntime", "openvino"]

    def measure(bench):
        count = bench.steps(8)
        work = {"case": "vit_base", "batch": batch, "pixels": pixels, "steps": count}
        return (
            lambda: bench.ours_inference("vit_base", precision, pixels, batch, count),
            lambda: bench.peer("infer", "documented", **work),
            lambda: bench.expert("infer", speed, ways, **work),
            speed,
        )

    return measure, "img/s"


def make_photographs(folder, count):
    """JPEGs of 500 × 375 pixels in ten classes: soft shapes and some noise, about 60 kB each."""
    random = numpy.random.default_rng(0)
    for i in range(count):
        soft = PIL.Image.fromarray(random.integers(0, 256, (12, 16, 3), numpy.uint8)).resize((500, 375))
        noisy = numpy.asarray(soft).astype(numpy.int16) + random.integers(-12, 13, (375, 500, 3))
        path = folder / f"train/{i % 10}/{i:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(noisy.clip(0, 255).astype(numpy.uint8)).save(path, quality=90)


def pipeline_measure():
    """Images to normalised batches of 224 pixels: decoding, RandomResizedCrop, RandomHorizontalFlip."""
    batch, cores = 32, len(os.sched_getaffinity(0))

    def speed(result):
        seconds = result["seconds"][WARM_UP:]  # a loader that reads ahead gives some batches at once
        return batch * len(seconds) / sum(seconds)

    def measure(bench):
        folder = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        make_photographs(folder, 320)
        work = {"case": str(folder / "train"), "batch": batch, "pixels": 224, "steps": bench.steps(40)}
        program = Path(BINARY).parent / "load_images"
        return (
            lambda: json.loads(run(program, folder, 224, batch, work["steps"], cores)[0]),
            lambda: bench.peer("load", "documented", **work),
            lambda: bench.peer("load", "folded", **work),
            speed,
        )

    return measure, "img/s"


def reach_measure(goal):
    """Seconds of training; infinite where the accuracy stays below the goal.

    The peers make one pass over MNIST with Case 2, which takes minutes: one round.
    """

    def seconds(result):
        return sum(result["seconds"]) if result["accuracy"] >= goal else math.inf

    def measure(bench):
        work = {"case": "case2", "batch": 64, "pixels": 28}
        whole = {**work, "steps": 60000 // 64}

        def expert():
            fastest = max(
                bench.expert_ways, key=lambda way: images_per_second(64)(bench.peer("train", way, **work, steps=12))
            )
            return bench.peer("reach", fastest, **whole)

        return bench.ours_reach, lambda: bench.peer("reach", "documented", **whole), expert, seconds

    return measure, "s"


def memory_measure(case="case2", batch=32, precision="auto"):
    def measure(bench):
        work = {"case": case, "batch": batch, "pixels": 224, "steps": 4}
        return (
            lambda: bench.ours_step(case, 224, batch, 4, "cache_gib=0", f"precision={precision}"),
            lambda: bench.peer("train", "documented", **work),
            lambda: bench.peer("train", "folded", **work),
            lambda result: result["peak_bytes"] / 1e9,
        )

    return measure, "GB"


def first_step_measure():
    def measure(bench):
        work = {"case": "case2", "batch": 64, "pixels": 28, "steps": 1}
        return (
            lambda: bench.ours_step("case2", 28, 64, 1, "precision=auto"),
            lambda: bench.peer("train", "documented", **work),
            lambda: bench.peer("train", "folded", **work),
            lambda result: result["first_step"],
        )

    return measure, "s"


MEASURES = {
    "case2_step_28": step_measure(28, 64, 30, "precision=auto"),
    "case2_step_28_cached": cached_measure("case2", 28, 64, 32),
    "case2_step_224": step_measure(224, 32, 6, "precision=auto"),
    "case2_step_224_int8": step_measure(224, 32, 6, "precision=int8"),
    "case2_step_224_float32": step_measure(224, 32, 6, "precision=float32", ways=FLOAT32_WAYS),
    "case2_step_224_cached": cached_measure("case2", 224, 32, 8),
    "case2_step_28_float32": step_measure(28, 64, 30, "engine=fused", "precision=float32", ways=FLOAT32_WAYS),
    "efficientnet_lite0_step_224": step_measure(224, 32, 10, "precision=auto", case=EFFICIENTNET),
    "case1_later_epochs": cached_measure("case1", 28, 64, 400),
    "case4_later_epochs": cached_measure("case4", 28, 64, 400),
    "inference_224_float32": inference_measure("float32"),
    "inference_224_bf16": inference_measure("bfloat16"),
    "inference_224_int8": inference_measure("int8"),
    "peak_memory_224": memory_measure(),
    "peak_memory_224_float32": memory_measure(precision="float32"),
    "first_step": first_step_measure(),
    "input_pipeline_224": pipeline_measure(),
    "seconds_to_0965": reach_measure(0.965),
    "vit_tiny_step": step_measure(224, 32, 12, "precision=float32", ways=FLOAT32_WAYS, case="vit_tiny"),
    "vit_small_step": step_measure(224, 16, 10, "precision=float32", ways=FLOAT32_WAYS, case="vit_small"),
    "vit_base_guide_step": step_measure(224, 8, 8, "precision=float32", ways=FLOAT32_WAYS, case="vit_base_guide"),
    "mobilenet_v3_large_step": step_measure(
        224, 32, 12, "precision=float32", ways=FLOAT32_WAYS, case="mobilenet_v3_large"
    ),
    "convnext_tiny_step": step_measure(224, 16, 8, "precision=float32", ways=FLOAT32_WAYS, case="convnext_tiny"),
    "vit_tiny_last_four_cached": cached_measure("vit_tiny_last_four", 224, 32, 16, "float32", FLOAT32_WAYS),
    "vit_small_last_four_cached": cached_measure("vit_small_last_four", 224, 16, 16, "float32", FLOAT32_WAYS),
    "vit_base_last_four_cached": cached_measure("vit_base_last_four", 224, 8, 16, "float32", FLOAT32_WAYS),
    "vit_base_inference_float32": transformer_inference_measure("float32"),
    "vit_base_inference_int8": transformer_inference_measure("int8"),
    "peak_memory_vit_tiny": memory_measure("vit_tiny", 32, "float32"),
    "peak_memory_vit_small": memory_measure("vit_small", 16, "float32"),
    "peak_memory_vit_base_guide": memory_measure("vit_base_guide", 8, "float32"),
}
NEEDS_BFLOAT16 = {"inference_224_bf16"}
ONE_ROUND = {"seconds_to_0965"}
SMALLER_IS_BETTER = {name for name in MEASURES if name.startswith("peak_memory")} | {"first_step", "seconds_to_0965"}


def finite(value):
    """JSON knows no infinity: null."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def processor():
    """The processor's name; Python's own function returns nothing on Debian."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def measured(bench, name):
    """The medians of a measure, its ratios, and when and where it was taken."""
    measure, unit = MEASURES[name]
    ours, documented, expert, figure = measure(bench)
    found = {"ours": [], "documented": [], "expert": []}
    losses, expert_way = {}, None
    print(name, flush=True)
    rounds = 1 if name in ONE_ROUND else bench.rounds
    for _ in range(rounds):
        for who, work in (("ours", ours), ("documented", documented), ("expert", expert)):
            result = work()
            found[who].append(figure(result))
            losses[who] = result.get("losses", [])[-3:]
            expert_way = result.get("way", expert_way)
            reached = (
                f" (accuracy {result['accuracy']:.4f} after {sum(result['seconds']):.4g} s)"
                if "accuracy" in result
                else ""
            )
            print(f"  {who} {found[who][-1]:.4g}{reached}", flush=True)
    value = {who: statistics.median(figures) for who, figures in found.items()}
    ratio = (lambda a, b: b / a) if name in SMALLER_IS_BETTER else (lambda a, b: a / b)
    return {
        **value,
        "ratio_documented": ratio(value["ours"], value["documented"]),
        "ratio_expert": ratio(value["ours"], value["expert"]),
        "unit": unit,
        "runs": rounds,
        "spread": {who: [min(figures), max(figures)] for who, figures in found.items()},
        "expert_way": expert_way,
        "last_losses": losses,
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
    }


def read_measures(path):
    return json.loads(path.read_text())["measures"] if path.exists() else {}


def write_measures(path, measures):
    """Replaces the file atomically, so that an interrupted run keeps its results."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(finite({"measures": measures}), indent=2) + "\n")
    part.replace(path)


def compare(old, new):
    """A table of what changed since `old`: our own figure, and its ratio to the expert's, which the machine's load
    and the processor change less."""
    print(f"\n{'compared with then':30} {'ours':>9} {'was':>9} {'change':>7} {'÷ expert':>9} {'was':>7}")
    for name, now in new.items():
        if name not in old or None in (now["ours"], old[name]["ours"]):
            continue
        was = old[name]
        change = now["ours"] / was["ours"]
        slower = change > 1.05 if name in SMALLER_IS_BETTER else change < 0.95
        remark = " worse" if slower else ""
        if was.get("processor") != now["processor"]:
            remark += f" (was on {was.get('processor', 'an unknown processor')})"
        ratios = [f"{one['ratio_expert']:.2f}" if one["ratio_expert"] else "–" for one in (now, was)]
        print(f"{name:30} {now['ours']:9.4g} {was['ours']:9.4g} {change:7.2f} {ratios[0]:>9} {ratios[1]:>7}{remark}")


def main():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="measures: " + ", ".join(MEASURES))
    parser.add_argument("--quick", action="store_true", help="one round of fewer steps")
    parser.add_argument("--compare", metavar="OLD.json", type=Path, help="results of another run to compare with")
    options = parser.parse_args()
    for name in options.names:
        if name not in MEASURES:
            parser.error(f"{name}: got an unknown measure, expected one of {', '.join(MEASURES)}")
    if options.compare and not options.compare.exists():
        parser.error(f"--compare: {options.compare} does not exist")
    old = read_measures(options.compare) if options.compare else {}

    bench, path, new = Bench(options.quick), ROOT / "bench/results/latest.json", {}
    for name in options.names or MEASURES:
        if name in NEEDS_BFLOAT16 and not bench.has_bfloat16:
            print(f"{name}: left out: this processor has no bfloat16", flush=True)
            continue
        new[name] = measured(bench, name)
        write_measures(path, read_measures(path) | {name: new[name]})

    print(
        f"\n{'measure':26} {'ours':>9} {'documented':>11} {'expert':>9}  unit   {'÷ documented':>12} {'÷ expert':>9}  "
        "ours, least to most"
    )
    for name, m in new.items():
        print(
            f"{name:26} {m['ours']:9.4g} {m['documented']:11.4g} {m['expert']:9.4g}  {m['unit']:6} "
            f"{m['ratio_documented']:11.2f}× {m['ratio_expert']:8.2f}×  "
            f"{m['spread']['ours'][0]:.4g} to {m['spread']['ours'][1]:.4g}"
        )
    if old:
        compare(old, new)


if __name__ == "__main__":
    main()
