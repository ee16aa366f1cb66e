"""Layouts of data that people have: what `data check --json` and `data sample` make of them, and training from them."""
import csv
import io
import json
import pickle
import shutil
import struct
import tarfile
import zlib

from command import CommandTest, main, run, write_idx


def png(grey, size=4):
    """A PNG of one shade of grey."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes([grey]) * size) * size
    header = struct.pack(">2I5B", size, size, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Layouts(CommandTest):
    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def counts(self, data, *options):
        """Split → class → images."""
        report = self.json("data", "check", data, *options)
        self.assertTrue(report["ok"], report)
        return {
            split: {name: count for name, count in found["by_class"].items() if count}
            for split, found in report["splits"].items()
        }

    def refused(self, data):
        done = run("data", "check", data)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        return done.stderr

    def test_one_folder_of_classes(self):
        for i in range(20):
            self.write(f"photos/cat/{i}.png", png(i))
        for i in range(5):
            self.write(f"photos/dog/sub/{i}.png", png(100 + i))
        found = self.counts(self.folder / "photos")
        self.assertEqual(
            found, {"train": {"cat": 16, "dog": 3}, "val": {"cat": 2, "dog": 1}, "test": {"cat": 2, "dog": 1}}
        )
        options = "--validation-share", 0, "--test-share", 0.4
        self.assertEqual(
            self.counts(self.folder / "photos", *options),
            {"train": {"cat": 12, "dog": 3}, "test": {"cat": 8, "dog": 2}},
        )
        other = self.json("data", "check", self.folder / "photos", "--split-seed", 5)
        self.assertEqual(other["splits"]["test"]["images"], 3)
        self.assertIn("split_seed 5", other["notes"][0])
        # One folder in an archive's folder.
        self.assertEqual(self.counts(self.folder), found)
        done = run("data", "check", self.folder / "photos")
        self.assertIn(
            "has no splits; of each class, 10 % are held out for validation and 10 % for testing", done.stderr
        )

    def test_folders_of_splits_by_other_names(self):
        for i, name in enumerate(("Training", "Validation", "TEST")):
            self.write(f"{name}/cat/1.png", png(i))
        self.assertEqual(self.counts(self.folder), {"train": {"cat": 1}, "val": {"cat": 1}, "test": {"cat": 1}})

    def test_one_class_is_said(self):
        for i in range(4):
            self.write(f"cat/{i}.png", png(i))
        report = self.lorikeet("data", "check", self.folder)
        self.assertIn("All images are of one class, cat, so there is nothing to tell apart", report)
        self.assertTrue(report.endswith("\nNo other faults.\n"))
        self.assertIn("one class", self.json("data", "check", self.folder)["notes"][-1])

    def test_csv(self):
        rows = [("cat", "train"), ("dog, big", "train"), ("cat", "validation"), ('a "dog"', "Train"), ("cat", "test")]
        for i in range(len(rows)):
            self.write(f"images/{i}.png", png(i))
        expected = {"train": {"cat": 1, "dog, big": 1, 'a "dog"': 1}, "val": {"cat": 1}, "test": {"cat": 1}}
        for separator, ending, mark in (",", "\r\n", "\ufeff"), ("\t", "\n", ""), (";", "\n", ""):
            for header in ["split", "id", "label", "filename"], None:
                text = io.StringIO()
                writer = csv.writer(text, delimiter=separator, lineterminator=ending)
                if header:
                    writer.writerow(header)
                for i, (label, split) in enumerate(rows):
                    path = f"images/{i}.png"
                    writer.writerow([split, i, label, path] if header else [path, label, split])
                manifest = self.write("data.csv", mark + text.getvalue())
                with self.subTest(separator=separator, header=header):
                    self.assertEqual(self.counts(manifest), expected)

    def test_json_lines_without_splits(self):
        lines = [{"image": f"{i}.png", "label": i % 2 * 10, "width": 4} for i in range(20)]
        for i in range(20):
            self.write(f"{i}.png", png(i))
        manifest = self.write("data.jsonl", "\n".join(map(json.dumps, lines + [{"path": "x.png"}])))
        found = self.counts(manifest)
        self.assertEqual({split: sum(by.values()) for split, by in found.items()}, {"train": 16, "val": 2, "test": 2})
        self.assertEqual(found["train"], {"0": 8, "10": 8})
        self.assertIn("ignored 1 image without a label", run("data", "check", manifest).stderr)

    def test_bad_manifests(self):
        outside = self.write("outside.png", png(1))
        for name, text, expected in (
            ("a.csv", "", "got no lines"),
            ("a.csv", "path,label\n", "got no images"),
            ("a.csv", "path,name\nx,y\n", "got a header without a label"),
            ("a.csv", "x.png,cat\ny.png\n", "line 2: got 1 field"),
            ("a.csv", 'x.png,"cat\n', "line 1: got a quote without an end"),
            ("a.csv", "x.png,cat,unknown\n", "line 1: got the split 'unknown'"),
            ("a.csv", "../outside.png,cat\n", "leaves the manifest's folder"),
            ("a.csv", "b/../../outside.png,cat\n", "leaves the manifest's folder"),
            ("a.csv", "x.png,cat\nx.png,dog\n", "line 2: got a second label for x.png"),
            ("a.csv", "x.png,cat,train\ny.png,dgo,test\nz.png,dog,train\n", "Did you mean 'dog'?"),
            ("a.jsonl", '{"path": "x.png", "label": "cat"}\n[1]\n', "line 2: got a list"),
            ("a.jsonl", '{"label": "cat"}\n', "line 1: got no path"),
            ("a.jsonl", '{"path": "x", "label": [1]}\n', "expected one label"),
        ):
            with self.subTest(text):
                self.assertIn(expected, self.refused(self.write(f"in/{name}", text)))
        self.assertEqual(self.counts(self.write("in/a.csv", f"{outside},cat\n")), {"train": {"cat": 1}})
        self.assertIn("does not exist", self.refused(self.folder / "none.csv"))
        done = run("data", "check", self.write("in/a.csv", "x.png,cat\n"), "--json")
        self.assertEqual(done.returncode, 1)
        self.assertIn("in/x.png", json.loads(done.stdout)["unreadable"][0]["image"])

    def test_cifar(self):
        def record(grey, *labels):
            return bytes(labels) + bytes([grey]) * 1024 + bytes([1]) * 1024 + bytes([2]) * 1024

        self.write("ten/data_batch_1.bin", record(1, 0) + record(2, 1))
        self.write("ten/data_batch_2.bin", record(3, 0))
        self.write("ten/test_batch.bin", record(4, 1))
        self.write("ten/batches.meta.txt", "plane\nbird\n\n")
        expected = {"train": {"plane": 2, "bird": 1}, "test": {"bird": 1}}
        self.assertEqual(self.counts(self.folder / "ten"), expected)
        (self.folder / "more").mkdir()
        (self.folder / "ten").rename(self.folder / "more/cifar-10-batches-bin")
        self.assertEqual(self.counts(self.folder / "more"), expected)
        self.write("hundred/train.bin", record(1, 9, 0) + record(2, 9, 99))
        self.write("hundred/test.bin", record(4, 9, 99))
        self.assertEqual(self.counts(self.folder / "hundred"), {"train": {"0": 1, "99": 1}, "test": {"99": 1}})
        self.write("more/cifar-10-batches-bin/test_batch.bin", record(4, 2))
        self.assertIn("got label 2 for image 0, expected 0 to 1", self.refused(self.folder / "more"))
        self.write("more/cifar-10-batches-bin/test_batch.bin", record(4, 1)[1:])
        self.assertIn("expected a multiple of 3,073", self.refused(self.folder / "more"))

    def test_names_of_idx_files(self):
        for style in "{}-{}-idx{}-ubyte", "{}-{}.idx{}-ubyte.gz", "emnist-letters-{}-{}-idx{}-ubyte", "kaggle":
            folder = self.folder / style.replace("{}", "x")
            folder.mkdir()
            split = "test" if "emnist" in style else "t10k"
            for name, labels in ("train", [1, 2, 3]), (split, [2]):
                for kind, rank in ("images", 3), ("labels", 1):
                    if style == "kaggle":
                        inner = folder / f"{name}-{kind}.idx{rank}-ubyte"
                        inner.mkdir()
                        path = inner / inner.name
                    else:
                        path = folder / style.format(name, kind, rank)
                    count = len(labels)
                    shape = [count, 2, 2] if kind == "images" else [count]
                    write_idx(path, shape, [v * 16 + len(name) for v in range(count * 4)] if rank == 3 else labels)
            with self.subTest(style):
                self.assertEqual(self.counts(folder), {"train": {"1": 1, "2": 1, "3": 1}, "test": {"2": 1}})
        write_idx(folder / "emnist-digits-train-labels-idx1-ubyte", [1], [1])
        self.assertIn("expected the files of one dataset", self.refused(folder))

    def shard(self, name, samples, **options):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w", **options) as tar:
            for member, content in samples:
                info = tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return path

    def test_tar_shards(self):
        long = "a-very-long-folder-name/" * 8
        for kind in tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT:
            folder = long if kind != tarfile.USTAR_FORMAT else "in/"
            shards = [
                self.shard(
                    f"{kind}/s-{shard:03}.tar",
                    [
                        member
                        for i in range(10)
                        for member in (
                            (f"{folder}ö{shard}{i}.cls", b"%d\n" % (i % 2)),
                            (f"{folder}ö{shard}{i}.jpg", png(shard * 10 + i, size=3 + i)),
                        )
                    ]
                    + [(f"{folder}._junk.jpg", b"x"), (f"{folder}lonely.png", png(0))],
                    format=kind,
                )
                for shard in range(3)
            ]
            with self.subTest(kind):
                whole = self.counts(self.folder / str(kind))
                self.assertEqual(
                    whole,
                    {"train": {"0": 11, "1": 11}, "val": {"0": 2, "1": 2}, "test": {"0": 2, "1": 2}},
                )
                self.assertEqual(self.counts(f"{self.folder}/{kind}/s-{{000..002}}.tar"), whole)
                self.assertEqual(sum(map(len, self.counts(shards[0]).values())), 6)
                report = self.json("data", "check", shards[0])
                self.assertEqual(report["splits"]["train"]["width"][0] >= 3, True)
        self.assertIn("there is no", self.refused(f"{self.folder}/{kind}/s-{{000..003}}.tar"))

    def test_tar_shards_of_splits_with_names_and_json(self):
        self.shard("d/train-0.tar", [("a.png", png(1)), ("a.txt", b"cat"), ("b.png", png(2)), ("b.txt", b"dog ")])
        self.shard("d/val/0.tar", [("c.json", b'{"label": "dog"}'), ("c.png", png(3))])
        self.shard("d/x_test.tar", [("d.e.png", png(4)), ("d.cls", b"1"), ("e.png", png(5)), ("e.cls", b"cat")])
        self.assertEqual(
            self.counts(self.folder / "d"),
            {"train": {"cat": 1, "dog": 1}, "val": {"dog": 1}, "test": {"cat": 1}},
        )
        shard = self.shard("train-9.tar", [("a.png", png(1)), ("a.txt", b"cat")])
        for cut in 100, 700, 1300:
            path = self.write("cut-train.tar", shard.read_bytes()[:cut])
            with self.subTest(cut):
                self.assertNotEqual(run("data", "check", path).returncode, 0)
        self.assertIn("expected an uncompressed .tar", self.refused(self.write("z.tar", zlib.compress(b"x" * 999))))
        pickled = self.shard("pickled.tar", [("a.png", png(1)), ("a.pkl", pickle.dumps(1))])
        self.assertIn("1 without a label", self.refused(pickled))

    def test_check_finds_faults(self):
        for name, content in (
            ("train/cat/1.png", png(1)),
            ("train/cat/again.png", png(1)),
            ("train/cat/2.png", png(2)),
            ("train/dog/3.png", png(3)),
            ("train/dog/2.png", png(2)),
            ("train/dog/cut.png", png(4)[:-20]),
            ("train/dog/text.jpg", b"text"),
            ("test/dog/3.png", png(3)),
            ("test/owl/5.png", png(5)),
        ):
            self.write(name, content)
        (self.folder / "train" / "ant").mkdir()
        done = run("data", "check", self.folder, "--json")
        self.assertEqual(done.returncode, 1)
        report = json.loads(done.stdout)
        self.assertFalse(report["ok"])
        root = str(self.folder)
        names = {
            key: [[image.replace(root + "/", "") for image in group] for group in report[key]]
            for key in ("in_several_splits", "several_labels", "duplicates")
        }
        self.assertEqual(names["in_several_splits"], [["train: train/dog/3.png", "test: test/dog/3.png"]])
        self.assertEqual(len(report["faults"]), 2)
        self.assertIn("got no images of ant", report["faults"][0])
        self.assertIn("got a class unknown to training", report["faults"][1])
        self.assertEqual(names["several_labels"], [["train: train/cat/2.png", "train: train/dog/2.png"]])
        self.assertEqual(names["duplicates"], [["train: train/cat/1.png", "train: train/cat/again.png"]])
        self.assertEqual(len(report["unreadable"]), 2)
        text = run("data", "check", self.folder)
        self.assertEqual(text.returncode, 1)
        for expected in "cut.png", "text.jpg", "Faults found.", "The same picture in several splits: 1":
            self.assertIn(expected, text.stdout)

    def test_training_and_evaluation_use_the_same_split(self):
        root = self.shared / "flat"
        for image in self.digits(120):
            to = root / image.stem.split("_")[1] / image.name
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(image.read_bytes())
        damaged = sorted(root.glob("*/*"))[::8]
        for image in damaged:  # not at its ends, which training looks at
            content = bytearray(image.read_bytes())
            content[len(content) // 2] ^= 1
            image.write_bytes(content)
        run_folder = self.train_run(
            f"data={root}",
            "epochs=1",
            "train_limit=0",
            "test_limit=0",
            "test_share=0.2",
            "exif=ignore",
            "bad_images=skip",
            "sampling=balanced",
            "class_weights=balanced",
            "rand_augment=[2,9]",
            "color_jitter=[0.2,0.2,0.2,0.1]",
            "random_erasing=0.5",
            "mixup_alpha=0.2",
            "cutmix_alpha=1",
        )
        summary = json.loads((run_folder / "summary.json").read_text())
        self.assertEqual(
            json.loads((run_folder / "adapter/lorikeet.json").read_text())["preprocessing"]["exif"], "ignore"
        )
        note = f"skipped {len(damaged)} images that cannot be read: "
        self.assertIn(note, (run_folder / "log.txt").read_text())
        found = self.json("eval", run_folder)
        self.assertEqual(found["total"], summary["test"]["total"])
        self.assertIn("images that cannot be read: ", run("eval", run_folder).stderr)
        limited = self.json("eval", run_folder, "--limit", 10)
        self.assertLessEqual(limited["total"], 10)
        self.assertGreaterEqual(sum(c["total"] > 0 for c in limited["classes"]), 5)
        self.assertEqual((found["accuracy"], found["loss"]), (summary["test"]["accuracy"], summary["test"]["loss"]))
        other = self.folder / "other"
        for image in sorted(set(root.glob("*/*")) - set(damaged))[:30]:
            to = other / image.parent.name / image.name
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(image.read_bytes())
        self.assertEqual(self.json("eval", run_folder, f"data={other}")["total"], 30)
        # A copy has the split of training; data that has changed since has none.
        copy = self.folder / "copy"
        shutil.copytree(root, copy)
        copied = self.json("eval", run_folder, f"data={copy}")
        self.assertEqual((copied["total"], copied["loss"]), (found["total"], found["loss"]))
        shutil.copy(sorted(root.glob("*/*"))[1], copy / "5" / "more.png")
        self.assertGreater(self.json("eval", run_folder, f"data={copy}")["total"], 100)
        added = root / "5" / "more.png"
        shutil.copy(copy / "5" / "more.png", added)
        self.addCleanup(added.unlink)
        done = run("eval", run_folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("got 121 images that are not the 120 of training", done.stderr)
        # Prediction of folders.
        rows = list(csv.DictReader(io.StringIO(self.lorikeet("predict", run_folder, other, "--csv", "--top", 2))))
        self.assertEqual(len(rows), 60)
        self.assertEqual({row["rank"] for row in rows}, {"1", "2"})
        (other / "photo.heic").write_bytes(b"text")
        done = run("predict", run_folder, other, "--csv")
        self.assertEqual(done.returncode, 1)
        self.assertIn("got 1 image of formats that cannot be read: photo.heic", done.stderr)
        (other / "bad.png").write_bytes(b"text")
        done = run("predict", run_folder, other, "--jsonl")
        self.assertEqual(done.returncode, 1)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(lines), 31)
        self.assertEqual([line["image"] for line in lines if "error" in line], [str(other / "bad.png")])


if __name__ == "__main__":
    main()
